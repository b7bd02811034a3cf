"""Decoding of an image's bytes to upright uint8 pixels, within bounded memory.

All images pass through the same steps: check the header, decode, convert to RGB, turn upright, and
resize to a square without cropping. Only the first frame or page is used. No step emits warnings: a
file is either decoded or rejected with a one-sentence error.

A JPEG is decoded at a reduced scale if that is enough. One of 20,000 x 10,000 pixels takes 20 MB,
and 590 MB if it is progressive (growth of the peak RSS, 4:2:0, Pillow 13).
"""

from __future__ import annotations

import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from PIL import Image

from teachmesh.data.array_images import from_array
from teachmesh.data.exif_xmp import exif_orientation
from teachmesh.data.fast_jpeg import decode_jpeg
from teachmesh.data.image_headers import FORMATS, ImageFormat, canvas, describe, sniff
from teachmesh.data.image_metadata import file_orientation, still_png
from teachmesh.data.image_readers import open_image
from teachmesh.data.jpeg_segments import coefficient_bytes, jpeg_frame
from teachmesh.data.names import shown
from teachmesh.data.pixels import REDUCING_GAP, turned, upright
from teachmesh.data.sixteen_bits import has_wide_colours, load_samples
from teachmesh.data.tiff_headers import first_page
from teachmesh.errors import DataError

MAX_PIXELS = 64_000_000
"""Maximum number of decoded pixels, checked in the header to stop decompression bombs."""
MAX_JPEG_PIXELS = 256_000_000
"""Maximum number of pixels of a JPEG, which is decoded at up to an eighth of its width."""
MAX_MEMORY_BYTES = 768 << 20
"""Maximum memory that decoding one image may take, as estimated from its header."""
_LARGE_BYTES = 128 << 20

# Exceptions of Pillow's readers on damaged files. `Warning` is included because Python's
# option `-W error` raises warnings as exceptions.
_PILLOW_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    Warning,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)

# Large images are decoded one at a time, so that threads do not add up their memory.
_large = threading.Lock()


def decode_upright(
    data: bytes, size: int, *, source: object = "", max_pixels: int = MAX_PIXELS
) -> np.ndarray:
    """Decode an image file and turn it upright; `pixels.squash` makes it square.

    Args:
        data: the bytes of an image file.
        size: final side of the square image in pixels, S.
        source: origin of the bytes, such as an `ImageRef` or a file name, for the error message.
        max_pixels: maximum width times height of the decoded image. A JPEG is decoded at a
            reduced scale, so it may have `MAX_JPEG_PIXELS`.

    Returns:
        The upright image as an (H, W, C) uint8 array, with C = 3 for RGB or C = 1 for grey.

    Raises:
        DataError: the data is not a supported image, is damaged, or exceeds a limit.
    """
    if not data:
        raise DataError(f"expected an image, got an empty file{_at(source)}; copy it again")
    image_format = sniff(data)
    if image_format is None:
        raise DataError(
            f"expected an image ({FORMATS}), got {describe(data)}{_at(source)}; "
            "convert it to JPEG or PNG"
        )
    try:
        return _decode(data, image_format, size, source, max_pixels)
    except _PILLOW_ERRORS as error:
        reason = shown(str(error)) or type(error).__name__
        got = "damaged or unusual" if image_format == "TIFF" else "damaged"
        raise DataError(
            f"expected a complete image, got a {got} {image_format} file"
            f"{_at(source)} ({reason}); save it again"
        ) from error


