"""The images of a task beside their latents, for learning that runs the network again."""

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
    from teachmesh.model.embedding import Embedded


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
