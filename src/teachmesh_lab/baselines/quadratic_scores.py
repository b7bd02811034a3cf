"""Quadratic class scores: log densities of Gaussians whose covariances have few own directions.

The covariance of a class is simple (a multiple of the identity, or diagonal) plus V^T V, where V
has few rows. With the Woodbury identity, its inverse is simple minus A^T A, where A has the shape
of V. Therefore no (D, D) matrix of a class is formed, and scores are exact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from teachmesh_lab.baselines.frozen import NUMBER_BYTES


@dataclass(frozen=True, eq=False)
class QuadraticScores:
    """Scores of C classes as quadratic functions of a point x.

    score_c(x) = offsets[c] + linear[c] x - squares[c] x^2 / 2
    + sum over the axes k of class c of weights[k] (axes[k] x - shifts[k])^2 / 2

    Attributes:
        offsets: (C,) float64.
        linear: (C, D) float64.
        squares: (C, D) float64, inverse variances; None if they are the same for all classes, so
            that the term changes no decision.
        axes: (K, D) float32; the axes of a class follow each other, in the order of classes.
        shifts: (K,) float64.
        weights: (K,) float64.
        counts: (C,) int64 numbers of axes.
    """

    offsets: Tensor
    linear: Tensor
    squares: Tensor | None
    axes: Tensor
    shifts: Tensor
    weights: Tensor
    counts: Tensor

    @classmethod
    def join(cls, parts: Sequence[QuadraticScores]) -> QuadraticScores:
        """Return the scores of the classes of all parts, in their order."""
        squares = [part.squares for part in parts if part.squares is not None]
        names = ("offsets", "linear", "axes", "shifts", "weights", "counts")
        joined = {name: torch.cat([getattr(part, name) for part in parts]) for name in names}
        return cls(squares=torch.cat(squares) if squares else None, **joined)

    def __call__(self, points: Tensor) -> np.ndarray:
        """Return (N, C) float64 scores of (N, D) float64 points."""
        scores = self.offsets + points @ self.linear.T
        if self.squares is not None:
            scores -= points.square() @ self.squares.T / 2
        along = self.axes @ points.float().T  # (K, N)
        along.sub_(self.shifts.float()[:, None]).square_().mul_(self.weights.float()[:, None])
        sums = torch.segment_reduce(along, "sum", lengths=self.counts, axis=0)  # (C, N)
        return np.asarray((scores + sums.T / 2).numpy())


def low_rank_axes(rows: Tensor) -> tuple[Tensor, float]:
    """Invert I + V^T V.

    Args:
        rows: (K, D) float rows of V.

    Returns:
        (K, D) axes A with (I + V^T V)^-1 = I - A^T A, and the log determinant of I + V^T V.
    """
    inner = rows @ rows.T
    inner.diagonal().add_(1)
    factor = torch.linalg.cholesky(inner)
    axes = torch.linalg.solve_triangular(factor, rows, upper=False)
    return axes, 2 * float(factor.diagonal().double().log().sum())


def unseen_macs(rows: Tensor) -> int:
    """Return the multiply-accumulates of `low_rank_axes` that torch's counter omits."""
    count, dim = rows.shape
    return count**3 // 6 + count * count * dim // 2


def covariance_rows(latents: Tensor, labels: np.ndarray, n_classes: int) -> list[Tensor]:
    """Return rows V of each class, so that V^T V is the unbiased covariance of the class.

    Args:
        latents: (N, D) float64 latents.
        labels: (N,) int64 class indices; every class occurs.
        n_classes: number of classes, C.

    Returns:
        C tensors of shape (N_c, D); the rows of a class with one image are zero.
    """
    found = []
    for label in range(n_classes):
        own = latents[torch.from_numpy(labels == label)]
        found.append((own - own.mean(0)) / max(len(own) - 1, 1) ** 0.5)
    return found


def smallest_form(rows: Tensor) -> np.ndarray:
    """Return the smaller of two float32 forms of a covariance: V, or one triangle of V^T V.

    Args:
        rows: (K, D) rows of V.
    """
    count, dim = rows.shape
    if count * dim <= dim * (dim + 1) // 2:
        return np.asarray(rows.float().numpy())
    return triangle(rows.T @ rows)


def covariance_arrays(rows: Mapping[int, Sequence[Tensor]]) -> dict[str, np.ndarray]:
    """Return the smallest forms of all classes' covariances, by names to send them under.

    Args:
        rows: position of a task -> (K, D) rows of V of each of its classes.
    """
    return {
        f"covariances.{index}.{label}": smallest_form(own)
        for index, found in rows.items()
        for label, own in enumerate(found)
    }


def form_bytes(count: int, dim: int) -> int:
    """Return the number of bytes of `smallest_form` for K rows of dimension D."""
    return NUMBER_BYTES * min(count * dim, dim * (dim + 1) // 2)


def triangle(matrix: Tensor) -> np.ndarray:
    """Return the upper triangle of a (D, D) symmetric matrix, as D (D + 1) / 2 float32 numbers."""
    rows, columns = np.triu_indices(len(matrix))
    return np.asarray(matrix.numpy()[rows, columns].astype(np.float32))
