"""Training and validation images of a task, after the images at the edges were moved.

This applies the rule of `data.splits` to statistics. So a task that grew has the splits that all
images at once would have.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from teachmesh.data.splits import moves
from teachmesh.learning.image_index import ImageIndex
from teachmesh.learning.task_rows import TEST, TRAIN, VALIDATION, EdgeRows
from teachmesh.learning.task_statistics import TaskStatistics
from teachmesh.mapping.latent_sample import LatentSample
from teachmesh.mapping.task_sums import TaskSums


@dataclass(frozen=True, eq=False)
class SettledTask:
    """Images from which a skill is fitted.

    Attributes:
        counts: (C,) number of training images of each class, at least 1.
        sample: latents of the training images with the smallest hashes.
        sums: exact sums of the training images; None if the sample has them all.
        n_validation: number of validation images.
        validation: latents of the validation images with the smallest hashes.
        passes: number of images to pass through the backbone; one that occurs twice counts once.
    """

    counts: np.ndarray
    sample: LatentSample
    sums: TaskSums | None
    n_validation: int
    validation: LatentSample
    passes: int


def settle(task: TaskStatistics) -> SettledTask:
    """Return the images from which the skill of a task is fitted.

    A photo that trains and validates, under other file names, only trains. If all validation images
    train too, they are kept: an estimate that is too good is better than none.
    """
    n_classes = len(task.classes)
    moved = _Moved.of(task)
    train = moved.training(task.index)
    held = task.validation.joined(moved.to_validation)
    listed = task.index.digests[task.index.natural == VALIDATION]
    listed = np.concatenate([listed, moved.to_validation.digests])
    taken = train.digests if not np.isin(listed, train.digests).all() else moved.to_train.digests
    sample = task.sample.where(~moved.is_gone(task.sample)).joined(moved.to_train)
    return SettledTask(
        counts=train.counts(n_classes),
        sample=sample,
        sums=None if task.sums is None else moved.sums(task.sums),
        n_validation=int((~np.isin(listed, taken)).sum()),
        validation=held.where(~np.isin(held.digests, taken)),
        passes=len(task.index) + moved.n_test_used,
    )


@dataclass(frozen=True, eq=False)
class _Moved:
    """Images of a task that are moved to another split.

    Attributes:
        to_train: validation or test images that train.
        to_validation: training images that validate.
        to_test: training images that are set aside for tests.
        n_test_used: number of test images among those that train.
    """

    to_train: LatentSample
    to_validation: LatentSample
    to_test: LatentSample
    n_test_used: int

    @classmethod
    def of(cls, task: TaskStatistics) -> _Moved:
        """Apply the rule to each class that has edges."""
        edges, counts = task.edges, task.index.counts(len(task.classes))
        up: list[int] = []
        down: list[int] = []
        aside: list[int] = []
        for label in np.unique(edges.images.labels):
            lacks = (bool(task.lacking[label, 0]), bool(task.lacking[label, 1]))
            plan = moves(int(counts[label]), *lacks)
            first = edges.smallest(label, 2)
            up += edges.largest(label) if plan.to_train else []
            # An edge that was corrected is missing.
            aside += [first.pop(0)] if plan.to_test and first else []
            down += [first.pop(0)] if plan.to_validation and first else []
        n_test_used = int((edges.natural[up] == TEST).sum())
        trained, validated, tested = (_images(edges, rows) for rows in (up, down, aside))
        return cls(trained, validated, tested, n_test_used)

    def is_gone(self, one: LatentSample | ImageIndex) -> np.ndarray:
        """Return the mask of images that do not train any more."""
        gone = {
            pair
            for moved in (self.to_validation, self.to_test)
            for pair in zip(moved.digests.tolist(), moved.labels.tolist(), strict=True)
        }
        pairs = zip(one.digests.tolist(), one.labels.tolist(), strict=True)
        return np.array([pair in gone for pair in pairs], dtype=bool)

    def training(self, index: ImageIndex) -> ImageIndex:
        """Return the list of the images that train."""
        before = index.where(index.natural == TRAIN)
        kept = before.where(~self.is_gone(before))
        codes = np.full(len(self.to_train), TRAIN, dtype=np.uint8)
        marks = np.zeros(len(codes), dtype=kept.marks.dtype)
        new = ImageIndex(self.to_train.digests, self.to_train.labels, codes, marks)
        return kept.plus(new)

    def sums(self, sums: TaskSums) -> TaskSums:
        """Return the sums of the images that train."""
        for moved in (self.to_validation, self.to_test):
            sums = sums.minus(TaskSums.of_steps(moved.rows, moved.labels, sums.n_classes))
        new = self.to_train
        return sums.plus(TaskSums.of_steps(new.rows, new.labels, sums.n_classes))


def _images(edges: EdgeRows, rows: list[int]) -> LatentSample:
    return edges.images.where(np.array(rows, dtype=np.int64)).smallest(None)
