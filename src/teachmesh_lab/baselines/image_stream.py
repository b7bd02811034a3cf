"""Tasks of a stream in memory: pixels for trained baselines, latents for frozen ones.

Learning uses only `train` and `validation`; `test` is read only to answer and score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from teachmesh.errors import DataError


@dataclass(frozen=True, eq=False)
class PixelSplit:
    """Images and labels of one split.

    Attributes:
        images: RGB images as an (N, 3, S, S) uint8 array.
        labels: (N,) int64 class indices.

    Raises:
        DataError: an array has the wrong shape or type.
    """

    images: np.ndarray
    labels: np.ndarray

    def __post_init__(self) -> None:
        shape = self.images.shape
        if (
            self.images.dtype != np.uint8
            or len(shape) != 4
            or shape[1] != 3
            or shape[2] != shape[3]
        ):
            raise DataError(
                f"expected (N, 3, S, S) uint8 images, got {shape} {self.images.dtype}; resize them "
                "to squares"
            )
        _check_labels(self.labels, len(self.images))

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class LatentSplit:
    """Latents and labels of one split; the latents come from a frozen backbone.

    Attributes:
        latents: (N, D) float32 latents.
        labels: (N,) int64 class indices.

    Raises:
        DataError: an array has the wrong shape or type.
    """

    latents: np.ndarray
    labels: np.ndarray

    def __post_init__(self) -> None:
        if self.latents.dtype != np.float32 or self.latents.ndim != 2:
            raise DataError(
                f"expected (N, D) float32 latents, got {self.latents.shape} {self.latents.dtype}"
            )
        _check_labels(self.labels, len(self.latents))

    def __len__(self) -> int:
        return len(self.labels)


SplitT = TypeVar("SplitT", PixelSplit, LatentSplit)


@dataclass(frozen=True, eq=False)
class StreamTask(Generic[SplitT]):
    """One task of a stream.

    Attributes:
        name: name of the task.
        classes: names of the C classes.
        train: images to learn from; every class occurs.
        validation: images for tuning hyper-parameters; may be empty.
        test: images for the final measurement.

    Raises:
        DataError: a class has no training image, or a label is out of range.
    """

    name: str
    classes: tuple[str, ...]
    train: SplitT
    validation: SplitT
    test: SplitT

    def __post_init__(self) -> None:
        n_classes = len(self.classes)
        for split in self.splits:
            if len(split) and not (split.labels.min() >= 0 and split.labels.max() < n_classes):
                raise DataError(f"expected labels of {self.name!r} below {n_classes}")
        counts = np.bincount(self.train.labels, minlength=n_classes)
        if n_classes < 1 or (counts == 0).any():
            raise DataError(f"expected training images of every class of {self.name!r}")

    @property
    def splits(self) -> tuple[SplitT, SplitT, SplitT]:
        """The splits train, validation and test."""
        return self.train, self.validation, self.test


class PixelTask(StreamTask[PixelSplit]):
    """One task as pixels, for a trained baseline.

    Raises:
        DataError: the task is invalid (see `StreamTask`), or its splits differ in image size.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if len({split.images.shape[2] for split in self.splits}) > 1:
            raise DataError(f"expected images of one size in every split of {self.name!r}")

    @property
    def size(self) -> int:
        """Side length S of the images in pixels."""
        return int(self.train.images.shape[2])


class LatentTask(StreamTask[LatentSplit]):
    """One task as latents, for a frozen baseline."""


def check_stream(stream: Sequence[PixelTask] | Sequence[LatentTask]) -> None:
    """Check that a stream can be learned.

    Raises:
        DataError: there is no task, two tasks have the same name, or their inputs differ in shape.
    """
    if not stream:
        raise DataError("expected at least one task, got none")
    names = [task.name for task in stream]
    if len(set(names)) < len(names):
        raise DataError("expected tasks of different names, got one twice")
    shapes = {_shape(task) for task in stream}
    if len(shapes) > 1:
        raise DataError(f"expected one shape of images in all tasks, got {sorted(shapes)}")


def _shape(task: PixelTask | LatentTask) -> tuple[int, ...]:
    if isinstance(task, PixelTask):
        return tuple(task.train.images.shape[1:])
    return tuple(task.train.latents.shape[1:])


def _check_labels(labels: np.ndarray, n: int) -> None:
    if labels.dtype != np.int64 or labels.shape != (n,):
        raise DataError(f"expected ({n},) int64 labels, got {labels.shape} {labels.dtype}")
