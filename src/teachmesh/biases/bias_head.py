"""The head of a biased network: the latents that it reads, and its closed-form refit.

During training, the head reads latents that are differentiable everywhere. After training, the head
can be averaged with another head, fitted by ridge regression to the most recent latents.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch

from teachmesh.mapping.moments_fit import HEAD_TEMPERATURE
from teachmesh.mapping.ridge import RIDGE, fit_ridge
from teachmesh.model.forward_pass import Tensors
from teachmesh.model.head import Head
from teachmesh.model.macs import MacCounter
from teachmesh.model.reference import project

if TYPE_CHECKING:
    from collections.abc import Sequence

    from teachmesh.biases.biased_network import BeneficialBiases, PassCosts
    from teachmesh.model.reference import Reference

Reads = Callable[[Tensors], torch.Tensor]
"""Differentiable function from taps to the latents (N, D) that the head reads."""
CLOSED_SHARE = 0.5
"""Weight of the closed-form head in the average with the trained head."""
_FLOOR = 1e-6
"""Number added under the square root, whose slope is infinite at 0 (value of silent channels)."""


class TapLatents:
    """Compute latents of one kind from the taps of a network.

    Args:
        features: kind of latents, "last" or "multi".
        reference: reference of the backbone.
        device: device of the taps.
    """

    def __init__(self, features: str, reference: Reference, device: torch.device) -> None:
        self._multi = features == "multi"
        self._scale = torch.from_numpy(reference.scale).to(device)
        self._projection = torch.from_numpy(reference.projection).to(device)

    def exact(self, taps: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return the (N, D) latents that `Backbone.embed` would compute from these taps."""
        return project(taps, self._scale, self._projection) if self._multi else taps[-1]

    def smooth(self, taps: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return approximate (N, D) latents whose gradients are finite everywhere."""
        if not self._multi:
            return taps[-1]
        x = torch.cat(list(taps), dim=1) / self._scale
        x = torch.sign(x) * (torch.sqrt(x.abs() + _FLOOR) - _FLOOR**0.5)
        return torch.nn.functional.normalize(x, dim=1) @ self._projection


class SeenLatents:
    """The most recent latent of each training image."""

    def __init__(self) -> None:
        self._by_row: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self._by_row)

    def keep(self, rows: np.ndarray, latents: torch.Tensor) -> None:
        """Store the (N, D) latents of the images in the given N rows."""
        self._by_row.update(zip(rows.tolist(), latents.cpu().numpy(), strict=True))

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the ascending rows and latents of all stored images; at least one must exist."""
        rows = np.array(sorted(self._by_row), dtype=np.int64)
        return rows, np.stack([self._by_row[row] for row in rows.tolist()])


def mean_head(trained: Head, seen: SeenLatents, labels: np.ndarray) -> tuple[Head, int]:
    """Average the trained head with a head fitted in closed form to the most recent latents.

    Args:
        trained: trained head, with logits on the scale of log posteriors.
        seen: most recent latents of the training images.
        labels: (N,) int64 class indices of all training images, indexed by the rows of `seen`.

    Returns:
        The average head and its cost in multiply-accumulates. If `seen` lacks all images of a
        class: the trained head and cost 0.
    """
    n_classes = len(trained.bias)
    rows, latents = seen.arrays() if len(seen) else (np.zeros(0, dtype=np.int64), None)
    if latents is None or len(np.unique(labels[rows])) < n_classes:
        return trained, 0
    with MacCounter() as counter:
        closed = ridge_head(latents, labels[rows], n_classes, RIDGE)
    weight = (1 - CLOSED_SHARE) * trained.weight + CLOSED_SHARE * closed.weight
    bias = (1 - CLOSED_SHARE) * trained.bias + CLOSED_SHARE * closed.bias
    return Head(weight.astype(np.float32), bias.astype(np.float32)), int(counter.macs)


def refit_macs(n: int, dim: int, n_classes: int) -> int:
    """Return an upper bound on the multiply-accumulates of `mean_head` for n latents."""
    return n * dim * (min(n, dim) + 3 * n_classes + 2)


def ridge_head(latents: np.ndarray, labels: np.ndarray, n_classes: int, ridge: float) -> Head:
    """Fit a head in closed form, with logits on the scale of log posteriors.

    Args:
        latents: (N, D) float32 latents of the training images.
        labels: (N,) int64 class indices; every class must occur.
        n_classes: number of classes, C.
        ridge: strength of the regularisation, see `fit_ridge`.
    """
    weight, centre, values = fit_ridge(latents, labels, n_classes, ridge=ridge)
    bias = (values - weight @ centre) / HEAD_TEMPERATURE
    return Head((weight / HEAD_TEMPERATURE).astype(np.float32), bias.astype(np.float32))


def costs_with_head(bb: BeneficialBiases, reads: Reads, head: Head) -> PassCosts:
    """Count the multiply-accumulates of one image, including latents and head.

    Args:
        bb: the network with biases.
        reads: function from taps to the latents that the head reads.
        head: any head of the same shape as the one to be trained.
    """
    weight = torch.tensor(head.weight, device=bb.device, requires_grad=True)
    return bb.costs_of(lambda taps: reads(taps) @ weight.T, (weight,))
