"""`slda`: streaming linear discriminant analysis.

The classifier uses class means mu_c and one within-class covariance S for all classes. With
L = [(1 - e) S + e s I]^-1, the score of a class is x L mu_c - mu_c L mu_c / 2 ([1], Eq. 2-4). The
factor s is the mean variance, so that the shrinkage e does not depend on the scale of latents.

S is the exact pooled scatter, divided by the number of images. In [1] S is only approximate: it is
updated after each image, while the means still change. The scatter is a sum over tasks, so the
order of tasks changes only the rounding.

References:
    [1] Hayes and Kanan, Lifelong machine learning with deep streaming linear discriminant
        analysis, CVPR workshops 2020.
"""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np
import torch

from teachmesh.mapping.discriminant import class_means
from teachmesh_lab.baselines.baseline import Grid, Hyper
from teachmesh_lab.baselines.frozen import NUMBER_BYTES, FrozenBaseline
from teachmesh_lab.baselines.quadratic_scores import triangle
from teachmesh_lab.baselines.shared_covariance import SharedCovariance


@final
class StreamingLda(FrozenBaseline):
    """Classifier by class means and one shared covariance. `shrinkage` is e."""

    source: ClassVar[str] = "Hayes and Kanan, CVPR workshops 2020, Eq. 2-4"
    grid: ClassVar[Grid] = {"shrinkage": (1e-6, 1e-5, 0.0001, 0.001, 0.01, 0.1, 0.5)}

    late: ClassVar[frozenset[str]] = frozenset({"shrinkage"})

    def __init__(self, dim: int, hyper: Hyper, seed: int) -> None:
        super().__init__(dim, hyper, seed)
        self.means: dict[int, np.ndarray] = {}
        self.scatter = torch.zeros(dim, dim, dtype=torch.float64)
        self.images = 0
        self._classifier: SharedCovariance | None = None

    def _learn(self, index: int, latents: np.ndarray, labels: np.ndarray) -> int:
        means = class_means(latents, labels, self.widths[index])
        residuals = torch.from_numpy(latents - means[labels])
        self.scatter += residuals.T @ residuals
        self.images += len(labels)
        self.means[index] = means
        return 0

    def consolidate(self) -> int:
        """Factorise the covariance and solve for every class."""
        means = torch.from_numpy(np.concatenate([self.means[index] for index in self.order]))
        covariance = self.scatter / self.images
        self._classifier = SharedCovariance.of(means, covariance, self.hyper["shrinkage"])
        return self._classifier.macs

    def scores(self, latents: np.ndarray) -> np.ndarray:
        """Return log densities, up to a term that is the same for all classes."""
        assert self._classifier is not None
        return self._classifier.scores(latents)

    def state(self) -> dict[str, np.ndarray]:
        """Return the means and one triangle of the scatter, in float32."""
        means = {f"means.{index}": m.astype(np.float32) for index, m in self.means.items()}
        return {**means, "scatter": triangle(self.scatter)}

    def task_bytes(self, index: int) -> int:
        """Return the number of bytes of the task's means and one triangle of its scatter."""
        return NUMBER_BYTES * (self.widths[index] * self.dim + self.dim * (self.dim + 1) // 2)
