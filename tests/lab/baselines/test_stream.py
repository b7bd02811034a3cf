"""Tasks that no baseline could learn are rejected when they are created."""

from __future__ import annotations

import numpy as np
import pytest

from teachmesh.errors import DataError
from teachmesh_lab.baselines.image_stream import (
    LatentSplit,
    LatentTask,
    PixelSplit,
    PixelTask,
    check_stream,
)

NO_LABELS = np.zeros(0, np.int64)


def images(n: int, size: int = 8) -> np.ndarray:
    """Make n black images."""
    return np.zeros((n, 3, size, size), np.uint8)


def split(*labels: int, size: int = 8) -> PixelSplit:
    """Make a split of black images with these labels."""
    return PixelSplit(images(len(labels), size), np.array(labels, np.int64))


@pytest.mark.parametrize(
    "pixels",
    [np.zeros((2, 8, 8, 3), np.uint8), np.zeros((2, 3, 8, 9), np.uint8), np.zeros((2, 3, 8, 8))],
)
def test_images_are_square_bytes(pixels: np.ndarray) -> None:
    """The channel axis comes first."""
    with pytest.raises(DataError, match=r"expected \(N, 3, S, S\) uint8 images"):
        PixelSplit(pixels, np.zeros(2, np.int64))


def test_labels_are_one_per_image() -> None:
    """Labels are int64."""
    with pytest.raises(DataError, match=r"expected \(2,\) int64 labels"):
        PixelSplit(images(2), np.zeros(3, np.int64))
    with pytest.raises(DataError, match=r"expected \(2,\) int64 labels"):
        LatentSplit(np.zeros((2, 4), np.float32), np.zeros(2, np.int32))
    with pytest.raises(DataError, match=r"expected \(N, D\) float32 latents"):
        LatentSplit(np.zeros((2, 4)), np.zeros(2, np.int64))


def test_every_class_has_training_images_and_every_label_a_class() -> None:
    """The validation and test splits may be empty."""
    PixelTask("fine", ("a", "b"), split(0, 1), split(), split())
    with pytest.raises(DataError, match="expected training images of every class of 'few'"):
        PixelTask("few", ("a", "b"), split(0, 0), split(), split())
    with pytest.raises(DataError, match="expected labels of 'many' below 2"):
        PixelTask("many", ("a", "b"), split(0, 1), split(), split(2))
    with pytest.raises(DataError, match="expected images of one size"):
        PixelTask("sizes", ("a",), split(0), split(), split(0, size=9))


def test_tasks_of_a_stream_have_one_shape() -> None:
    """Image sizes and latent dimensions must agree."""
    small = PixelTask("small", ("a",), split(0), split(), split())
    large = PixelTask("large", ("a",), split(0, size=9), split(size=9), split(size=9))
    with pytest.raises(DataError, match="expected one shape"):
        check_stream([small, large])

    def latents(name: str, dim: int) -> LatentTask:
        none = LatentSplit(np.zeros((0, dim), np.float32), NO_LABELS)
        train = LatentSplit(np.zeros((1, dim), np.float32), np.zeros(1, np.int64))
        return LatentTask(name, ("a",), train, none, none)

    check_stream([latents("a", 4), latents("b", 4)])
    with pytest.raises(DataError, match="expected one shape"):
        check_stream([latents("a", 4), latents("b", 5)])
