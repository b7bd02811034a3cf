"""A network with one linear head per task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from teachmesh.errors import BackboneError
from teachmesh_lab.baselines.seeding import make_generator
from teachmesh_lab.baselines.training_costs import Costs


class MultiHead(nn.Module):
    """A trunk that maps images to (N, D) latents, and one linear head per task, D -> C.

    Args:
        trunk: network for (N, 3, S, S) float images in [0, 1]; if it has several outputs, the last
            is used. It stays in evaluation mode, apart from its batch norms (see `running_norms`).
        size: side length of the images in pixels, S.
        seed: seed for the initial weights of heads.
        running_norms: whether batch norms use the batch's statistics in training, and update the
            statistics that they use otherwise; if not, they keep their initial statistics.

    Attributes:
        numbers: number of parameters of the trunk.
        norm_statistics: running means and variances of all batch norms, in network order; empty if
            they are frozen.
        costs: costs of all passes so far, as recorded by the baselines.

    Raises:
        BackboneError: the trunk does not return (N, D) latents.
    """

    def __init__(
        self, trunk: nn.Module, size: int, seed: int, *, running_norms: bool = False
    ) -> None:
        super().__init__()
        self.trunk = trunk.eval()
        self.numbers = sum(parameter.numel() for parameter in trunk.parameters())
        found = [m for m in trunk.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
        self._norms = found if running_norms else []
        statistics = [(m.running_mean, m.running_var) for m in self._norms]
        self.norm_statistics = [
            tensor for pair in statistics for tensor in pair if tensor is not None
        ]
        self.heads = nn.ModuleDict()
        self.seed = seed
        with torch.no_grad():
            shape = self.latents(torch.zeros(1, 3, size, size, dtype=torch.uint8)).shape
        if len(shape) != 2:
            raise BackboneError(f"expected a network that gives (N, D) latents, got {tuple(shape)}")
        self.dim = int(shape[1])
        self.costs = Costs(trunk, size, self.dim)

    @property
    def device(self) -> torch.device:
        """Device on which the network runs."""
        return next(self.trunk.parameters()).device

    def set_learning(self, learning: bool) -> None:
        """Let running batch norms use and update the statistics of batches, or not."""
        for norm in self._norms:
            norm.training = learning

    def prepare(self, images: Tensor) -> Tensor:
        """Convert uint8 images to (N, 3, S, S) float32 in [0, 1], on the network's device."""
        return images.to(self.device).float() / 255

    def latents(self, images: Tensor) -> Tensor:
        """Return the (N, D) latents of (N, 3, S, S) uint8 images."""
        if len(images) == 1:
            self.set_learning(False)  # one image has no statistics in a layer of one pixel
        found = self.trunk(self.prepare(images))
        return cast(Tensor, found[-1] if isinstance(found, tuple | list) else found)

    def add_head(self, index: int, n_classes: int) -> nn.Linear:
        """Add a head. Its random initial weights do not depend on the tasks learned before."""
        generator = make_generator(self.seed, "head", index)
        bound = self.dim**-0.5  # as in torch.nn.Linear
        values = torch.rand(n_classes, self.dim + 1, generator=generator) * (2 * bound) - bound
        head = nn.Linear(self.dim, n_classes, device="meta").to_empty(device=self.device)
        with torch.no_grad():
            head.weight.copy_(values[:, :-1])
            head.bias.copy_(values[:, -1])
        self.heads[str(index)] = head
        return head

    def head(self, index: int) -> nn.Linear:
        """Return the head of a task."""
        return cast(nn.Linear, self.heads[str(index)])

    def classes(self, index: int) -> int:
        """Return the number of classes C of a task."""
        return self.head(index).out_features

    def logits(self, latents: Tensor, index: int) -> Tensor:
        """Return (N, C) logits of one task's classes."""
        return cast(Tensor, self.head(index)(latents))

    def cross_entropy(self, latents: Tensor, index: int, labels: Tensor) -> Tensor:
        """Return the cross-entropy summed over the N images, in nats."""
        labels = labels.to(self.device)
        return functional.cross_entropy(self.logits(latents, index), labels, reduction="sum")


def mixed_loss(net: MultiHead, parts: Sequence[tuple[int, Tensor, Tensor]]) -> Tensor:
    """Return the mean cross-entropy (nats) of a batch from several tasks, and count its cost.

    Args:
        net: the network.
        parts: position of a task, images as (B, 3, S, S) uint8 and (B,) int64 labels, for each
            task in the batch.
    """
    latents = net.latents(torch.cat([images for _, images, _ in parts]))
    heads = [(len(labels), net.classes(index)) for index, _, labels in parts]
    net.costs.training_pass(len(latents), heads)
    split = torch.split(latents, [rows for rows, _ in heads])
    losses = [
        net.cross_entropy(own, index, labels)
        for (index, _, labels), own in zip(parts, split, strict=True)
    ]
    return torch.stack(losses).sum() / len(latents)


def head_rows(net: MultiHead, n: int, indices: Sequence[int]) -> list[tuple[int, int]]:
    """Return one (images, classes) pair per head, as for `Costs`, if each head gets N images."""
    return [(n, net.classes(index)) for index in indices]
