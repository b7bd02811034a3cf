"""References to images, and decoding of their bytes to upright uint8 pixels.

All images pass through the same steps: check the header, decode, turn upright, convert to RGB, and
resize to a square without cropping. A JPEG is decoded at a reduced scale if that is enough. Only
the first frame of an animation is used. No step emits warnings: a file is either decoded or
rejected with a one-sentence error.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from errno import EINVAL
from io import BytesIO
from pathlib import Path
from stat import S_ISREG

import numpy as np
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    WebPImagePlugin,
)

from teachmesh.data.archives import read_tar_range, read_zip_member
from teachmesh.data.image_headers import (
    SNIFF_BYTES,
    ImageFormat,
    canvas,
    describe,
    exif_orientation,
    sniff,
    without_animation,
)
from teachmesh.data.names import shown
from teachmesh.data.pixels import REDUCING_GAP, from_array, upright
from teachmesh.errors import DataError

MAX_PIXELS = 40_000_000
"""Maximum number of pixels, checked in the header to stop decompression bombs."""
MAX_FILE_BYTES = 256 << 20
"""Maximum size of an image file that is read into memory."""

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


@dataclass(frozen=True)
class ImageRef:
    """Reference to the bytes of one image, which is a file or a member of an archive.

    Attributes:
        path: path of the image file or of the archive.
        member: name inside the archive; None for a file.
        offset: position of the member's bytes in an (unpacked) tar; None otherwise.
        size_bytes: size of the member in bytes; None for a file.
    """

    path: Path
    member: str | None = None
    offset: int | None = None
    size_bytes: int | None = None

    def __str__(self) -> str:
        where = shown(str(self.path), 200)
        return where if self.member is None else f"{where}:{shown(self.member, 200)}"

    def read(self) -> bytes:
        """Read all bytes of the image.

        Raises:
            DataError: the file is missing, unreadable, larger than `MAX_FILE_BYTES`, or shorter
                than listed in the archive.
        """
        return self._read(MAX_FILE_BYTES)

    def head(self) -> bytes:
        """Read the first bytes, enough for `image_headers.sniff`.

        Raises:
            DataError: for the same reasons as in `read`.
        """
        return self._read(SNIFF_BYTES)

    def upright(self, size: int) -> np.ndarray:
        """Return the result of `decode_upright` for the image's bytes.

        Raises:
            DataError: for the same reasons as in `read` and `decode_upright`.
        """
        return decode_upright(self.read(), size, source=self)

    def _read(self, limit: int) -> bytes:
        try:
            size_bytes = _file_size(self.path) if self.size_bytes is None else self.size_bytes
            if size_bytes > MAX_FILE_BYTES:
                raise DataError(
                    f"expected an image of at most {MAX_FILE_BYTES >> 20} MiB, got "
                    f"{size_bytes >> 20} MiB in '{self}'; save it smaller"
                )
            wanted = min(limit, size_bytes)
            data = self._read_first(wanted)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise DataError(
                f"expected a readable image at '{self}', got '{reason}'; check the file"
            ) from error
        if len(data) < wanted:
            raise DataError(
                f"expected {wanted} bytes at '{self}', got {len(data)}; the file is damaged, "
                "copy or pack it again"
            )
        return data

    def _read_first(self, size_bytes: int) -> bytes:
        if self.member is None:
            with self.path.open("rb", buffering=0) as file:
                return file.read(size_bytes)
        if self.offset is None:
            return read_zip_member(self.path, self.member, size_bytes)
        return read_tar_range(self.path, self.offset, size_bytes)


def _file_size(path: Path) -> int:
    """Return a file's size in bytes; reject pipes and devices, which could block forever."""
    state = path.stat()
    if not S_ISREG(state.st_mode):
        raise OSError(EINVAL, "not a regular file")
    return state.st_size


