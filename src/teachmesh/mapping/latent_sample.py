"""A bounded sample of a task's latents, which does not depend on the order of the images.

The images with the smallest hashes are kept. So the sample of two parts is found from the samples
of the parts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from teachmesh.mapping.task_sums import STEPS_PER_UNIT, fixed_point
from teachmesh.mapping.typicality import MAX_IMAGES

MAX_ROWS = 512
"""Maximum number of images: 1 MiB with D = 1,024, and more than `MAX_IMAGES`."""
assert MAX_ROWS > MAX_IMAGES


@dataclass(frozen=True, eq=False)
class LatentSample:
    """Fixed-point latents of K images of one task, in ascending order of their hashes.

    Attributes:
        rows: (K, D) int16 latents, see `fixed_point`.
        labels: (K,) int64 class of each image.
        digests: (K,) hash of each image's content, bytes of equal length.
    """

    rows: np.ndarray
    labels: np.ndarray
    digests: np.ndarray

    @classmethod
    def of(cls, latents: np.ndarray, labels: np.ndarray, digests: np.ndarray) -> LatentSample:
        """Keep the images with the smallest hashes, `MAX_ROWS` at most.

        Args:
            latents: (N, D) float32 multi-depth latents, N at least 1.
            labels: (N,) int64 class of each image.
            digests: (N,) hash of each image's content, bytes of equal length.

        Raises:
            ValueError: a latent is not between -2 and 2.
        """
        return cls(fixed_point(latents), labels, digests).smallest()

    def __len__(self) -> int:
        return len(self.labels)

    def latents(self) -> np.ndarray:
        """Return the (K, D) latents as float32, which is exact."""
        return np.asarray(self.rows / STEPS_PER_UNIT, dtype=np.float32)

    def plus(self, other: LatentSample) -> LatentSample:
        """Return the sample of the images of both."""
        return self.joined(other).smallest()

    def joined(self, other: LatentSample) -> LatentSample:
        """Return all rows of both, in ascending order of their hashes."""
        pairs = ((getattr(self, n), getattr(other, n)) for n in ("rows", "labels", "digests"))
        return LatentSample(*(np.concatenate(pair) for pair in pairs)).smallest(None)

    def with_classes(self, places: np.ndarray) -> LatentSample:
        """Return the same images with other class indices, see `TaskSums.with_classes`."""
        return LatentSample(self.rows, places[self.labels], self.digests).smallest()

    def where(self, kept: np.ndarray) -> LatentSample:
        """Return some of the rows.

        Args:
            kept: (K,) mask, or positions of rows.
        """
        return LatentSample(self.rows[kept], self.labels[kept], self.digests[kept])

    def smallest(self, count: int | None = MAX_ROWS) -> LatentSample:
        """Return the first rows in the order of their hashes; all rows if `count` is None."""
        return self.where(np.lexsort((self.labels, self.digests))[:count])
