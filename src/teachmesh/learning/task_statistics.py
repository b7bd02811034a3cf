"""Private statistics of one task, from which it can grow without its images.

They hold exact sums of latents, bounded samples and the hashes of the images, under the names of
the classes. An agent keeps them in its home and never sends them.

Everything in the skill is a function of the statistics, and the statistics do not depend on the
order in which images came. So a task that grew has the skill, bit for bit, that learning all images
at once would have made.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from teachmesh.data.pixel_digests import DIGEST
from teachmesh.data.splits import SplitRule
from teachmesh.errors import DataError
from teachmesh.learning.image_index import MARK, ImageIndex
from teachmesh.learning.task_rows import TEST, TRAIN, VALIDATION, EdgeRows, TaskRows
from teachmesh.mapping.latent_sample import MAX_ROWS, LatentSample
from teachmesh.mapping.task_sums import TaskSums


@dataclass(frozen=True, eq=False)
class TaskStatistics:
    """Sums, samples and hashes of the images of one task, before any image was moved.

    Attributes:
        fingerprint: fingerprint of the backbone that computed the latents.
        classes: names of the C classes, sorted.
        index: hashes of the training and validation images.
        sample: latents of the training images with the smallest hashes.
        validation: latents of the validation images with the smallest hashes.
        edges: images that are moved, or may have to be, see `data.splits`.
        lacking: (C, 2) whether a class lacks validation images and test images.
        sums: exact sums of the training images; None if the sample has them all.
        rule: rule that made the splits; None if all sources had splits.
        remarks: remarks about the sources, sorted.
    """

    fingerprint: str
    classes: tuple[str, ...]
    index: ImageIndex
    sample: LatentSample
    validation: LatentSample
    edges: EdgeRows
    lacking: np.ndarray
    sums: TaskSums | None
    rule: SplitRule | None = None
    remarks: tuple[str, ...] = ()

    @classmethod
    def of(cls, fingerprint: str, rows: TaskRows) -> TaskStatistics:
        """Summarise the images of a task, or of a part of it; each image counts once.

        Args:
            fingerprint: fingerprint of the backbone.
            rows: the images.
        """
        return _empty(fingerprint, rows.images.rows.shape[1]).grown(rows)

    def grown(self, rows: TaskRows) -> TaskStatistics:
        """Return the statistics with more images; classes with equal names are one class.

        Args:
            rows: the images, as the same backbone saw them. Images that are known count once.
        """
        classes = tuple(sorted({*self.classes, *rows.classes}))
        before, named = self.with_classes(classes), rows.renamed(classes)
        fresh = before.index.fresh(named) & (rows.natural != TEST)
        return before.plus(_part(self.fingerprint, named, fresh))

    def repeats(self, rows: TaskRows) -> int:
        """Return the number of images that are known already, or occur twice."""
        classes = tuple(sorted({*self.classes, *rows.classes}))
        fresh = self.with_classes(classes).index.fresh(rows.renamed(classes))
        return int((~fresh & (rows.natural != TEST)).sum())

    def plus(self, other: TaskStatistics) -> TaskStatistics:
        """Return the statistics of the images of two parts that share no image.

        Args:
            other: statistics with the same classes in the same order.

        Raises:
            DataError: the latents were computed by different backbones.
        """
        self.check_backbone(other.fingerprint)
        index = self.index.plus(other.index)
        lacking = self.lacking & other.lacking
        n_train = index.counts(len(self.classes))
        whole = n_train.sum() <= MAX_ROWS
        return TaskStatistics(
            self.fingerprint,
            self.classes,
            index,
            self.sample.plus(other.sample),
            self.validation.plus(other.validation),
            self.edges.joined(other.edges).needed(n_train, lacking),
            lacking,
            None if whole else self.exact_sums().plus(other.exact_sums()),
            self.rule or other.rule,
            tuple(sorted({*self.remarks, *other.remarks})),
        )

    def check_backbone(self, fingerprint: str) -> None:
        """Check that latents have the same meaning.

        Raises:
            DataError: the fingerprints differ.
        """
        if self.fingerprint != fingerprint:
            raise DataError(
                f"expected statistics of the backbone {self.fingerprint[:8]}, got "
                f"{fingerprint[:8]}; learn the task again from all images"
            )

    def exact_sums(self) -> TaskSums:
        """Return the exact sums of the training images, before any was moved."""
        if self.sums is not None:
            return self.sums
        return TaskSums.of_steps(self.sample.rows, self.sample.labels, len(self.classes))

    def with_classes(self, classes: list[str] | tuple[str, ...]) -> TaskStatistics:
        """Return the same statistics with more classes, or with classes in another order."""
        places = np.array([classes.index(name) for name in self.classes], dtype=np.int64)
        lacking = np.ones((len(classes), 2), dtype=bool)
        lacking[places] = self.lacking
        sums = None if self.sums is None else self.sums.with_classes(places, len(classes))
        return replace(
            self,
            classes=tuple(classes),
            index=self.index.with_classes(places),
            sample=self.sample.with_classes(places),
            validation=self.validation.with_classes(places),
            edges=self.edges.with_classes(places),
            lacking=lacking,
            sums=sums,
        )


def _part(fingerprint: str, rows: TaskRows, fresh: np.ndarray) -> TaskStatistics:
    """Return the statistics of some of the rows, with the edges of all."""
    train, held = (np.flatnonzero(fresh & (rows.natural == code)) for code in (TRAIN, VALIDATION))
    one, n_classes = rows.images, len(rows.classes)
    whole = len(train) <= MAX_ROWS
    sums = None if whole else TaskSums.of_steps(one.rows[train], one.labels[train], n_classes)
    absent = (True, True)  # a class without images here says nothing
    present = set(np.unique(one.labels).tolist())
    lacking = [
        rows.lacking.get(name, (False, False)) if label in present else absent
        for label, name in enumerate(rows.classes)
    ]
    listed = replace(rows, images=one.where(fresh), natural=rows.natural[fresh])
    return TaskStatistics(
        fingerprint,
        rows.classes,
        ImageIndex.of(listed),
        one.where(train).smallest(),
        one.where(held).smallest(),
        rows.edges(),
        np.array(lacking, dtype=bool).reshape(n_classes, 2),
        sums,
        rows.rule,
        rows.remarks,
    )


def _empty(fingerprint: str, dim: int) -> TaskStatistics:
    """Return the statistics of no images."""
    none, codes = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.uint8)
    hashes = np.zeros(0, dtype=DIGEST)
    sample = LatentSample(np.zeros((0, dim), dtype=np.int16), none, hashes)
    index = ImageIndex(hashes, none, codes, np.zeros(0, dtype=MARK))
    edges, lacking = EdgeRows(sample, codes, hashes), np.zeros((0, 2), dtype=bool)
    return TaskStatistics(fingerprint, (), index, sample, sample, edges, lacking, None)
