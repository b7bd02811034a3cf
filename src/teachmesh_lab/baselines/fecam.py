"""`fecam`: Mahalanobis distance with one shrunk, normalised covariance per class.

1. Latents x become sign(x) |x|^b, which is Tukey's transform for latents that are not negative.
2. The covariance S of a class becomes S + a v1 I + a v2 (J - I). Here v1 is the mean of the
   diagonal of S, v2 the mean of its other entries, and J is filled with ones.
3. It is divided by the deviations of rows and columns, which makes it a correlation matrix.
4. The score is minus half the squared Mahalanobis distance between the transformed latent and the
   transformed class mean, both scaled to length 1. There is no determinant and no prior.

Differences from [1]:

- The authors' code shrinks twice with a = 1, which equals shrinking once with a = 3. Here a and b
  are chosen on validation images.
- Multi-depth latents can be negative, hence the sign in step 1.

References:
    [1] Goswami et al., FeCAM: exploiting the heterogeneity of class distributions in exemplar-free
        continual learning, NeurIPS 2023; formulas also from the authors' code (dipamgoswami/FeCAM).
"""

from __future__ import annotations

import math
from typing import ClassVar, final

import numpy as np
import torch
from torch import Tensor

from teachmesh.mapping.discriminant import class_means
from teachmesh_lab.baselines.baseline import Grid, Hyper
from teachmesh_lab.baselines.frozen import NUMBER_BYTES, TINY, IndependentBaseline
from teachmesh_lab.baselines.quadratic_scores import (
    QuadraticScores,
    covariance_arrays,
    covariance_rows,
    form_bytes,
    low_rank_axes,
    unseen_macs,
)


@final
class FeCam(IndependentBaseline):
    """Classifier by class means and one covariance per class. `power` is b, `shrinkage` is a."""

    source: ClassVar[str] = "Goswami et al., NeurIPS 2023"
    grid: ClassVar[Grid] = {"power": (0.5, 1.0), "shrinkage": (1.0, 3.0, 10.0, 30.0)}

    def __init__(self, dim: int, hyper: Hyper, seed: int) -> None:
        super().__init__(dim, hyper, seed)
        self.means: dict[int, np.ndarray] = {}
        self.rows: dict[int, list[Tensor]] = {}
        self._tasks: dict[int, QuadraticScores] = {}

    def _learn(self, index: int, latents: np.ndarray, labels: np.ndarray) -> int:
        self.means[index] = class_means(latents, labels, self.widths[index])
        powers = self._power(torch.from_numpy(latents))
        self.rows[index] = covariance_rows(powers, labels, self.widths[index])
        means = _unit(self._power(torch.from_numpy(self.means[index])))
        shrinkage = self.hyper["shrinkage"]
        classes = zip(means, self.rows[index], strict=True)
        self._tasks[index] = QuadraticScores.join([_score(m, v, shrinkage) for m, v in classes])
        return sum(unseen_macs(rows) for rows in self.rows[index])

    def task_scores(self, latents: np.ndarray, index: int) -> np.ndarray:
        """Return minus half the squared distances to the classes of a task."""
        return self._tasks[index](_unit(self._power(torch.from_numpy(latents))))

    def state(self) -> dict[str, np.ndarray]:
        """Return the means and the covariances of all classes, in float32."""
        means = {f"means.{index}": m.astype(np.float32) for index, m in self.means.items()}
        return {**means, **covariance_arrays(self.rows)}

    def task_bytes(self, index: int) -> int:
        """Return the number of bytes of the task's means and covariances."""
        covariances = sum(form_bytes(len(rows), self.dim) for rows in self.rows[index])
        return NUMBER_BYTES * self.widths[index] * self.dim + covariances

    def _power(self, rows: Tensor) -> Tensor:
        rows = rows.double()
        return rows.sign() * rows.abs() ** self.hyper["power"]


def _score(mean: Tensor, rows: Tensor, shrinkage: float) -> QuadraticScores:
    """Return the score of one class.

    The shrunk covariance is B + V^T V, where B has the eigenvalue q along the direction of ones, u,
    and p otherwise. With t = deviations (x - mean), the squared distance is
    |t|^2 / p + (1/q - 1/p) (u t)^2 - |A B^(-1/2) t|^2.
    """
    dim = len(mean)
    variances = rows.square().sum(0)
    diagonal = float(variances.mean())
    other = (float(rows.sum(1).square().sum()) - dim * diagonal) / max(dim * (dim - 1), 1)
    p = shrinkage * (diagonal - other) + TINY
    q = shrinkage * (diagonal + (dim - 1) * other) + TINY
    deviations = (variances + (p * (dim - 1) + q) / dim).sqrt()
    axes, _ = low_rank_axes(_whiten(rows, p, q))
    ones = torch.full((1, dim), dim**-0.5, dtype=torch.float64)
    axes = torch.cat([_whiten(axes, p, q), ones]) * deviations
    weights = torch.ones(len(axes), dtype=torch.float64)
    weights[-1] = 1 / p - 1 / q
    squares = deviations.square() / p
    return QuadraticScores(
        offsets=-0.5 * (squares * mean.square()).sum().reshape(1),
        linear=(squares * mean).reshape(1, -1),
        squares=squares.reshape(1, -1),
        axes=axes.float(),
        shifts=(axes * mean).sum(1),
        weights=weights,
        counts=torch.tensor([len(axes)]),
    )


def _whiten(rows: Tensor, p: float, q: float) -> Tensor:
    """Multiply (K, D) rows with B^(-1/2): q^(-1/2) along the direction of ones, else p^(-1/2)."""
    along = rows.mean(1, keepdim=True)
    return (rows - along) / math.sqrt(p) + along / math.sqrt(q)


def _unit(rows: Tensor) -> Tensor:
    return torch.nn.functional.normalize(rows, dim=1, eps=1e-12)
