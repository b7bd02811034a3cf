"""The head of a biased network: the latents it reads, and its refit in closed form.

While biases are trained, the head reads latents that are differentiable everywhere. In the end it
can be averaged with a head fitted by ridge regression to the latents seen in the last steps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch

from teachmesh.mapping.moments import HEAD_TEMPERATURE
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
"""Weight of the head in closed form in the mean of both heads."""
_FLOOR = 1e-6
"""Added under the square root, whose slope is infinite at 0, the value of silent channels."""


class TapLatents:
    """Turn taps into the latents of one kind.

    Args:
        features: "last" or "multi"; Head2Toe reads "last".
        reference: reference of the backbone.
        device: device of the taps.
    """

    def __init__(self, features: str, reference: Reference, device: torch.device) -> None:
        self._multi = features == "multi"
        self._scale = torch.from_numpy(reference.scale).to(device)
        self._projection = torch.from_numpy(reference.projection).to(device)

    def exact(self, taps: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return the latents (N, D) that `Backbone.embed` gives."""
        return project(taps, self._scale, self._projection) if self._multi else taps[-1]

    def smooth(self, taps: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return nearly the same latents (N, D), with a finite slope everywhere."""
        if not self._multi:
            return taps[-1]
        x = torch.cat(list(taps), dim=1) / self._scale
        x = torch.sign(x) * (torch.sqrt(x.abs() + _FLOOR) - _FLOOR**0.5)
        return torch.nn.functional.normalize(x, dim=1) @ self._projection


class SeenLatents:
    """The most recent latents of each training image."""

    def __init__(self) -> None:
        self._by_row: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self._by_row)

    def keep(self, rows: np.ndarray, latents: torch.Tensor) -> None:
        """Store the latents (N, D) of images by their rows (N,)."""
        self._by_row.update(zip(rows.tolist(), latents.cpu().numpy(), strict=True))

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Return rows (M,), ascending, and latents (M, D) of all images seen; M is at least 1."""
        rows = np.array(sorted(self._by_row), dtype=np.int64)
        return rows, np.stack([self._by_row[row] for row in rows.tolist()])


def mean_head(trained: Head, seen: SeenLatents, labels: np.ndarray) -> tuple[Head, int]:
    """Average the trained head with a head in closed form.

    Args:
        trained: head in the unit of log posteriors.
        seen: latents with the final biases.
        labels: (N,) int64 of all training images; the rows of `seen` index it.

    Returns:
        The head and its cost in multiply-accumulates; the trained head and 0 if a class was not
        seen.
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
    """Return an upper bound of the multiply-accumulates of `mean_head` for n latents."""
    return n * dim * (min(n, dim) + 3 * n_classes + 2)


def ridge_head(latents: np.ndarray, labels: np.ndarray, n_classes: int, ridge: float) -> Head:
    """Fit a head in closed form, in the unit of log posteriors.

    Args:
        latents: (N, D) float32.
        labels: (N,) int64; every class occurs.
        n_classes: C.
        ridge: see `fit_ridge`.
    """
    weight, centre, values = fit_ridge(latents, labels, n_classes, ridge=ridge)
    bias = (values - weight @ centre) / HEAD_TEMPERATURE
    return Head((weight / HEAD_TEMPERATURE).astype(np.float32), bias.astype(np.float32))


def costs_with_head(bb: BeneficialBiases, reads: Reads, head: Head) -> PassCosts:
    """Count the multiply-accumulates of one image, latents and head included.

    Args:
        bb: the network with biases.
        reads: taps -> latents of the head.
        head: head of the shape that will be trained.
    """
    weight = torch.tensor(head.weight, device=bb.device, requires_grad=True)
    return bb.costs_of(lambda taps: reads(taps) @ weight.T, (weight,))
