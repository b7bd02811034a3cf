"""Decoding of ordinary JPEG files by libjpeg-turbo, without Pillow's reader around it.

For small photos, Pillow's reader takes twice as long as libjpeg-turbo itself. The pixels are the
same bit by bit, because Pillow uses the same library with the same settings. Pillow reads all
other files, and all files that libjpeg-turbo warns about.
"""

from __future__ import annotations

import importlib
from functools import cache
from typing import TYPE_CHECKING, Any

from teachmesh.data.jpeg_segments import ORDINARY, JpegFrame, coefficient_bytes

if TYPE_CHECKING:
    import numpy as np

_COLOURS = {1: "GRAY", 3: "RGB"}
_SCALES = (8, 4, 2, 1)


def decode_jpeg(
    data: bytes, frame: JpegFrame, least: int, *, max_pixels: int, max_bytes: int
) -> np.ndarray | None:
    """Decode a JPEG at the scale that Pillow's `draft` chooses.

    Args:
        data: the bytes of the file.
        frame: header of the image in the file.
        least: number of pixels that each side keeps if it is reduced.
        max_pixels: maximum number of decoded pixels.
        max_bytes: maximum memory that decoding may take.

    Returns:
        The (H, W, C) uint8 pixels, with C = 3 for RGB or C = 1 for grey; None if Pillow must read
        the file.
    """
    library = _library()
    if library is None or frame.marker not in ORDINARY or frame.components not in _COLOURS:
        return None
    scale = _scale(frame, least)
    height, width = (-(-side // scale) for side in (frame.height, frame.width))
    if height * width > max_pixels or 8 * height * width + coefficient_bytes(data) > max_bytes:
        return None
    try:
        pixels: np.ndarray = library.decode_jpeg(
            data, _COLOURS[frame.components], min_height=height, min_width=width
        )
    except (ValueError, MemoryError):
        return None
    return pixels if pixels.shape == (height, width, frame.components) else None


def _scale(frame: JpegFrame, least: int) -> int:
    fits = min(frame.height // least, frame.width // least)
    return next(scale for scale in _SCALES if fits >= scale or scale == 1)


@cache
def _library() -> Any:
    """Return the module `simplejpeg`; None if this machine has none."""
    try:
        return importlib.import_module("simplejpeg")
    except ImportError:
        return None
