"""Images of a task that are in memory, or in a data set that is not a folder."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from teachmesh.data.image_inputs import image_of
from teachmesh.data.images import ImageRef
from teachmesh.errors import DataError

DIGEST_SIDE = 128
"""Images with a side of 4 times this number of pixels or more are made smaller to be hashed."""


def pixel_digest(upright: np.ndarray) -> bytes:
    """Return a hash of pixels, 20 bytes; equal for grey images with one and with three channels.

    Args:
        upright: (H, W, C) uint8 image, with C = 1 or 3.
    """
    pixels = np.ascontiguousarray(np.broadcast_to(upright, (*upright.shape[:2], 3)))
    digest = hashlib.blake2b(repr(pixels.shape).encode(), digest_size=20)
    digest.update(pixels.tobytes())
    return digest.digest()


@dataclass(frozen=True, eq=False, kw_only=True)
class MemoryImage(ImageRef):
    """Reference to an image that is not a file; its `path` is a name such as "image 3".

    Attributes:
        fetch: function that returns the image: a Pillow image, an array, a tensor, or bytes.
        digest: hash of its pixels, from `pixel_digest`.
    """

    fetch: Callable[[], Any]
    digest: bytes

    def __str__(self) -> str:
        return str(self.path)

    def read(self) -> bytes:
        """Return bytes that are equal for equal pixels, so that copies are found."""
        return self.digest

    def n_bytes(self) -> int:
        """Return the number of bytes that `read` returns."""
        return len(self.digest)

    def upright(self, size: int) -> np.ndarray:
        """Return the upright (H, W, C) uint8 image, as `decode_upright` does.

        Raises:
            DataError: the value is no image, or it differs from the one that was hashed.
        """
        image = image_of(self.fetch(), str(self.path))
        if pixel_digest(image.upright(DIGEST_SIDE)) != self.digest:
            raise DataError(
                "expected the same image each time it is read, got another one; take random "
                "transforms out of the data set"
            )
        return image.upright(size)
