"""What the biases of one task are learned from."""

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
    """What biases are learned from.

    Attributes:
        backbone: the frozen network.
        method: of the skill.
        images: of both splits.
        train_labels: (N,) int64.
        validation_labels: (V,) int64, V at least 1.
        start: head on latents without biases that training begins with.
        without: (V, C) log posteriors of the validation images without biases, given the task.
        before_macs: multiply-accumulates that learning has spent already.
        seed: of what is random.
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
        """Latents that the head reads while biases are trained."""
        return base_of(self.method)


def base_of(method: str) -> str:
    """Latents that the head reads while the biases of a method are trained.

    Args:
        method: the task mapper.

    Returns:
        "multi", the multi-depth ones, or "last", those of the last layer as in the paper.
    """
    return "multi" if method == "moments" else "last"


@dataclass(frozen=True)
class TaskImages:
    """Where the images are whose latents learning was given, row by row.

    Attributes:
        train: of the training split; readable ones only.
        validation: of the validation split.
    """

    train: Sequence[ImageRef]
    validation: Sequence[ImageRef]

    @classmethod
    def of(cls, train: tuple[Split, Embedded], validation: tuple[Split, Embedded]) -> TaskImages:
        """Those of two splits that could be read."""
        return cls(*(readable(split.images, found) for split, found in (train, validation)))


def readable(images: Sequence[ImageRef], embedded: Embedded) -> list[ImageRef]:
    """The images that have latents, in their order."""
    return [images[int(row)] for row in embedded.kept]


def decode_rows(images: Sequence[ImageRef], rows: np.ndarray, size: int) -> torch.Tensor:
    """(n, 3, S, S) uint8 of some images, channels last in memory.

    Args:
        images: where the bytes are.
        rows: which of them.
        size: S.

    Raises:
        DataError: one cannot be read any more.
    """
    batch = read_batch([images[int(row)] for row in rows], range(len(rows)), size)
    if batch.failed:
        raise DataError(batch.failed[0][1])
    return batch.images
