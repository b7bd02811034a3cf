"""Scores of training images by moments that were fitted without them (cross-validation).

The moments of a fold are never written out. Their densities are computed from the products between
images, which all folds share, and all folds are fitted at once. So a fold costs N^2 operations per
direction instead of N D.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from teachmesh.mapping.discriminant import own_share
from teachmesh.mapping.metric import Metric
from teachmesh.mapping.moments import held_out_of
from teachmesh.mapping.moments_fit import RANK, fold_count
from teachmesh.mapping.task_points import TaskPoints
from teachmesh.mapping.typicality import HeldOut, folds_of
from teachmesh.mapping.within_covariance import FAST, leading_axes


def held_out_scores(
    latents: np.ndarray, labels: np.ndarray, n_classes: int, metric: Metric
) -> HeldOut:
    """Score training images by moments that were fitted without them.

    Images of classes with a single image are left out.

    Args:
        latents: (N, D) float32 multi-depth latents.
        labels: (N,) int64 class of each image; every class occurs.
        n_classes: number of classes, C.
        metric: metric of the backbone's latents.
    """
    return held_out_from_rows(TaskPoints(latents, labels, n_classes, metric))


def held_out_from_rows(points: TaskPoints) -> HeldOut:
    """Return the result of `held_out_scores` for points whose products may be known already.

    Args:
        points: the labelled images of a task.
    """
    labels = points.labels
    counted = np.bincount(labels, minlength=points.n_classes)[labels] > 1
    if not counted.any():
        return HeldOut.of(np.zeros(0))
    folds = _Folds.of(labels, points.n_classes)
    z = torch.from_numpy(points.z)
    distances = folds.distances(points.latents)
    return held_out_of(folds.evidence(points), distances, counted, z, points.metric)


@dataclass(frozen=True, eq=False)
class _Folds:
    """F folds of the N images of a task.

    Attributes:
        fold: (N,) int64 fold of each image.
        member: (N,) int64 class of each image.
        kept: (F, N) float64; 1 for the images outside the fold, otherwise 0.
        counts: (F, C) float64 number of images of each class outside the fold.
        weights: (F, C, N) float64; products with these are averages over a class outside the fold.
    """

    fold: torch.Tensor
    member: torch.Tensor
    kept: torch.Tensor
    counts: torch.Tensor
    weights: torch.Tensor

    @classmethod
    def of(cls, labels: np.ndarray, n_classes: int) -> _Folds:
        """Assign (N,) labelled images to folds."""
        n_folds = fold_count(len(labels))
        fold, member = torch.from_numpy(folds_of(labels, n_folds)), torch.from_numpy(labels)
        kept = (torch.arange(n_folds)[:, None] != fold).double()
        chosen = (torch.arange(n_classes)[:, None] == member) * kept[:, None]
        counts = chosen.sum(2)
        return cls(fold, member, kept, counts, chosen / counts.clamp(min=1)[..., None])

    def evidence(self, points: TaskPoints) -> torch.Tensor:
        """Return the (N,) evidence of images under moments of the other folds, in nats.

        It equals `TaskDensity.evidence` of these moments, up to rounding.
        """
        means = self.weights @ points.products  # (F, C, N)
        # Products of residuals with all points, then with the residuals of the same fold.
        residuals = (points.products - means[:, self.member]) * self.kept[..., None]  # (F, N, N)
        averages = (residuals @ self.weights.mT)[..., self.member]
        fit = _Spectra.of((residuals - averages) * self.kept[:, None], self._degrees(), points)
        along = fit.axes.mT @ residuals  # (F, R, N)
        apart = torch.cdist(along.mT, (along @ self.weights.mT).mT).square()  # (F, N, C)
        lengths = (means * self.weights).sum(2)[:, None]
        gaps = points.products.diagonal()[:, None] - 2 * means.mT + lengths - apart
        return -0.5 * (self._nearest(gaps) / fit.base[self.fold] + fit.log_determinant[self.fold])

    def _degrees(self) -> np.ndarray:
        """Return the (F,) numbers of images minus those of classes."""
        return (self.counts.sum(1) - (self.counts > 0).sum(1)).int().numpy()

    def _nearest(self, gaps: torch.Tensor) -> torch.Tensor:
        """Return each image's least gap of (F, N, C) gaps to the classes of its own fold."""
        own = gaps[self.fold, torch.arange(len(self.fold))]  # (N, C)
        return own.masked_fill(self.counts[self.fold] == 0, torch.inf).amin(dim=1)

    def distances(self, latents: np.ndarray) -> np.ndarray:
        """Return the (N,) squared distances of latents to the nearest mean of the other folds."""
        rows = torch.tensor(latents, dtype=torch.float64)
        n_folds, n_classes = self.counts.shape
        sums = torch.zeros(n_folds * n_classes, rows.shape[1], dtype=torch.float64)
        sums.index_add_(0, self.fold * n_classes + self.member, rows)
        sums = sums.reshape(n_folds, n_classes, -1)
        means = (sums.sum(0) - sums) / self.counts.clamp(min=1)[..., None]  # (F, C, D)
        lengths = (rows * rows).sum(1)[:, None] + (means * means).sum(2)[:, None]
        nearest = self._nearest(lengths - 2 * rows @ means.mT)
        return np.asarray(nearest.clamp(min=0).numpy())


@dataclass(frozen=True, eq=False)
class _Spectra:
    """Inverse covariances of F folds, `(I - sum_r s_r s_r^T) / base` with s_r = R^T axes[r].

    The rows of R are the residuals of a fold.

    Attributes:
        axes: (F, N, R) float64.
        base: (F,) variance outside the directions.
        log_determinant: (F,) logarithm of the determinant of the covariance.
    """

    axes: torch.Tensor
    base: torch.Tensor
    log_determinant: torch.Tensor

    @classmethod
    def of(cls, squares: torch.Tensor, degrees: np.ndarray, points: TaskPoints) -> _Spectra:
        """Find the leading directions of all folds.

        Args:
            squares: (F, N, N) products of residuals with residuals.
            degrees: (F,) degrees of freedom.
            points: the images of the task.
        """
        dim, divisor = points.metric.dim, torch.from_numpy(np.maximum(degrees, 1))
        share = torch.tensor([own_share(int(number)) for number in degrees], dtype=torch.float64)
        vectors, values = leading_axes(squares, min(RANK, dim), FAST)
        total = squares.diagonal(dim1=1, dim2=2).sum(1)
        rest = (total - values.sum(1)).clamp(min=0) / (divisor * dim)
        base, factor = 1 - share + share * rest, share / divisor
        variances = factor[:, None] * values
        # The length of a direction of rows is the root of its value.
        gains = factor[:, None] / (base[:, None] + variances)
        log_determinant = dim * base.log() + (variances / base[:, None]).log1p().sum(1)
        return cls(vectors * gains.sqrt()[:, None], base, log_determinant)
