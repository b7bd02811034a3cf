"""A head in closed form on the latents that the last steps of training biases have seen.

A head that is trained together with biases follows latents that move under it. Once they rest, the
best head for them can be computed, and it costs no pass: the last steps, at rates that fall to
zero, have seen every image nearly as it stays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from teachmesh.mapping.moments import HEAD_TEMPERATURE
from teachmesh.mapping.ridge import RIDGE, fit_ridge
from teachmesh.model.head import Head
from teachmesh.model.macs import MacCounter

if TYPE_CHECKING:
    import torch

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
