"""Gaussian densities of tasks and classes in a space where the identity is the usual covariance.

A task's covariance is `base I + U diag(g l) U^T`, where U has few columns. Matrix products with
class means and with U therefore give the distances and determinants of all its classes.

References:
    Friedman, Regularized Discriminant Analysis, 1989.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch

OWN_SHARE = 0.2
"""Weight of a task's own covariance if it has many degrees of freedom, g."""
HALF_SHARE = 20
"""Degrees of freedom at which a covariance has half of its full weight."""
_NO_VARIANCE = 1e-9
_LEAST_SHARE = 1e-12
_ALIGNMENT = 64
"""Alignment, in bytes, of the memory of new tensors."""


@dataclass(frozen=True, eq=False)
class TaskMoments:
    """Class means and within-class covariance of one task, in the space of a metric.

    Attributes:
        means: (C, D) float64 class means.
        roots: (R, D) float64; the low-rank part of the covariance is roots^T roots.
        rest: remaining variance of every dimension.
        share: weight of the task's own covariance, g; the identity has the weight 1 - g.
        errors: (C,) float64 expected squared distances between the class means and their rounded
            values; None if they are negligible.
    """

    means: np.ndarray
    roots: np.ndarray
    rest: float
    share: float
    errors: np.ndarray | None = None

    def leading(self, coordinates: int, directions: int) -> TaskMoments:
        """Return the moments of the first coordinates, with fewer directions of the covariance."""
        roots, kept = self.roots[:directions, :coordinates], self.means[:, :coordinates]
        errors = self.errors
        if errors is not None:
            errors = errors * (kept.shape[1] / self.means.shape[1])
        return dataclasses.replace(self, means=kept, roots=roots, errors=errors)


def class_means(latents: np.ndarray, labels: np.ndarray, n_classes: int) -> np.ndarray:
    """Return (C, D) float64 class means.

    Args:
        latents: (N, D) latents.
        labels: (N,) int64 class of each image; every class occurs.
        n_classes: number of classes, C.
    """
    sums = torch.zeros(n_classes, latents.shape[1], dtype=torch.float64)
    sums.index_add_(0, torch.from_numpy(labels), torch.from_numpy(latents.astype(np.float64)))
    counts = np.bincount(labels, minlength=n_classes)
    return np.asarray(sums.numpy() / counts[:, None])


def own_share(degrees: int, full: float = OWN_SHARE) -> float:
    """Return the weight of a task's own covariance.

    Args:
        degrees: degrees of freedom of the covariance: images minus classes.
        full: weight for many degrees of freedom.

    >>> [round(own_share(degrees), 3) for degrees in (0, 20, 1980)]
    [0.0, 0.1, 0.198]
    """
    return full * degrees / (degrees + HALF_SHARE)


