"""The classifier of one task as a single network, from pixels to class log posteriors.

A device with a single task needs only this network. The network contains the frozen backbone
with folded biases (Eq. 1 and 2 at no cost), the computation of the latents, and the head. Exported
with `torch.export`, it runs without teachmesh.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from teachmesh.errors import BackboneError
from teachmesh.model.forward_pass import own_modules
from teachmesh.model.reference import project

if TYPE_CHECKING:
    from teachmesh.model.backbone import Backbone
    from teachmesh.model.head import Head


EXPORT_ERRORS = (RuntimeError, ValueError, TypeError, LookupError, AttributeError, AssertionError)
"""Exceptions that tracing the code of a network can raise, including those of torch."""


@dataclass(frozen=True, eq=False)
class Branch:
    """One pass through the backbone, and the head that classifies its latents.

    Attributes:
        net: network from normalised images to pooled taps, with folded biases.
        features: kind of latents that the head reads: "last" or "multi".
        head: head, with logits on the scale of log posteriors.
        weight: weight of this branch in the log-linear pool.
    """

    net: nn.Module
    features: str
    head: Head
    weight: float = 1.0


class Preprocess(nn.Module):
    """Normalise images, and compute multi-depth latents from the taps of the network.

    Args:
        backbone: backbone that provides the preprocessing and the reference.
        compact: True to keep the projection as it is in the reference's file, often a quarter of
            the size. It is then computed in each call, unless the runtime folds constants.
    """

    mean: torch.Tensor
    std: torch.Tensor
    scale: torch.Tensor
    projection: torch.Tensor
    steps: torch.Tensor

    def __init__(self, backbone: Backbone, *, compact: bool = False) -> None:
        super().__init__()
        for name in ("mean", "std"):
            values = 255 * np.array(getattr(backbone.preprocessing, name), dtype=np.float64)
            self.register_buffer(
                name, torch.tensor(values.reshape(1, 3, 1, 1), dtype=torch.float32)
            )
        reference = backbone.reference
        self.register_buffer("scale", torch.tensor(reference.scale))
        projection, steps = reference.projection, reference.steps
        if compact and steps is not None:
            projection = np.rint(projection / steps).astype(np.int8)
        else:
            steps = np.ones(1, dtype=np.float32)
        self._quantised = projection.dtype == np.int8
        self.register_buffer("projection", torch.tensor(projection))
        self.register_buffer("steps", torch.tensor(steps))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return normalised images (N, 3, S, S) float32 from uint8."""
        x = images.float().contiguous(memory_format=torch.channels_last)
        return (x - self.mean) / self.std

    def multi(self, taps: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return the (N, D) multi-depth latents of taps."""
        projection = self.projection.float() * self.steps if self._quantised else self.projection
        return project(taps, self.scale, projection)


class TaskNetwork(nn.Module):
    """Compute log posteriors (N, C) float32 from images (N, 3, S, S) uint8.

    Args:
        backbone: backbone that provides the preprocessing and the reference.
        branches: one pass, or two passes (without and with biases); their weights sum to 1.
        compact: see `Preprocess`.
    """

    def __init__(
        self, backbone: Backbone, branches: Sequence[Branch], *, compact: bool = False
    ) -> None:
        super().__init__()
        self.preprocess = Preprocess(backbone, compact=compact)
        self.nets = nn.ModuleList(own_modules(branch.net) for branch in branches)
        self.heads = nn.ModuleList(_linear(branch.head) for branch in branches)
        self._features = [branch.features for branch in branches]
        self._weights = [branch.weight for branch in branches]
        own_tensors(self.eval())

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the pooled log posteriors of all branches."""
        x = self.preprocess(images)
        parts = []
        for net, head, features, weight in zip(
            self.nets, self.heads, self._features, self._weights, strict=True
        ):
            taps = net(x)
            read = taps[-1] if features == "last" else self.preprocess.multi(taps)
            parts.append(weight * torch.log_softmax(head(read), 1))
        return torch.log_softmax(torch.stack(parts).sum(0), 1)


class TaskAnswers(nn.Module):
    """Compute class, probability and the probabilities of all classes from images.

    Args:
        network: network of the task.
    """

    outputs = ("class", "probability", "probabilities")
    """Names of the results: (N,) int64, (N,) float32 and (N, C) float32."""

    def __init__(self, network: TaskNetwork) -> None:
        super().__init__()
        self.network = network.eval()

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the answers for images (N, 3, S, S) uint8."""
        probabilities = self.network(images).exp()
        return probabilities.argmax(1), probabilities.amax(1), probabilities


def export_program(network: TaskNetwork, size: int, extra: dict[str, str]) -> bytes:
    """Export the network in the format of `torch.export`, for any number of images per call.

    Args:
        network: network of the task.
        size: side of the input images in pixels, S.
        extra: texts to store in the file, by file name.

    Raises:
        BackboneError: torch cannot export a network of this kind.
    """
    program = _exported(network, size)
    target = io.BytesIO()
    torch.export.save(program, target, extra_files=dict(extra))
    return target.getvalue()


def _exported(network: TaskNetwork, size: int) -> torch.export.ExportedProgram:
    example = torch.zeros(2, 3, size, size, dtype=torch.uint8)
    batch = torch.export.Dim("images", min=1, max=65_536)
    try:
        return torch.export.export(network, (example,), dynamic_shapes=({0: batch},), strict=False)
    except EXPORT_ERRORS as error:
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise BackboneError(
            f"expected a network that torch.export can write for any number of images, it says: "
            f"{reason}; use another backbone for skills that are to be exported as a network"
        ) from error


def own_tensors(network: nn.Module) -> None:
    """Make each tensor contiguous and unshared, as export requires."""
    for module in network.modules():
        for name, parameter in module.named_parameters(recurse=False):
            setattr(module, name, nn.Parameter(_row_major(parameter), requires_grad=False))
        for name, buffer in module.named_buffers(recurse=False):
            setattr(module, name, _row_major(buffer))


def _row_major(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().clone(memory_format=torch.contiguous_format)


def _linear(head: Head) -> nn.Linear:
    layer = nn.Linear(head.weight.shape[1], len(head.bias))
    layer.weight = nn.Parameter(torch.tensor(head.weight), requires_grad=False)
    layer.bias = nn.Parameter(torch.tensor(head.bias), requires_grad=False)
    return layer
