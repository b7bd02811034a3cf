"""Images of one task as fixed-point latents with labels, hashes and splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from teachmesh.data.layouts import SplitName
from teachmesh.data.pixel_digests import DIGEST
from teachmesh.data.splits import SplitRule
from teachmesh.mapping.latent_sample import LatentSample

TRAIN, VALIDATION, TEST = range(3)
"""Codes of splits in arrays."""
CODES: Mapping[SplitName, int] = {"train": TRAIN, "validation": VALIDATION, "test": TEST}


@dataclass(frozen=True, eq=False)
class TaskRows:
    """Images of one task, or of a part of it.

    Attributes:
        classes: names of the C classes, in label order.
        images: latents, labels and hashes of all N images, in any order.
        natural: (N,) uint8 code of the split of each image before any was moved.
        keys: (N,) key of each edge (see `data.splits`), or no bytes; type `DIGEST`.
        lacking: for each class, the result of `SplitRule.lacks`.
        rule: rule that made the splits; None if the source has splits.
        remarks: remarks about the source, one sentence each.
    """

    classes: tuple[str, ...]
    images: LatentSample
    natural: np.ndarray
    keys: np.ndarray
    lacking: Mapping[str, tuple[bool, bool]]
    rule: SplitRule | None = None
    remarks: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.images)

    def renamed(self, classes: Sequence[str]) -> TaskRows:
        """Return the same images with the labels of other classes, which include these."""
        places = np.array([classes.index(name) for name in self.classes], dtype=np.int64)
        one = self.images
        images = LatentSample(one.rows, places[one.labels], one.digests)
        keys, lacking = self.keys.astype(DIGEST), self.lacking
        return TaskRows(
            tuple(classes), images, self.natural, keys, lacking, self.rule, self.remarks
        )

    def edges(self) -> EdgeRows:
        """Return the edges among the images."""
        found = np.flatnonzero(self.keys != b"")
        return EdgeRows(self.images.where(found), self.natural[found], self.keys[found])


@dataclass(frozen=True, eq=False)
class EdgeRows:
    """Edges of a task: images that are moved, or may have to be when their class grows.

    Attributes:
        images: latents, labels and hashes of the E images.
        natural: (E,) uint8 code of the split of each image before any was moved.
        keys: (E,) key of each image, see `data.splits.SplitRule.key`.
    """

    images: LatentSample
    natural: np.ndarray
    keys: np.ndarray

    def __len__(self) -> int:
        return len(self.images)

    def where(self, kept: np.ndarray) -> EdgeRows:
        """Return some of the rows, by positions or by a mask."""
        return EdgeRows(self.images.where(kept), self.natural[kept], self.keys[kept])

    def joined(self, other: EdgeRows) -> EdgeRows:
        """Return the edges of both; a row's place depends on its content only."""
        pairs = [(getattr(self.images, n), getattr(other.images, n)) for n in _ARRAYS]
        images = LatentSample(*(np.concatenate(pair) for pair in pairs))
        natural = np.concatenate([self.natural, other.natural])
        keys = np.concatenate([self.keys, other.keys])
        order = np.lexsort((natural, images.digests, keys, images.labels))
        return EdgeRows(images, natural, keys).where(order)

    def with_classes(self, places: np.ndarray) -> EdgeRows:
        """Return the same edges with other class indices."""
        one = self.images
        images = LatentSample(one.rows, places[one.labels], one.digests)
        empty = self.where(np.zeros(0, dtype=np.int64))
        return empty.joined(EdgeRows(images, self.natural, self.keys))

    def needed(self, n_train: np.ndarray, lacking: np.ndarray) -> EdgeRows:
        """Keep the edges that the rule of `data.splits.edges_of` needs.

        Args:
            n_train: (C,) number of training images of each class before any was moved.
            lacking: (C, 2) whether a class lacks validation images and test images.
        """
        kept: list[int] = []
        for label in np.unique(self.images.labels):
            if n_train[label]:
                kept += self.smallest(label, int(lacking[label].sum()))
            else:
                kept += self.largest(label)
        return self.where(np.array(sorted(kept), dtype=np.int64))

    def smallest(self, label: int, count: int) -> list[int]:
        """Return the positions of the training images of a class with the smallest keys."""
        own = np.flatnonzero((self.images.labels == label) & (self.natural == TRAIN))
        first = np.unique(self.images.digests[own], return_index=True)[1]  # a photo counts once
        return [int(n) for n in own[np.sort(first)][:count]]

    def largest(self, label: int) -> list[int]:
        """Return the position of the image of a class with the largest key, outside training."""
        own = np.flatnonzero((self.images.labels == label) & (self.natural != TRAIN))
        return [int(n) for n in own[-1:]]


_ARRAYS = ("rows", "labels", "digests")
