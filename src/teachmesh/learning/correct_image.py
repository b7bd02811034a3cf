"""Learn one image under another class, and take it out of the class that it was learned as."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from teachmesh.data.names import shown
from teachmesh.data.pixel_digests import DIGEST
from teachmesh.errors import DataError
from teachmesh.learning.image_index import ImageIndex, marks_of
from teachmesh.learning.task_rows import TRAIN, TaskRows
from teachmesh.learning.task_statistics import TaskStatistics
from teachmesh.mapping.latent_sample import LatentSample
from teachmesh.mapping.task_sums import TaskSums, fixed_point


@dataclass(frozen=True, eq=False)
class Corrected:
    """Statistics after a correction.

    Attributes:
        statistics: the statistics.
        left: classes that the image was taken out of.
    """

    statistics: TaskStatistics
    left: tuple[str, ...]


def one_image(class_name: str, latents: np.ndarray, digest: np.ndarray) -> TaskRows:
    """Return one training image.

    Args:
        class_name: its class.
        latents: (1, D) float32 multi-depth latents.
        digest: (1,) hash of its pixels.
    """
    image = LatentSample(fixed_point(latents), np.zeros(1, dtype=np.int64), digest)
    natural, keys = np.full(1, TRAIN, dtype=np.uint8), np.zeros(1, dtype=DIGEST)
    # The image says nothing about the splits of its class.
    return TaskRows((class_name,), image, natural, keys, {class_name: (True, True)})


def correct_image(
    task: TaskStatistics, image: TaskRows, counts: np.ndarray | None = None
) -> Corrected:
    """Learn an image as its class; training images with its pixels leave other classes.

    Args:
        task: statistics of the task, which has the class.
        image: the image, from `one_image`.
        counts: (C,) numbers of training images; by default those of `task`. For a part of a task,
            those of all its parts.

    Raises:
        DataError: the image was learned with other latents, or is the only one of its class.
    """
    index, label = task.index, task.classes.index(image.classes[0])
    same = (index.digests == image.images.digests[0]) & (index.natural == TRAIN)
    wrong = index.where(same & (index.labels != label))
    left = tuple(task.classes[n] for n in wrong.labels)
    _check(task, wrong, image, task.index.counts(len(task.classes)) if counts is None else counts)
    return Corrected(_without(task, wrong, image).grown(image), left)


def _check(task: TaskStatistics, wrong: ImageIndex, image: TaskRows, counts: np.ndarray) -> None:
    """Check that images can be taken out."""
    if (wrong.marks != marks_of(image.images.rows)).any():
        raise DataError(
            "expected the latents with which the image was learned, got others, for example of "
            "another --engine, --dtype or processor; correct with those of learning, or learn the "
            "task again from all images with --replace"
        )
    for label in wrong.labels:
        if counts[label] == 1:
            raise DataError(
                f"expected more training images of '{shown(task.classes[label])}', got only this "
                "one; add others with learn --add-to first"
            )


def _without(task: TaskStatistics, wrong: ImageIndex, image: TaskRows) -> TaskStatistics:
    """Return statistics without some training images that have the latents of an image."""
    rows = np.repeat(image.images.rows, len(wrong), axis=0)
    sums = task.sums
    if sums is not None:
        sums = sums.minus(TaskSums.of_steps(rows, wrong.labels, sums.n_classes))
    index, edges = task.index, task.edges
    gone = _among(index.digests, index.labels, wrong) & (index.natural == TRAIN)
    moved = _among(edges.images.digests, edges.images.labels, wrong) & (edges.natural == TRAIN)
    return replace(
        task,
        index=index.where(~gone),
        sample=task.sample.where(~_among(task.sample.digests, task.sample.labels, wrong)),
        edges=edges.where(~moved),
        sums=sums,
    )


def _among(digests: np.ndarray, labels: np.ndarray, wrong: ImageIndex) -> np.ndarray:
    """Return the mask of images that are to be taken out."""
    return np.isin(digests, wrong.digests) & np.isin(labels, wrong.labels)
