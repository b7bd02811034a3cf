"""The training and validation images of one task after the backbone pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from teachmesh.biases.bias_task import TaskImages
from teachmesh.data.loader import named_failure
from teachmesh.data.names import shown
from teachmesh.data.pixel_copies import HashedImages, pixel_remarks
from teachmesh.data.pixel_digests import digest_labelled
from teachmesh.data.tasks import check_task_failed
from teachmesh.errors import DataError
from teachmesh.learning.split_latents import rows_of
from teachmesh.learning.task_rows import TEST, TRAIN, VALIDATION, TaskRows
from teachmesh.model.embedding import embed_splits, labelled

if TYPE_CHECKING:
    import numpy as np

    from teachmesh.data.image_splits import Carving
    from teachmesh.data.layouts import SplitName
    from teachmesh.data.loader import Progress
    from teachmesh.data.tasks import Task
    from teachmesh.model.backbone import Backbone
    from teachmesh.model.embedding import LabelledLatents


@dataclass(frozen=True, eq=False)
class EmbeddedTask:
    """Everything that learning uses of a task; test images are not included.

    Attributes:
        train: latents and labels of the training images.
        validation: latents and labels of the validation images; may be empty.
        images: image files of both splits, in row order; None if no biases will be learned.
        failed: one sentence per unreadable image.
        spare: test images that may become training images when the task grows; None for none.
        carving: rule of the splits; None if the source has splits.
        copies: remarks about images with equal pixels.
    """

    train: LabelledLatents
    validation: LabelledLatents
    images: TaskImages | None = None
    failed: tuple[str, ...] = ()
    spare: LabelledLatents | None = None
    carving: Carving | None = None
    copies: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.train) + len(self.validation)

    @property
    def passes(self) -> int:
        """Number of images that were passed through the backbone."""
        return len(self) + (0 if self.spare is None else len(self.spare))

    def rows(self, classes: Sequence[str], remarks: Sequence[str] = ()) -> TaskRows:
        """Return the images for statistics.

        Args:
            classes: names of the C classes, in label order.
            remarks: remarks about the source.
        """
        splits = {TRAIN: self.train, VALIDATION: self.validation}
        found = rows_of(classes, splits | ({} if self.spare is None else {TEST: self.spare}))
        if self.carving is None:
            return replace(found, remarks=tuple(remarks))
        lacking, rule = self.carving.lacking, self.carving.rule
        return replace(found, lacking=lacking, rule=rule, remarks=tuple(remarks))


def embed_task(backbone: Backbone, task: Task, progress: Progress | None = None) -> EmbeddedTask:
    """Run the training and validation images of a task, and its spare ones, through the backbone.

    Args:
        backbone: the frozen network.
        task: the task to learn.
        progress: called with (images done, images in total).

    Raises:
        DataError: over a fifth of all images, or every training image of a class, is unreadable.
    """
    splits = (task.train, task.validation, task.spare())
    edges = {} if task.carving is None else task.carving.edges
    total = sum(len(split.images) for split in splits)
    parts = embed_splits(backbone, splits, progress=progress)
    failed = tuple(
        named_failure(str(split.images[i]), reason)
        for split, part in zip(splits, parts, strict=True)
        for i, reason in part.failed
    )
    check_task_failed(task, failed, total)
    train, validation, spare = (
        labelled(split, part, edges) for split, part in zip(splits, parts, strict=True)
    )
    images = TaskImages.of((task.train, parts[0]), (task.validation, parts[1]))
    embedded = EmbeddedTask(train, validation, images, failed, spare, task.carving)
    check_readable(task.classes, embedded.train.labels, failed)
    return embedded


def with_copies(embedded: EmbeddedTask, task: Task, size: int) -> EmbeddedTask:
    """Add remarks about images with equal pixels; test images are decoded for them.

    Args:
        embedded: latents of the task, with the hashes of their pixels.
        task: the task.
        size: side of the decoded squares in pixels, S.
    """
    hashed: dict[SplitName, HashedImages] = {"test": digest_labelled(task.test, size)}
    learned: dict[SplitName, LabelledLatents]
    learned = {"train": embedded.train, "validation": embedded.validation}
    for name, split in learned.items():
        if split.digests is not None:
            hashed[name] = HashedImages(split.digests, split.labels)
    return replace(embedded, copies=pixel_remarks(hashed, task.equal_files))


def check_readable(classes: Sequence[str], labels: np.ndarray, failed: Sequence[str]) -> None:
    """Check that every class has a readable training image.

    Args:
        classes: names of the C classes.
        labels: (N,) int64 labels of the readable training images.
        failed: one sentence per unreadable image, for the message.

    Raises:
        DataError: a class has none; the message names the class and an unreadable image.
    """
    missing = sorted(set(range(len(classes))) - set(labels.tolist()))
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        example = f" ({failed[0]})" if failed else ""
        raise DataError(
            f"expected a readable training image of every class, found none of "
            f"'{shown(classes[missing[0]])}'{more}{example}; replace its images"
        )
