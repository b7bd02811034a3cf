"""The fixed metric of a backbone's latents, and the background of images in general.

Both are part of the backbone's reference, so they are equal for all agents and never change. All
decisions about tasks are made in the space of the metric. They therefore depend on no other skill.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from teachmesh.mapping.discriminant import WideGaussian, class_means
from teachmesh.mapping.quantise import LEVELS, quantise_rows, unit_rows
from teachmesh.mapping.whitening import LowRankWhitening, ridge_of


@dataclass(frozen=True, eq=False)
class Metric:
    """A within-class covariance, a centre and a background of latents of size D.

    The covariance is `sum_r variances[r] d_r d_r^T + diag(rest)` plus a small ridge, where d_r is
    the r-th direction divided by its length. The background is a Gaussian in the metric's space
    with mean zero. Its covariance is `I + sum_b spreads[b] e_b e_b^T`, where e_b is the b-th
    background direction divided by its length.

    Attributes:
        centre: (D,) float32, mean latents of the reference images.
        directions: (R, D) int8, leading directions of the within-class covariance.
        variances: (R,) float32, variance along each direction.
        rest: (D,) float32, remaining diagonal of the covariance.
        background: (B, D) int8, leading directions of the background in the metric's space.
        spreads: (B,) float32, additional variance of the background along each direction.

    Raises:
        ValueError: the shapes or types do not fit, or the covariance is not positive.
    """

    centre: np.ndarray
    directions: np.ndarray
    variances: np.ndarray
    rest: np.ndarray
    background: np.ndarray
    spreads: np.ndarray

    def __post_init__(self) -> None:
        floats = (self.centre, self.variances, self.rest, self.spreads)
        if any(a.dtype != np.float32 or a.ndim != 1 for a in floats):
            raise ValueError("its metric's shapes do not fit")
        dim = len(self.centre)
        for rows, values in ((self.directions, self.variances), (self.background, self.spreads)):
            if rows.dtype != np.int8 or rows.shape != (len(values), dim):
                raise ValueError("its metric's directions do not fit")
            if not (rows.any(axis=1).all() and (rows >= -LEVELS).all()):
                raise ValueError("its metric has a direction of length zero")
        if len(self.rest) != dim:
            raise ValueError("its metric's shapes do not fit")
        if not all(np.isfinite(a).all() for a in floats):
            raise ValueError("its metric is not finite")
        if any((a < 0).any() for a in floats[1:]) or not self.trace > 0:
            raise ValueError("its metric has a negative variance, or none")
        # Computed now, because otherwise the counted cost of the first task would include them.
        self._whitening, self.background_gaussian  # noqa: B018 - cached properties

    @classmethod
    def identity(cls, dim: int) -> Metric:
        """Return the metric of latents with covariance I, mean 0 and a background of variance 2."""
        unit = np.zeros((1, dim), dtype=np.int8)
        unit[0, 0] = LEVELS
        one = np.ones(1, dtype=np.float32)
        return cls(np.zeros(dim, np.float32), unit, 0 * one, np.ones(dim, np.float32), unit, one)

    @property
    def dim(self) -> int:
        """Latent size, D."""
        return len(self.centre)

    @cached_property
    def trace(self) -> float:
        """Total within-class variance."""
        return float(self.variances.sum(dtype=np.float64) + self.rest.sum(dtype=np.float64))

    @cached_property
    def _whitening(self) -> LowRankWhitening:
        roots = unit_rows(self.directions) * np.sqrt(self.variances.astype(np.float64))[:, None]
        diagonal = self.rest.astype(np.float64) + ridge_of(self.trace, self.dim)
        return LowRankWhitening(roots, diagonal)

    def apply(self, latents: np.ndarray) -> np.ndarray:
        """Return (N, D) float64 latents in the metric's space, with the centre at zero.

        Args:
            latents: (N, D) multi-depth latents.
        """
        return np.asarray(self.points(torch.tensor(latents)).numpy())

    def centred(self, latents: torch.Tensor) -> torch.Tensor:
        """Return (N, D) latents minus the centre, in float64."""
        return latents.double() - torch.from_numpy(self.centre)

    def points(self, latents: torch.Tensor) -> torch.Tensor:
        """Return the tensor of `apply` for a tensor of latents."""
        return self._whitening.apply(self.centred(latents))

    def apply_to_squares(self, squares: np.ndarray) -> torch.Tensor:
        """Return a (D, D) sum of squares and products of differences, in the metric's space.

        Args:
            squares: (D, D) symmetric float64 sum over differences of latents.
        """
        half = self._whitening.apply(torch.tensor(squares))
        whole = self._whitening.apply(half.T.contiguous())
        return (whole + whole.T) / 2  # exactly symmetric

    def undo(self, points: np.ndarray) -> np.ndarray:
        """Return (N, D) float64 latents minus the centre, for points in the metric's space."""
        return np.asarray(self._whitening.undo(torch.from_numpy(points)).numpy())

    def pull_back(self, rows: np.ndarray) -> np.ndarray:
        """Return (K, D) rows whose products with points equal `rows @ undo(point)`."""
        return np.asarray(self._whitening.undo_transposed(torch.from_numpy(rows)).numpy())

    @cached_property
    def background_gaussian(self) -> WideGaussian:
        """The background as a Gaussian in the metric's space."""
        roots = np.sqrt(self.spreads.astype(np.float64))[:, None] * unit_rows(self.background)
        return WideGaussian(np.zeros(self.dim), roots)


