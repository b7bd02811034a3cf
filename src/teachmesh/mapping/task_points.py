"""Labelled latents of one task in the metric's space, with products that several fits share.

With N images, a fit needs the (N, N) products of the points rather than the points themselves. So
the moments of a task and all fits of its cross-validation start from the same products.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from teachmesh.mapping.anchor import check_labels, check_latents
from teachmesh.mapping.metric import Metric


@dataclass(frozen=True, eq=False)
class TaskPoints:
    """Labelled latents of one task, and their points in the metric's space.

    Attributes:
        latents: (N, D) float32 multi-depth latents.
        labels: (N,) int64 class of each image; every class occurs.
        n_classes: number of classes, C.
        metric: metric of the backbone's latents.

    Raises:
        ValueError: a class has no image, or D is not the metric's.
    """

    latents: np.ndarray
    labels: np.ndarray
    n_classes: int
    metric: Metric

    def __post_init__(self) -> None:
        check_latents(self.latents, self.metric.dim)
        check_labels(self.labels, len(self.latents), self.n_classes)

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def z(self) -> np.ndarray:
        """(N, D) float64 points in the metric's space."""
        return self.metric.apply(self.latents)

    @cached_property
    def products(self) -> torch.Tensor:
        """(N, N) float64 inner products of the points."""
        points = torch.tensor(self.z)  # a copy, because BLAS depends on addresses
        return points @ points.T

    def products_of_residuals(self) -> torch.Tensor | None:
        """Return the (N, N) inner products of residuals from class means; None if N >= D."""
        if len(self) >= self.metric.dim:
            return None
        classes = ClassAverages.of(self.labels)
        return classes.taken_from_columns(classes.taken_from_rows(self.products))


@dataclass(frozen=True, eq=False)
class ClassAverages:
    """Averages over the images of each class, as products with a matrix.

    Attributes:
        member: (N,) int64 class of each image.
        weights: (C, N) float64; row c has 1 / N_c for the N_c images of class c, otherwise 0.
    """

    member: torch.Tensor
    weights: torch.Tensor

    @classmethod
    def of(cls, labels: np.ndarray) -> ClassAverages:
        """Return the averages for (N,) labels; classes without an image are left out."""
        _, renamed = np.unique(labels, return_inverse=True)
        member = torch.from_numpy(renamed.astype(np.int64))
        weights = torch.nn.functional.one_hot(member).double().T.contiguous()
        return cls(member, weights / weights.sum(1, keepdim=True))

    def __len__(self) -> int:
        return len(self.weights)

    def taken_from_rows(self, products: torch.Tensor) -> torch.Tensor:
        """Return (N, M) products minus the average of the rows of their class."""
        return products - (self.weights @ products)[self.member]

    def taken_from_columns(self, products: torch.Tensor) -> torch.Tensor:
        """Return (M, N) products minus the average of the columns of their class."""
        return products - (products @ self.weights.T)[:, self.member]
