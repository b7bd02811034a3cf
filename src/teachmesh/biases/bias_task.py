"""Inputs for learning the biases of one task: images, labels and the results without biases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from teachmesh.data.loader import read_batch
from teachmesh.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import torch

    from teachmesh.data.images import ImageRef
    from teachmesh.data.tasks import Split
    from teachmesh.model.backbone import Backbone
    from teachmesh.model.embedding import Embedded
    from teachmesh.model.head import Head


@dataclass(frozen=True, eq=False)
class BiasTask:
    """Inputs for training the biases of one task.

    Attributes:
        backbone: the frozen network.
        method: task mapper of the skill.
        images: readable images of the training and validation splits.
        train_labels: (N,) int64 class indices of the training images.
        validation_labels: (V,) int64 class indices of the validation images, V at least 1.
        start: head fitted without biases; training starts from this head.
        without: (V, C) log posteriors of the validation images without biases, given the task.
        before_macs: multiply-accumulates already spent on learning.
        seed: seed for the order of images and for the Head2Toe head.
    """

    backbone: Backbone
    method: str
    images: TaskImages
    train_labels: np.ndarray
    validation_labels: np.ndarray
    start: Head
    without: np.ndarray
    before_macs: int
    seed: int = 0

    @property
    def base(self) -> str:
        """Kind of latents that the head reads while biases are trained: "multi" or "last"."""
        return base_of(self.method)


def base_of(method: str) -> str:
    """Return the kind of latents that the head reads while biases are trained.

    Args:
        method: name of the task mapper.

    Returns:
        "multi" for multi-depth latents; "last" for latents of the last layer, as in the paper.
    """
    return "multi" if method == "moments" else "last"


@dataclass(frozen=True)
class TaskImages:
    """The readable images of a task, one for each row of the latents.

    Attributes:
        train: readable images of the training split.
        validation: readable images of the validation split.
    """

    train: Sequence[ImageRef]
    validation: Sequence[ImageRef]

    @classmethod
    def of(cls, train: tuple[Split, Embedded], validation: tuple[Split, Embedded]) -> TaskImages:
        """Select the readable images of two splits."""
        return cls(*(readable(split.images, found) for split, found in (train, validation)))


def readable(images: Sequence[ImageRef], embedded: Embedded) -> list[ImageRef]:
    """Return the images for which latents were computed, in the given order."""
    return [images[int(row)] for row in embedded.kept]


def decode_rows(images: Sequence[ImageRef], rows: np.ndarray, size: int) -> torch.Tensor:
    """Decode n images to an (n, 3, S, S) uint8 tensor in channels-last memory order.

    Args:
        images: all images.
        rows: positions of the n images to decode.
        size: side of the decoded images in pixels, S.

    Raises:
        DataError: an image can no longer be read.
    """
    batch = read_batch([images[int(row)] for row in rows], range(len(rows)), size)
    if batch.failed:
        raise DataError(batch.failed[0][1])
    return batch.images