@dataclass(frozen=True, eq=False)
class TaskDensity:
    """Log densities of the classes of one task, as a quadratic function of a point z.

    The covariance is (1 - g) I + g own. For class c,
    `density_c(z) = rows[c] z + offsets[c] + |axes z|^2 - precision |z|^2 / 2`, up to the constant
    -D/2 log(2 pi). The first two terms differ between classes, the others are common to the task.

    Attributes:
        matrix: (C + R, D) float32, the rows and below them the axes.
        offsets: (C,) float64; minus infinity for classes that are not used.
        precision: inverse variance outside the task's own directions.
    """

    matrix: np.ndarray
    offsets: np.ndarray
    precision: float

    @classmethod
    def of(cls, task: TaskMoments) -> TaskDensity:
        """Compute the density of a task from its moments.

        The matrix is rounded to float32, and all densities are computed from the rounded numbers.
        """
        # Copies, because the place and the strides of an array in memory change how products are
        # rounded. Equal tasks would have unequal evidence.
        means, roots = torch.tensor(task.means), torch.tensor(task.roots)
        base = (1 - task.share) + task.share * task.rest
        # With M = base / g I + R R^T, the inverse covariance is (I - R^T M^-1 R) / base.
        inner = roots @ roots.T
        ratio = base / max(task.share, _LEAST_SHARE)
        inner.diagonal().add_(ratio)
        factor = torch.linalg.cholesky(inner)
        identity = torch.eye(len(roots), dtype=roots.dtype)
        # A product with the small inverse is faster than solving for D columns.
        axes = torch.linalg.solve_triangular(factor, identity, upper=False) @ roots  # (R, D)
        rows = (means - (means @ axes.T) @ axes) / base  # (C, D)
        spread = 2 * float((factor.diagonal() / ratio**0.5).log().sum())
        log_determinant = task.means.shape[1] * float(np.log(base)) + spread
        offsets = -0.5 * ((rows * means).sum(1) + log_determinant)
        if task.errors is not None:  # rounding moves the mean away from its images
            offsets = offsets + torch.from_numpy(task.errors) / (2 * base)
        matrix = torch.cat([rows, axes / (2 * base) ** 0.5])
        return cls(matrix.float().numpy(), offsets.numpy(), 1 / base)

    @property
    def rows(self) -> np.ndarray:
        """(C, D) float32."""
        return self.matrix[: len(self.offsets)]

    @property
    def axes(self) -> np.ndarray:
        """(R, D) float32."""
        return self.matrix[len(self.offsets) :]

    def scores(self, z: torch.Tensor) -> torch.Tensor:
        """Return (N, C) class log densities in nats.

        Args:
            z: (N, D) float64 points.
        """
        products = z @ torch.from_numpy(self.matrix).double().T  # (N, C + R)
        linear, along = products.tensor_split([len(self.offsets)], dim=1)
        common = (along * along).sum(1) - 0.5 * self.precision * (z * z).sum(1)
        return linear + torch.from_numpy(self.offsets) + common[:, None]

    def evidence(self, z: torch.Tensor) -> torch.Tensor:
        """Return the (N,) log densities of the best class, in nats, from (N, D) float64 points."""
        return self.scores(z).amax(dim=1)

    def evidence_in_float32(self, point: torch.Tensor, square: float) -> float:
        """Return the log density of the best class at one point, computed with float32 products.

        Args:
            point: (D,) float32.
            square: squared length of the point.
        """
        matrix = _aligned(torch.from_numpy(self.matrix))
        products = torch.mv(matrix, _aligned(point)).numpy().astype(np.float64)
        count = len(self.offsets)
        along = products[count:]
        best = float((products[:count] + self.offsets).max())
        return best + float(along @ along) - 0.5 * self.precision * square


def _aligned(values: torch.Tensor) -> torch.Tensor:
    """Return a copy if the memory is not aligned, because products could then be rounded otherwise.

    Equal tasks would have unequal evidence, depending on their places in memory.
    """
    return values if values.data_ptr() % _ALIGNMENT == 0 else values.clone()


def principal_axes(roots: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return variances (R,) and orthonormal columns (D, R) of the covariance roots^T roots."""
    values, vectors = torch.linalg.eigh(roots @ roots.T)
    kept = values > _NO_VARIANCE
    values, vectors = values[kept], vectors[:, kept]
    return values, (roots.T @ vectors) / values.sqrt()


class WideGaussian:
    """A Gaussian with the covariance I + roots^T roots.

    Args:
        mean: (D,) float64.
        roots: (R, D) float64.
    """

    def __init__(self, mean: np.ndarray, roots: np.ndarray) -> None:
        self._mean = torch.from_numpy(mean)
        values, self._basis = principal_axes(torch.tensor(roots))  # a copy, see `TaskDensity.of`
        self._shrink = values / (1 + values)
        self._log_determinant = float(torch.log1p(values).sum())

    def score(self, z: torch.Tensor) -> torch.Tensor:
        """Return (N,) log densities in nats, without the constant -D/2 log(2 pi).

        Args:
            z: (N, D) float64 points.
        """
        x = z - self._mean
        along = x @ self._basis
        squared = (x * x).sum(1) - (along * along) @ self._shrink
        return -0.5 * (squared + self._log_determinant)
