"""The within-class covariance of one task, from rows or from a sum of squares.

Both forms give the leading directions, the trace and products with the inverse, which are all that
class moments need.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch


@dataclass(frozen=True)
class Effort:
    """Effort of the subspace iteration.

    Attributes:
        oversample: number of extra directions; they are dropped at the end.
        power_steps: number of iterations.
    """

    oversample: int
    power_steps: int


FULL = Effort(oversample=32, power_steps=4)
"""Effort for the directions that are sent."""
FAST = Effort(oversample=16, power_steps=2)
"""Effort for the fits of the cross-validation."""
_SEED = 0


class WithinCovariance(Protocol):
    """A covariance of latents in the metric's space."""

    @property
    def degrees(self) -> int:
        """Degrees of freedom: images minus classes."""

    @property
    def trace(self) -> float:
        """Total variance."""

    def leading(self, rank: int, effort: Effort = FULL) -> tuple[np.ndarray, np.ndarray, float]:
        """Return (R, D) unit directions, (R,) variances and the mean remaining variance."""

    def times_precision(self, rows: np.ndarray, share: float) -> np.ndarray:
        """Return (K, D) rows times the inverse of (1 - share) I + share * covariance."""


@dataclass(frozen=True, eq=False)
class Covariance:
    """The covariance `rows.T @ rows / divisor + rest I`.

    Attributes:
        rows: (N, D) float64 residuals or roots.
        degrees: degrees of freedom: images minus classes.
        divisor: divisor of the sum of squares.
        rest: additional variance of every dimension.
        products: (N, N) float64 inner products of the rows, if they are known.
    """

    rows: np.ndarray
    degrees: int
    divisor: float = 1.0
    rest: float = 0.0
    products: torch.Tensor | None = None

    @classmethod
    def of_residuals(
        cls, rows: np.ndarray, n_classes: int, products: torch.Tensor | None = None
    ) -> Covariance:
        """Return the unbiased covariance of (N, D) residuals from C class means.

        Args:
            rows: the residuals.
            n_classes: number of classes, C.
            products: (N, N) inner products of the residuals, if they are known.
        """
        degrees = len(rows) - n_classes
        return cls(rows, degrees, float(max(degrees, 1)), products=products)

    @property
    def trace(self) -> float:
        """Total variance."""
        return self._sum_of_squares() / self.divisor + int(self.rows.shape[1]) * self.rest

    def _sum_of_squares(self) -> float:
        return float((self.rows * self.rows).sum())

    def leading(self, rank: int, effort: Effort = FULL) -> tuple[np.ndarray, np.ndarray, float]:
        """Return (R, D) unit directions, (R,) variances and the mean remaining variance."""
        total = self._sum_of_squares() / self.divisor
        vectors, squares = leading_directions(self.rows, rank, effort, self.products)
        variances = squares / self.divisor
        rest = max(total - float(variances.sum()), 0.0) / self.rows.shape[1] + self.rest
        return vectors, variances, rest

    def times_precision(self, rows: np.ndarray, share: float) -> np.ndarray:
        """Return (K, D) rows times the inverse of (1 - share) I + share * covariance."""
        residuals, target = torch.tensor(self.rows), torch.tensor(rows)
        base = (1 - share) + share * self.rest
        factor = share / self.divisor
        n, dim = residuals.shape
        if factor == 0.0:
            return rows / base
        if n < dim:  # the Woodbury identity needs an (N, N) matrix only
            known = self.products
            gram = residuals @ residuals.T if known is None else known.clone()
            gram.diagonal().add_(base / factor)
            inner = torch.cholesky_solve(residuals @ target.T, torch.linalg.cholesky(gram))
            return np.asarray((target - inner.T @ residuals).numpy() / base)
        matrix = factor * (residuals.T @ residuals)
        matrix.diagonal().add_(base)
        return _solve(matrix, rows)


@dataclass(frozen=True, eq=False)
class Scatter:
    """The covariance `squares / max(degrees, 1)`.

    Attributes:
        squares: (D, D) float64 sum of squares and products of residuals from class means.
        degrees: degrees of freedom: images minus classes.
    """

    squares: torch.Tensor
    degrees: int

    @property
    def divisor(self) -> int:
        """Divisor of the sum of squares."""
        return max(self.degrees, 1)

    @property
    def trace(self) -> float:
        """Total variance."""
        return float(self.squares.diagonal().sum()) / self.divisor

    def leading(self, rank: int, effort: Effort = FULL) -> tuple[np.ndarray, np.ndarray, float]:
        """Return (R, D) unit directions, (R,) variances and the mean remaining variance.

        There are at most as many directions as degrees of freedom, but at least one.
        """
        vectors, values = leading_eigenvectors(self.squares, min(rank, self.divisor), effort)
        variances = values / self.divisor
        rest = max(self.trace - float(variances.sum()), 0.0) / len(self.squares)
        return vectors, variances, rest

    def times_precision(self, rows: np.ndarray, share: float) -> np.ndarray:
        """Return (K, D) rows times the inverse of (1 - share) I + share * covariance."""
        matrix = self.squares * (share / self.divisor)
        matrix.diagonal().add_(1 - share)
        return _solve(matrix, rows)


