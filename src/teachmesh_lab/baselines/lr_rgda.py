"""`lr-rgda`: regularised Gaussian discriminants with a low-rank covariance per class.

The covariance of a class is g S_c + (1 - g) G + a s I. S_c is the covariance of the class, cut to
its r leading directions. G is the mean of all classes' covariances, and s its mean variance. With
the Woodbury identity the score is an affine function plus r squares per class. All classes have the
same prior.

Differences from [1]:

- The three weights of [1] are independent. Here the first two add up to 1, and the third is
  relative to the variance. Therefore they do not depend on the scale of latents.
- The weights g and a are chosen on validation images.
- The backbone is frozen, so the correction of statistics for a moving backbone is left out.

References:
    [1] Rao et al., Scalable analytic classifiers with associative drift compensation for
        class-incremental learning of vision transformers, arXiv 2602.00144, 2026; formulas also
        from the authors' code (raoxuan98-hash/lr_rgda_hopdc).
"""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np
import torch
from torch import Tensor

from teachmesh.mapping.discriminant import class_means
from teachmesh_lab.baselines.baseline import Grid, Hyper
from teachmesh_lab.baselines.frozen import NUMBER_BYTES, TINY, FrozenBaseline, factor_macs
from teachmesh_lab.baselines.quadratic_scores import (
    QuadraticScores,
    covariance_arrays,
    covariance_rows,
    form_bytes,
    low_rank_axes,
    triangle,
    unseen_macs,
)


@final
class LowRankDiscriminant(FrozenBaseline):
    """Classifier by class means, low-rank covariances and their mean.

    `rank` is r, `shared` is 1 - g, and `identity` is a.
    """

    source: ClassVar[str] = "Rao et al., arXiv 2602.00144, with a frozen backbone"
    grid: ClassVar[Grid] = {
        "rank": (64.0,),
        "identity": (0.003, 0.01, 0.03, 0.1, 0.3),
        "shared": (0.7, 0.85, 0.95, 0.98),
    }

    late: ClassVar[frozenset[str]] = frozenset({"identity", "shared"})

    def __init__(self, dim: int, hyper: Hyper, seed: int) -> None:
        super().__init__(dim, hyper, seed)
        self.means: dict[int, np.ndarray] = {}
        self.rows: dict[int, list[Tensor]] = {}
        self.exact: dict[int, bool] = {}
        self.total = torch.zeros(dim, dim, dtype=torch.float64)
        self._to_white = torch.zeros(dim, dim, dtype=torch.float64)
        self._scores: QuadraticScores | None = None

    def _learn(self, index: int, latents: np.ndarray, labels: np.ndarray) -> int:
        n_classes, rank = self.widths[index], int(self.hyper["rank"])
        self.means[index] = class_means(latents, labels, n_classes)
        whole = covariance_rows(torch.from_numpy(latents).double(), labels, n_classes)
        stacked = torch.cat(whole)
        self.total += stacked.T @ stacked
        self.rows[index] = [_leading(rows, rank) for rows in whole]
        self.exact[index] = all(len(rows) <= rank for rows in whole)
        return 0

    def consolidate(self) -> int:
        """Factorise the shared part, and whiten the means and directions of all classes with it."""
        shared, identity = self.hyper["shared"], self.hyper["identity"]
        rows = [found for index in self.order for found in self.rows[index]]
        mean = self.total / len(rows)
        base = shared * mean
        base.diagonal().add_(identity * mean.diagonal().mean() + TINY)
        factor = torch.linalg.cholesky(base)
        self._to_white = torch.linalg.solve_triangular(
            factor, torch.eye(self.dim, dtype=torch.float64), upper=False
        ).T.contiguous()
        means = torch.from_numpy(np.concatenate([self.means[index] for index in self.order]))
        stacked = torch.cat(rows) * (1 - shared) ** 0.5
        directions = stacked.float() @ self._to_white.float()
        parts = torch.split(directions, [len(found) for found in rows])
        classes = zip(means @ self._to_white, parts, strict=True)
        self._scores = QuadraticScores.join([_score(*found) for found in classes])
        return 2 * factor_macs(self.dim) + sum(unseen_macs(found) for found in rows)

    def scores(self, latents: np.ndarray) -> np.ndarray:
        """Return log densities, up to a term that is the same for all classes."""
        assert self._scores is not None
        return self._scores(torch.from_numpy(latents).double() @ self._to_white)

    def state(self) -> dict[str, np.ndarray]:
        """Return means, directions and the sum of covariances, in float32.

        The sum is left out if the directions of all classes are complete.
        """
        means = {f"means.{index}": m.astype(np.float32) for index, m in self.means.items()}
        own = covariance_arrays(self.rows)
        total = {} if all(self.exact.values()) else {"total": triangle(self.total)}
        return {**means, **own, **total}

    def task_bytes(self, index: int) -> int:
        """Return the number of bytes of the task's means, directions and sum of covariances."""
        own = sum(form_bytes(len(rows), self.dim) for rows in self.rows[index])
        total = 0 if self.exact[index] else NUMBER_BYTES * self.dim * (self.dim + 1) // 2
        return NUMBER_BYTES * self.widths[index] * self.dim + own + total


def _leading(rows: Tensor, rank: int) -> Tensor:
    """Return at most `rank` orthogonal rows with the leading part of V^T V."""
    if len(rows) <= rank:
        return rows
    vectors: Tensor = torch.linalg.eigh(rows @ rows.T)[1]  # eigenvalues in ascending order
    return vectors[:, -rank:].T @ rows


def _score(mean: Tensor, rows: Tensor) -> QuadraticScores:
    """Return the score of one class with the covariance I + V^T V, without the term |x|^2."""
    axes, log_det = low_rank_axes(rows)
    return QuadraticScores(
        offsets=(-0.5 * (mean @ mean + log_det)).reshape(1),
        linear=mean.reshape(1, -1),
        squares=None,
        axes=axes,
        shifts=(axes.double() * mean).sum(1),
        weights=torch.ones(len(axes), dtype=torch.float64),
        counts=torch.tensor([len(axes)]),
    )
