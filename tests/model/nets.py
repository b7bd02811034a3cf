"""Small networks and weights files for the tests of the backbone."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from teachmesh.data.procedural_images import procedural_images
from teachmesh.mapping.metric import ReferenceLatents, fit_metric
from teachmesh.model.backbone import Backbone, Preprocessing, hash_weights
from teachmesh.model.reference import Reference, fit_projection, project
from teachmesh.model.timm_net import import_timm

needs_timm = pytest.mark.skipif(importlib.util.find_spec("timm") is None, reason="needs timm")
SHARED_WEIGHTS = Path(__file__).parents[3] / "shared/weights/mobilenetv2_100.safetensors"
SIZE = 32
GREY = Preprocessing(SIZE, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


class TinyNet(nn.Module):
    """Two convolutions with batch norms, and two taps."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 5, 3, 2, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(5)
        self.second = nn.Conv2d(5, 7, 3, 2, 1)
        self.second_norm = nn.BatchNorm2d(7)
        randomise(self, seed)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Turn (N, 3, H, W) images into two pooled taps of 5 and 7 channels."""
        inner = torch.relu(self.first_norm(self.first(x)))
        outer = torch.relu(self.second_norm(self.second(inner)))
        return inner.mean((2, 3)), outer.mean((2, 3))


def randomise(net: nn.Module, seed: int = 0) -> None:
    """Draw weights, with unequal norms, so that a swapped channel or a missing norm shows."""
    generator = torch.Generator().manual_seed(seed)
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            fan_in = module.weight[0].numel()
            nn.init.normal_(module.weight, std=(2 / fan_in) ** 0.5, generator=generator)
            if module.bias is not None:
                nn.init.normal_(module.bias, std=0.1, generator=generator)
        if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None:
            assert module.running_var is not None
            nn.init.uniform_(module.weight, 0.6, 1.2, generator=generator)
            nn.init.normal_(module.bias, std=0.2, generator=generator)
            nn.init.normal_(module.running_mean, std=0.2, generator=generator)
            nn.init.uniform_(module.running_var, 0.7, 1.5, generator=generator)
    net.eval()


def pictures(n: int, size: int = SIZE) -> Tensor:
    """Draw procedural images (n, 3, size, size) uint8."""
    return torch.from_numpy(_pixels(n, size).copy())


@cache
def _pixels(n: int, size: int) -> np.ndarray:
    return procedural_images(n, size, seed=7)


def tiny_reference(seed: int = 0, dim: int = 6) -> Reference:
    """Fit a reference for the 12 channels of `TinyNet`."""
    rng = np.random.default_rng(seed)
    return reference_of([rng.random((40, 5)), rng.random((40, 7))], dim)


def reference_of(taps: Sequence[np.ndarray], dim: int) -> Reference:
    """Fit a reference to the (N, C_i) taps of images without labels."""
    scale, projection, steps = fit_projection(taps, dim)
    rows = [torch.from_numpy(tap).float() for tap in taps]
    latents = project(rows, torch.from_numpy(scale), torch.from_numpy(projection)).numpy()
    return Reference(scale, projection, fit_metric(ReferenceLatents(latents, None, None)), steps)


def tiny_backbone(**changes: Any) -> Backbone:
    """Build a backbone of `TinyNet`; any argument of `Backbone` can be changed."""
    net = changes.pop("net", None) or TinyNet()
    arguments: dict[str, Any] = {
        "name": "tiny",
        "architecture": "tiny",
        "net": net,
        "tap_names": ("inner", "last"),
        "preprocessing": GREY,
        "reference": tiny_reference(),
        "weights_sha256": hash_weights(net.state_dict()),
    }
    return Backbone(**{**arguments, **changes})


def state_sha256(backbone: Backbone) -> str:
    """Hash the folded weights as they are now in memory; they must never change."""
    return hash_weights(dict(backbone.forward_pass.net.state_dict()))


def random_timm(name: str, folder: Path, *, half: bool = False, **options: Any) -> Path:
    """Write random weights of a timm network to a file, including the classifier."""
    net = import_timm().create_model(name, pretrained=False, num_classes=4, **options)
    randomise(net)
    state = {key: value.contiguous() for key, value in net.state_dict().items()}
    if half:
        state = {k: v.half() if v.is_floating_point() else v for k, v in state.items()}
    path = folder / f"{name}.safetensors"
    save_file(state, str(path))
    return path