def decode_upright(
    data: bytes, size: int, *, source: object = "", max_pixels: int = MAX_PIXELS
) -> np.ndarray:
    """Decode an image file and turn it upright by its EXIF tag; `pixels.squash` makes it square.

    Args:
        data: the bytes of a JPEG, PNG, WebP, BMP or GIF file.
        size: final side of the square image in pixels, S.
        source: origin of the bytes, such as an `ImageRef` or a file name, for the error message.
        max_pixels: maximum width times height; larger images are rejected.

    Returns:
        The upright image as an (H, W, C) uint8 array, with C = 3 for RGB or C = 1 for grey.

    Raises:
        DataError: the data is not a supported image, is damaged, or exceeds `max_pixels`.
    """
    try:
        image = _open(data, max_pixels, source)
        gap_size = round(REDUCING_GAP * size)
        # Only JPEG has a draft mode; other formats ignore the call.
        image.draft(None, (gap_size, gap_size))
        image.load()
        # The EXIF block of a PNG may follow the pixels, so it is read after load().
        return upright(image, exif_orientation(image.info.get("exif")), size)
    except _PILLOW_ERRORS as error:
        reason = shown(str(error)) or type(error).__name__
        raise DataError(
            f"expected a complete image, got a damaged {sniff(data)} file{_at(source)} ({reason}); "
            "save it again"
        ) from error


def convert_upright(image: Image.Image | np.ndarray, size: int) -> np.ndarray:
    """Convert an image in memory in the same way as `decode_upright`.

    Args:
        image: a Pillow image, or an array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) with dtype
            uint8 or uint16. Channels are RGB or RGBA.
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
            f"expected a Pillow image or a numpy array, got {type(image).__name__}; "
            "open it with PIL.Image.open first"
        )
    if image.width * image.height > MAX_PIXELS:
        raise DataError(_too_large(image.size, MAX_PIXELS, ""))
    try:
        image.load()
        # Only an image from a file still needs its EXIF rotation. Pillow passes `info` on to
        # rotated copies, but their format is None.
        turn = exif_orientation(image.info.get("exif")) if image.format is not None else 1
        return upright(image, turn, size)
    except _PILLOW_ERRORS as error:
        raise DataError(
            f"expected an image that converts to RGB, got mode '{image.mode}' "
            f"({shown(str(error))}); convert it with image.convert('RGB')"
        ) from error


class _Jpeg(JpegImagePlugin.JpegImageFile):
    """A JPEG reader that leaves the EXIF block to `image_headers.exif_orientation`."""

    def _read_dpi_from_exif(self) -> None:
        """Do nothing: the resolution is not needed, and Pillow warns about damaged EXIF blocks."""


_READERS: dict[ImageFormat, type[ImageFile.ImageFile]] = {
    "JPEG": _Jpeg,
    "PNG": PngImagePlugin.PngImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "GIF": GifImagePlugin.GifImageFile,
}


def _open(data: bytes, max_pixels: int, source: object) -> Image.Image:
    """Open an image file; only its header is read."""
    image_format = sniff(data)
    if image_format is None:
        raise DataError(
            f"expected an image (JPEG, PNG, WebP, BMP or GIF), got {describe(data)}"
            f"{_at(source)}; convert it to JPEG or PNG"
        )
    # The readers are called directly, because Image.open would try other formats and warn about
    # large canvases before this module can reject them.
    size = canvas(data, image_format)
    if size is None or size[0] * size[1] <= max_pixels:
        still = without_animation(data) if image_format == "PNG" else data
        image: Image.Image = _READERS[image_format](BytesIO(still))
        size = image.size
        if size[0] * size[1] <= max_pixels:
            return image
    raise DataError(_too_large(size, max_pixels, source))


def _too_large(size: tuple[int, int], max_pixels: int, source: object) -> str:
    return (
        f"expected an image of at most {max_pixels / 1e6:g} megapixels, got "
        f"{size[0]} x {size[1]}{_at(source)}; save it smaller"
    )


def _at(source: object) -> str:
    where = shown(str(source), 200)
    return f" in '{where}'" if where else ""
