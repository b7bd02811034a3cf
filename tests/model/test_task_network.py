"""The network of a task: its tensors, and code that cannot be exported."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from teachmesh.errors import BackboneError
from teachmesh.model.head import Head
from teachmesh.model.task_network import Branch, TaskNetwork, export_program
from tests.biases.bias_nets import SIZES, timm_backbone
from tests.model.nets import TinyNet, needs_timm, pictures, tiny_backbone

SWIN = "swin_tiny_patch4_window7_224"


class Undecided(TinyNet):
    """A network whose control flow depends on the image."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Compute two taps of the image or of its negative."""
        return super().forward(x if float(x.sum()) > 0 else -x)


def some_head(dim: int) -> Head:
    """Draw a head of three classes."""
    weight = np.random.default_rng(0).normal(size=(3, dim)).astype(np.float32)
    return Head(weight, np.zeros(3, np.float32))


@needs_timm
def test_tables_of_integers_stay_integers() -> None:
    """Swin reads its biases by position; answers equal those of latents and head."""
    backbone = timm_backbone(SWIN)
    head = some_head(backbone.last_dim)
    images = pictures(3, SIZES[SWIN])
    network = TaskNetwork(backbone, [Branch(backbone.forward_pass.net, "last", head)])
    logits = torch.from_numpy(head.logits(backbone.embed(images).last))
    with torch.no_grad():
        found = network(images)
    torch.testing.assert_close(found, torch.log_softmax(logits.float(), 1), atol=1e-4, rtol=0)


def test_a_network_that_cannot_be_exported_is_one_sentence() -> None:
    """Code that branches on values has no graph."""
    backbone = tiny_backbone(net=Undecided())
    voice = Branch(backbone.forward_pass.net, "last", some_head(backbone.last_dim))
    with pytest.raises(BackboneError, match="use another backbone") as caught:
        export_program(TaskNetwork(backbone, [voice]), backbone.size, {})
    assert "\n" not in str(caught.value)
