"""Linear maps to the space where a covariance is the identity.

Distances in this space are Mahalanobis distances. A covariance has many such maps, which differ by
a rotation. The rotation does not affect inner products.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import torch

RIDGE = 1e-3
"""Ridge added to the diagonal of a covariance, as a fraction of the diagonal's mean."""
_NO_VARIANCE = 1e-12


class Whitening(ABC):
    """Linear map x -> W x of rows (N, D), where W^T W is the inverse covariance."""

    @abstractmethod
    def apply(self, rows: torch.Tensor) -> torch.Tensor:
        """Return whitened rows (N, D) float64."""


class DenseWhitening(Whitening):
    """Whitening by a Cholesky factor: D^3 operations for the setup, N D^2 for N rows.

    Args:
        covariance: (D, D) float64 positive definite matrix.
    """

    def __init__(self, covariance: np.ndarray) -> None:
        factor = torch.linalg.cholesky(torch.from_numpy(covariance))
        identity = torch.eye(len(factor), dtype=torch.float64)
        inverse = torch.linalg.solve_triangular(factor, identity, upper=False)  # (D, D)
        self._matrix = inverse.T.contiguous()

    def apply(self, rows: torch.Tensor) -> torch.Tensor:
        """Multiply the rows by a (D, D) matrix."""
        return torch.mm(rows, self._matrix)


class LowRankWhitening(Whitening):
    """Whitening for the covariance roots^T roots + diag(diagonal).

    The setup takes D R^2 operations, and N rows take N D R. Let diag^-1/2 roots^T = U diag(s) Q^T.
    Then the inverse covariance is `diag^-1/2 (I - U diag(s^2 / (1 + s^2)) U^T) diag^-1/2`, and
    W is a square root of that matrix.

    Args:
        roots: (R, D) float64, R < D.
        diagonal: (D,) float64, positive.
    """

    def __init__(self, roots: np.ndarray, diagonal: np.ndarray) -> None:
        self._scales = torch.from_numpy(diagonal).rsqrt()  # (D,)
        scaled = torch.from_numpy(roots) * self._scales  # (R, D)
        squares, vectors = torch.linalg.eigh(scaled @ scaled.T)
        kept = squares > _NO_VARIANCE
        squares, vectors = squares[kept], vectors[:, kept]
        self._directions = (scaled.T @ vectors) / squares.sqrt()  # (D, R) orthonormal
        self._cuts = 1 - (1 + squares).rsqrt()  # (R,)
        self._gains = (1 + squares).sqrt() - 1  # (R,)

    def apply(self, rows: torch.Tensor) -> torch.Tensor:
        """Scale the rows, then shrink them along R directions."""
        scaled = rows * self._scales
        return torch.sub(scaled, ((scaled @ self._directions) * self._cuts) @ self._directions.T)

    def undo(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the (N, D) rows that `apply` maps to the given ones."""
        stretched = torch.add(rows, ((rows @ self._directions) * self._gains) @ self._directions.T)
        return stretched / self._scales

    def undo_transposed(self, rows: torch.Tensor) -> torch.Tensor:
        """Multiply the rows (K, D) by the transpose of the matrix that `undo` multiplies by."""
        scaled = rows / self._scales
        return torch.add(scaled, ((scaled @ self._directions) * self._gains) @ self._directions.T)


def ridge_of(trace: float, dim: int) -> float:
    """Return the ridge for a (D, D) covariance with the given trace.

    The added constant handles tasks without variance: one image per class, or identical images.
    """
    return RIDGE * trace / dim + 1e-9