def _solve(matrix: torch.Tensor, rows: np.ndarray) -> np.ndarray:
    """Return (K, D) rows times the inverse of a positive definite matrix."""
    target = torch.tensor(rows)
    return np.asarray(torch.cholesky_solve(target.T, torch.linalg.cholesky(matrix)).T.numpy())


def leading_directions(
    residuals: np.ndarray,
    rank: int,
    effort: Effort = FULL,
    products: torch.Tensor | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the directions of largest variance, by randomised subspace iteration.

    This is twenty times faster than an eigendecomposition. The small error in the last directions
    only moves variance to the residual diagonal.

    Args:
        residuals: (N, D) float64 rows minus their class means.
        rank: number of directions, R; limited to the smaller of N and D.
        effort: effort of the iteration.
        products: (N, N) float64 inner products of the residuals, if they are known.

    Returns:
        (R, D) orthonormal rows and (R,) sums of squares along them, in decreasing order.

    References:
        Halko, Martinsson, Tropp, Finding structure with randomness, 2011, Algorithm 4.4.
    """
    rows = torch.tensor(residuals)  # a copy, because BLAS depends on addresses
    n, dim = rows.shape
    rank = min(rank, n, dim)
    width = min(rank + effort.oversample, n, dim)
    basis = torch.linalg.qr(rows @ _start(dim, width)).Q  # (N, width)
    for _ in range(effort.power_steps):
        if products is None:
            basis = rows @ torch.linalg.qr(rows.T @ basis).Q
        else:  # the same step, on a smaller matrix
            basis = products @ basis
        basis = torch.linalg.qr(basis).Q  # (N, width)
    _, values, directions = torch.linalg.svd(basis.T @ rows, full_matrices=False)
    squares = np.asarray((values[:rank] ** 2).numpy())
    return _with_positive_peaks(directions[:rank]), squares


def leading_eigenvectors(
    matrix: torch.Tensor, rank: int, effort: Effort = FULL
) -> tuple[np.ndarray, np.ndarray]:
    """Return the directions of largest variance of a sum of squares, like `leading_directions`.

    Args:
        matrix: (D, D) float64, symmetric and positive semidefinite.
        rank: number of directions, R; limited to D.
        effort: effort of the iteration.

    Returns:
        (R, D) orthonormal rows and (R,) eigenvalues, at least 0, in decreasing order.
    """
    vectors, values = leading_axes(matrix, rank, effort)
    return _with_positive_peaks(vectors.T.contiguous()), values.numpy()


def leading_axes(
    matrices: torch.Tensor, rank: int, effort: Effort
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return eigenvectors of the largest eigenvalues, by randomised subspace iteration.

    Args:
        matrices: (..., D, D) float64, symmetric and positive semidefinite.
        rank: number of eigenvectors, R; limited to D.
        effort: effort of the iteration.

    Returns:
        (..., D, R) orthonormal columns and (..., R) eigenvalues, at least 0, in decreasing order.
    """
    dim = matrices.shape[-1]
    rank = min(rank, dim)
    basis = torch.linalg.qr(matrices @ _start(dim, min(rank + effort.oversample, dim))).Q
    for _ in range(effort.power_steps):
        basis = torch.linalg.qr(matrices @ basis).Q  # (..., D, width)
    values, inner = torch.linalg.eigh(basis.mT @ (matrices @ basis))  # ascending
    vectors = basis @ inner.flip(-1)[..., :rank]
    return vectors, values.flip(-1)[..., :rank].clamp(min=0)


def _start(dim: int, width: int) -> torch.Tensor:
    """Return the (D, width) random matrix from which every iteration starts."""
    generator = torch.Generator().manual_seed(_SEED)
    return torch.randn(dim, width, generator=generator, dtype=torch.float64)


def _with_positive_peaks(directions: torch.Tensor) -> np.ndarray:
    """Make the largest entry of each row positive, because the sign is arbitrary."""
    largest = directions.abs().argmax(dim=1, keepdim=True)
    signs = torch.where(directions.gather(1, largest) < 0, -1.0, 1.0)
    return np.asarray((directions * signs).numpy())
