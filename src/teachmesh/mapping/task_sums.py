"""Exact sums of a task's latents, from which class moments can be fitted without any image.

Latents are rounded to fixed point. Sums of integers do not depend on the order or on the grouping
of the images. They are equal on every processor, so a task that grows has the sums, bit for bit, of
a task that was learned at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from teachmesh.mapping.anchor import check_latents

STEPS_PER_UNIT = 2**14
"""Number of fixed-point steps in one unit of a latent.

Latents are projections of vectors of length 1. Over the 36 tasks of the benchmark, the largest
entry is 0.41 for two networks, and the mean standard deviation is at least 64 steps."""
_LARGEST = 2**15 - 1
_ROWS = 4096
"""Number of images per matrix product. Up to 2**23 images, float64 holds every partial sum of
products exactly, so the result does not depend on the order of summation."""


def fixed_point(latents: np.ndarray) -> np.ndarray:
    """Round (N, D) latents to (N, D) int16 multiples of 1 / `STEPS_PER_UNIT`.

    Raises:
        ValueError: a latent is not finite, or not between -2 and 2.

    Examples:
        >>> fixed_point(np.array([[0.5, -0.25, 0.00001]])).tolist()
        [[8192, -4096, 0]]
    """
    check_latents(latents)
    steps = np.rint(latents.astype(np.float64) * STEPS_PER_UNIT)
    largest = float(np.abs(steps).max())
    if largest > _LARGEST:
        raise ValueError(
            f"expected latents between -2 and 2, got one of size {largest / STEPS_PER_UNIT:g}; "
            "latents are projections of vectors of length 1"
        )
    return steps.astype(np.int16)


@dataclass(frozen=True, eq=False)
class TaskSums:
    """Sums of the fixed-point latents of one task, in units of `STEPS_PER_UNIT`.

    Attributes:
        counts: (C,) int64, number of images of each class.
        sums: (C, D) int64, sum of the latents of each class.
        products: (D, D) int64, sum of x x^T over the images of all classes.
    """

    counts: np.ndarray
    sums: np.ndarray
    products: np.ndarray

    @classmethod
    def of(cls, latents: np.ndarray, labels: np.ndarray, n_classes: int) -> TaskSums:
        """Sum the latents of some images, see `of_steps`.

        Args:
            latents: (N, D) float32 multi-depth latents, N at least 1.
            labels: (N,) int64 class of each image; classes without images are allowed.
            n_classes: number of classes, C.

        Raises:
            ValueError: a latent is not between -2 and 2, or a label is not a class.
        """
        return cls.of_steps(fixed_point(latents), labels, n_classes)

    @classmethod
    def of_steps(cls, steps: np.ndarray, labels: np.ndarray, n_classes: int) -> TaskSums:
        """Sum fixed-point latents.

        Args:
            steps: (N, D) int16 result of `fixed_point`; N may be 0.
            labels: (N,) int64 class of each image; classes without images are allowed.
            n_classes: number of classes, C.

        Raises:
            ValueError: a label is not a class.
        """
        rows = steps.astype(np.float64)
        known = len(labels) == 0 or (labels.min() >= 0 and labels.max() < n_classes)
        if labels.shape != (len(rows),) or not known:
            raise ValueError(f"expected {len(rows)} labels from 0 to {n_classes - 1}, got others")
        counts = np.bincount(labels, minlength=n_classes)
        sums = np.zeros((n_classes, rows.shape[1]), dtype=np.int64)
        np.add.at(sums, labels, rows.astype(np.int64))
        products = np.zeros((rows.shape[1], rows.shape[1]), dtype=np.int64)
        for start in range(0, len(rows), _ROWS):
            part = rows[start : start + _ROWS]
            products += (part.T @ part).astype(np.int64)
        return cls(counts.astype(np.int64), sums, products)

    @property
    def n_classes(self) -> int:
        """Number of classes, C."""
        return len(self.counts)

    @property
    def dim(self) -> int:
        """Latent size, D."""
        return int(self.sums.shape[1])

    def plus(self, other: TaskSums) -> TaskSums:
        """Return the sums of the images of both.

        Raises:
            ValueError: the numbers of classes or the latent sizes differ.
        """
        self._check_shape(other)
        return TaskSums(
            self.counts + other.counts, self.sums + other.sums, self.products + other.products
        )

    def minus(self, other: TaskSums) -> TaskSums:
        """Return the sums without the images of `other`, which must be among these images.

        Raises:
            ValueError: the shapes differ, or `other` has more images of a class.
        """
        self._check_shape(other)
        counts = self.counts - other.counts
        if (counts < 0).any():
            raise ValueError("expected images that are part of the task, got more of one class")
        return TaskSums(counts, self.sums - other.sums, self.products - other.products)

    def with_classes(self, places: np.ndarray, n_classes: int) -> TaskSums:
        """Return the same sums with other class indices.

        Args:
            places: (C,) int64, new index of each class; no index occurs twice.
            n_classes: new number of classes.

        Raises:
            ValueError: an index occurs twice or is not below `n_classes`.
        """
        if len(np.unique(places)) != self.n_classes or not (places >= 0).all():
            raise ValueError("expected another new index for each class")
        if (places >= n_classes).any():
            raise ValueError(f"expected indices below {n_classes}, got {places.max()}")
        counts = np.zeros(n_classes, dtype=np.int64)
        sums = np.zeros((n_classes, self.dim), dtype=np.int64)
        counts[places], sums[places] = self.counts, self.sums
        return TaskSums(counts, sums, self.products)

    def _check_shape(self, other: TaskSums) -> None:
        if self.sums.shape != other.sums.shape:
            raise ValueError(
                f"expected sums of {self.n_classes} classes and latent size {self.dim}, got "
                f"{other.n_classes} and {other.dim}"
            )
