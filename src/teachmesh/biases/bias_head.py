"""What a head with biases reads of the network's taps, differentiable while it is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from teachmesh.mapping.moments import HEAD_TEMPERATURE
from teachmesh.mapping.ridge import RIDGE, fit_ridge
from teachmesh.model.head import Head
from teachmesh.model.macs import MacCounter
from teachmesh.model.reference import project

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from teachmesh.model.reference import Reference


_FLOOR = 1e-6
"""Added under the square root: its slope at 0 is infinite, and channels that are silent are 0."""


class TapLatents:
    """Taps -> the latents of one kind.

    Args:
        features: "last" or "multi"; Head2Toe's features begin from "last".
        reference: of the backbone.
        device: where the taps are.
    """

    def __init__(self, features: str, reference: Reference, device: torch.device) -> None:
        self._multi = features == "multi"
        self._scale = torch.from_numpy(reference.scale).to(device)
        self._projection = torch.from_numpy(reference.projection).to(device)

    def exact(self, taps: Sequence[torch.Tensor]) -> torch.Tensor:
        """(N, D) as `Backbone.embed` has them."""
        return project(taps, self._scale, self._projection) if self._multi else taps[-1]

    def smooth(self, taps: Sequence[torch.Tensor]) -> torch.Tensor:
        """(N, D) nearly the same, with a finite slope everywhere."""
        if not self._multi:
            return taps[-1]
        x = torch.cat(list(taps), dim=1) / self._scale
        x = torch.sign(x) * (torch.sqrt(x.abs() + _FLOOR) - _FLOOR**0.5)
        return torch.nn.functional.normalize(x, dim=1) @ self._projection


CLOSED_SHARE = 0.5
"""Share of the head in closed form in the mean of both."""


class SeenLatents:
    """The latents of training images, each as it was seen last."""

    def __init__(self) -> None:
        self._by_row: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self._by_row)

    def keep(self, rows: np.ndarray, latents: torch.Tensor) -> None:
        """Remember the latents (N, D) of images by their rows (N,)."""
        self._by_row.update(zip(rows.tolist(), latents.cpu().numpy(), strict=True))

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows (M,) in ascending order and latents (M, D) of all images seen, at least one."""
        rows = np.array(sorted(self._by_row), dtype=np.int64)
        return rows, np.stack([self._by_row[row] for row in rows.tolist()])


def refit_macs(n: int, dim: int, n_classes: int) -> int:
    """No less than `mean_head` counts for n images of width `dim`, to plan with."""
    return n * dim * (min(n, dim) + 3 * n_classes + 2)


def mean_head(trained: Head, seen: SeenLatents, labels: np.ndarray) -> tuple[Head, int]:
    """The mean of the trained head and of one in closed form.

    Args:
        trained: in the unit of log posteriors.
        seen: latents with the biases as they are.
        labels: (N,) int64 of all training images; rows of `seen` point into it.

    Returns:
        The head, and the multiply-accumulates of it. The trained one, for nothing, where a class
        was not seen.
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


def ridge_head(latents: np.ndarray, labels: np.ndarray, n_classes: int, ridge: float) -> Head:
    """A head in closed form, in the unit of log posteriors.

    Args:
        latents: (N, D) float32.
        labels: (N,) int64; every class occurs.
        n_classes: C.
        ridge: see `fit_ridge`.
    """
    weight, centre, values = fit_ridge(latents, labels, n_classes, ridge=ridge)
    bias = (values - weight @ centre) / HEAD_TEMPERATURE
    return Head((weight / HEAD_TEMPERATURE).astype(np.float32), bias.astype(np.float32))
