"""Index of the images that a task was learned from, by the hashes of their pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from teachmesh.data.pixel_digests import digests_of_rows
from teachmesh.learning.task_rows import TRAIN, TaskRows

MARK = np.dtype("S8")
"""Type of the hash of an image's latents, with which a later removal is checked."""


def marks_of(rows: np.ndarray) -> np.ndarray:
    """Return the (N,) hashes of (N, D) int16 latents."""
    return digests_of_rows(rows.astype("<i2")).astype(MARK)


@dataclass(frozen=True, eq=False)
class ImageIndex:
    """Training and validation images of a task, in ascending order; each is listed once.

    Attributes:
        digests: (N,) hash of the pixels of each image.
        labels: (N,) int64 class of each image.
        natural: (N,) uint8 code of the split of each image, see `task_rows`.
        marks: (N,) hash of the latents of each image.
    """

    digests: np.ndarray
    labels: np.ndarray
    natural: np.ndarray
    marks: np.ndarray

    @classmethod
    def of(cls, rows: TaskRows) -> ImageIndex:
        """List images, in ascending order."""
        one = rows.images
        index = cls(one.digests, one.labels, rows.natural, marks_of(one.rows))
        return index.sorted()

    def __len__(self) -> int:
        return len(self.labels)

    def sorted(self) -> ImageIndex:
        """Return the same list in ascending order."""
        return self.where(np.lexsort((self.labels, self.natural, self.digests)))

    def where(self, kept: np.ndarray) -> ImageIndex:
        """Return some of the images, by positions or by a mask."""
        return ImageIndex(
            self.digests[kept], self.labels[kept], self.natural[kept], self.marks[kept]
        )

    def plus(self, other: ImageIndex) -> ImageIndex:
        """Return the images of both."""
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return ImageIndex(*(np.concatenate(pair) for pair in pairs)).sorted()

    def with_classes(self, places: np.ndarray) -> ImageIndex:
        """Return the same images with other class indices."""
        labels = places[self.labels] if len(self) else self.labels
        return ImageIndex(self.digests, labels, self.natural, self.marks).sorted()

    def counts(self, n_classes: int) -> np.ndarray:
        """Return the (C,) numbers of training images, before any was moved."""
        return np.bincount(self.labels[self.natural == TRAIN], minlength=n_classes)

    def fresh(self, rows: TaskRows) -> np.ndarray:
        """Return the (N,) mask of rows that are not listed here; of equal rows, the first.

        Rows are equal if split, pixels and class are. Test images are never listed.
        """
        known = set(self._triples(self.digests, self.labels, self.natural))
        found = np.zeros(len(rows), dtype=bool)
        one = rows.images
        for n, triple in enumerate(self._triples(one.digests, one.labels, rows.natural)):
            found[n] = triple not in known
            known.add(triple)
        return found

    @staticmethod
    def _triples(*columns: np.ndarray) -> list[tuple[bytes, int, int]]:
        return list(zip(*(column.tolist() for column in columns), strict=True))