TASK_SHARE = 0.6
"""Variance within the classes of a task, as a fraction of that within classes of reference images.

Measured on 36 real tasks: 0.57 to 0.67 for four backbones."""
TOTAL_SHARE = 0.46
"""The same as a fraction of the total variance of real reference images: 0.44 to 0.54."""
PROCEDURAL_SHARE = 0.86
"""The same as a fraction of the total variance of procedural images: 0.86 and 0.87."""
DIRECTIONS = 128
"""Number of directions of the metric and of the background."""


@dataclass(frozen=True, eq=False)
class ReferenceLatents:
    """Latents of the images from which a metric is made.

    Attributes:
        plain: (N, D) latents of the images.
        labels: (N,) int64 classes of the images; None if they have none.
        looks: (L, M, D) latents of images in L other looks; None if the images are procedural.
    """

    plain: np.ndarray
    labels: np.ndarray | None
    looks: np.ndarray | None


def fit_metric(latents: ReferenceLatents) -> Metric:
    """Fit a metric and a background to latents of reference images.

    Args:
        latents: the latents, float32.
    """
    plain = latents.plain.astype(np.float64)
    centre = plain.mean(axis=0)
    total = float(((plain - centre) ** 2).sum()) / len(plain)
    if latents.labels is not None:
        within = _covariance_within(plain, latents.labels)
        trace = TASK_SHARE * float(np.trace(within))
    else:
        # Images without labels differ in what matters too. Half of the identity makes up for it.
        spread = (plain - centre).T @ (plain - centre) / len(plain)
        within = 0.5 * spread + 0.5 * np.eye(len(spread)) * (total / len(spread))
        trace = (PROCEDURAL_SHARE if latents.looks is None else TOTAL_SHARE) * total
    within = within * (trace / max(float(np.trace(within)), 1e-12))
    directions, variances = _leading(within)
    explained = unit_rows(directions) ** 2
    rest = np.maximum(np.diag(within) - variances @ explained, 0).astype(np.float32)
    nothing = directions[:1], np.zeros(1, dtype=np.float32)
    metric = Metric(centre.astype(np.float32), directions, variances, rest, *nothing)
    return dataclasses.replace(metric, **_background(metric, latents))


def _background(metric: Metric, latents: ReferenceLatents) -> dict[str, np.ndarray]:
    """Fit the background: the covariance of images of all looks beyond the identity."""
    points = metric.apply(latents.plain)
    if latents.looks is not None:
        # Plain images count as one look among the others.
        step = max(1, len(points) // latents.looks.shape[1])
        points = np.concatenate([points[::step], *map(metric.apply, latents.looks)])
    centred = points - points.mean(axis=0)
    directions, variances = _leading(centred.T @ centred / len(points))
    return {"background": directions, "spreads": np.maximum(variances - 1, 0)}


def _covariance_within(points: np.ndarray, labels: np.ndarray) -> np.ndarray:
    n_classes = int(labels.max()) + 1
    residuals = points - class_means(points, labels, n_classes)[labels]
    product: np.ndarray = residuals.T @ residuals
    return product / max(len(points) - n_classes, 1)


def _leading(covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (R, D) int8 directions and (R,) float32 variances of a (D, D) covariance."""
    values, vectors = torch.linalg.eigh(torch.from_numpy(covariance))
    count = min(DIRECTIONS, len(values))
    rows = vectors.flip(1)[:, :count].T.numpy()
    variances = values.flip(0)[:count].clamp(min=0).numpy()
    return quantise_rows(rows)[0], variances.astype(np.float32)