def _decode(
    data: bytes, image_format: ImageFormat, size: int, source: object, max_pixels: int
) -> np.ndarray:
    if image_format == "JPEG" and (pixels := _plain_jpeg(data, size, max_pixels)) is not None:
        return pixels
    plain = {"PNG": still_png, "TIFF": first_page}.get(image_format, bytes)(data)
    announced = canvas(plain, image_format)
    if announced is not None:
        _check_size(announced, max_pixels, source)
    image = open_image(plain, image_format, _at(source))
    if image_format == "JPEG":
        _check_size(image.size, MAX_JPEG_PIXELS, source)
        gap_size = round(REDUCING_GAP * size)
        image.draft(None, (gap_size, gap_size))
    _check_size(image.size, max_pixels, source)
    needed = 8 * image.width * image.height
    if image_format == "JPEG":
        needed += coefficient_bytes(data)
    if needed > MAX_MEMORY_BYTES:
        raise DataError(
            f"expected an image that decodes in {MAX_MEMORY_BYTES >> 20} MiB of memory, got one "
            f"that takes {needed >> 20} MiB{_at(source)}; save it smaller or not progressive"
        )
    with _one_at_a_time(needed):
        wide = has_wide_colours(image)
        again = open_image(plain, image_format, _at(source)) if wide else None
        loaded = load_samples(image, again)
        if image_format == "AVIF":  # Pillow puts the rotation of the container into this block
            turn = exif_orientation(image.info.get("exif")) or 1
        else:
            turn = file_orientation(data, image_format)
        return upright(loaded, turn, size)


def _plain_jpeg(data: bytes, size: int, max_pixels: int) -> np.ndarray | None:
    """Return the upright pixels of an ordinary JPEG; None if Pillow must read it."""
    frame = jpeg_frame(data)
    if frame is None or frame.height * frame.width > MAX_JPEG_PIXELS:
        return None
    least = round(REDUCING_GAP * size)
    pixels = decode_jpeg(data, frame, least, max_pixels=max_pixels, max_bytes=_LARGE_BYTES)
    return None if pixels is None else turned(pixels, file_orientation(data, "JPEG"), size)


@contextmanager
def _one_at_a_time(needed_bytes: int) -> Iterator[None]:
    if needed_bytes < _LARGE_BYTES:
        yield
        return
    with _large:
        yield


def convert_upright(image: Image.Image | np.ndarray, size: int) -> np.ndarray:
    """Convert an image in memory in the same way as `decode_upright`.

    Args:
        image: a Pillow image, or an array as described in `array_images`.
        size: final side of the square image in pixels, S.

    Returns:
        The upright image as an (H, W, C) uint8 array, with C = 3 for RGB or C = 1 for grey.

    Raises:
        DataError: the type, shape or dtype is wrong, or the image cannot be converted.
    """
    if isinstance(image, np.ndarray):
        image = from_array(image)
    elif not isinstance(image, Image.Image):
        raise DataError(
            f"expected a path, the bytes of a file, a Pillow image, an array or a tensor, got "
            f"{type(image).__name__}; open it with PIL.Image.open first"
        )
    if image.width * image.height > MAX_PIXELS:
        raise _too_large(image.size, MAX_PIXELS, "")
    try:
        image.load()
        # Only an image from a file still needs its EXIF rotation. Pillow passes `info` on to
        # rotated copies, but their format is None.
        block = image.info.get("exif") if image.format is not None else None
        turn = exif_orientation(block) or 1
        return upright(image, turn, size)
    except _PILLOW_ERRORS as error:
        raise DataError(
            f"expected an image that converts to RGB, got mode '{image.mode}' "
            f"({shown(str(error))}); convert it with image.convert('RGB')"
        ) from error


def _check_size(size: tuple[int, int], max_pixels: int, source: object) -> None:
    if size[0] * size[1] > max_pixels:
        raise _too_large(size, max_pixels, source)


def _too_large(size: tuple[int, int], max_pixels: int, source: object) -> DataError:
    return DataError(
        f"expected an image of at most {max_pixels / 1e6:g} megapixels, got "
        f"{size[0]} x {size[1]}{_at(source)}; save it smaller"
    )


def _at(source: object) -> str:
    where = shown(str(source), 200)
    return f" in '{where}'" if where else ""
