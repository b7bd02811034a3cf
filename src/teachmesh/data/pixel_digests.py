"""SHA-256 of the pixels that the network sees, by which a photo is recognised again."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from teachmesh.data.loader import Readable, iterate_batches
from teachmesh.data.pixel_copies import HashedImages

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from teachmesh.data.tasks import Split

DIGEST = np.dtype("S32")
"""Type of an array of digests. Numpy hides zero bytes at the end, but `tobytes` keeps them."""


def pixel_digests(images: torch.Tensor) -> np.ndarray:
    """Return the (n,) digests of decoded images.

    Args:
        images: (n, 3, S, S) uint8 images, see `loader.Batch`.
    """
    rows = images.permute(0, 2, 3, 1).contiguous().numpy()  # (n, S, S, 3)
    return np.array([hashlib.sha256(row.tobytes()).digest() for row in rows], dtype=DIGEST)


def digests_of_rows(rows: np.ndarray) -> np.ndarray:
    """Return the (n,) digests of (n, D) arrays, for latents without images."""
    whole = np.ascontiguousarray(rows)
    return np.array([hashlib.sha256(row.tobytes()).digest() for row in whole], dtype=DIGEST)


def digest_images(images: Sequence[Readable], size: int) -> np.ndarray:
    """Return the (N,) digests of the readable images, without a network.

    Args:
        images: the images to decode.
        size: side of the decoded squares in pixels, S.
    """
    found = [pixel_digests(batch.images) for batch in iterate_batches(images, size)]
    return np.concatenate([np.zeros(0, dtype=DIGEST), *found])


def digest_labelled(split: Split, size: int) -> HashedImages:
    """Return the hashes and labels of the readable images of a split, without a network.

    Args:
        split: the images to decode.
        size: side of the decoded squares in pixels, S.
    """
    rows = [np.zeros(0, dtype=np.int64)]
    digests = [np.zeros(0, dtype=DIGEST)]
    for batch in iterate_batches(split.images, size):
        rows.append(batch.indices)
        digests.append(pixel_digests(batch.images))
    return HashedImages(np.concatenate(digests), split.labels[np.concatenate(rows)])


def to_bytes(digests: np.ndarray) -> np.ndarray:
    """Return (n,) byte strings of length L as an (n, L) uint8 array."""
    length = digests.dtype.itemsize
    return np.frombuffer(digests.tobytes(), dtype=np.uint8).reshape(len(digests), length)


def from_bytes(array: np.ndarray) -> np.ndarray:
    """Return the result of `to_bytes` as (n,) byte strings."""
    return np.frombuffer(array.tobytes(), dtype=f"S{array.shape[1]}")
