"""Pillow's reader of each image format, called directly.

`Image.open` would try other formats, and warn about large canvases before they can be rejected.
"""

from __future__ import annotations

import importlib
from io import BytesIO

from PIL import Image, JpegImagePlugin, features

from teachmesh.data.image_headers import ImageFormat
from teachmesh.errors import DataError

# Modules of Pillow that are loaded when the first image of their format is read.
_READERS: dict[ImageFormat, tuple[str, str]] = {
    "PNG": ("PIL.PngImagePlugin", "PngImageFile"),
    "WEBP": ("PIL.WebPImagePlugin", "WebPImageFile"),
    "BMP": ("PIL.BmpImagePlugin", "BmpImageFile"),
    "GIF": ("PIL.GifImagePlugin", "GifImageFile"),
    "TIFF": ("PIL.TiffImagePlugin", "TiffImageFile"),
    "PNM": ("PIL.PpmImagePlugin", "PpmImageFile"),
    "JPEG 2000": ("PIL.Jpeg2KImagePlugin", "Jpeg2KImageFile"),
    "AVIF": ("PIL.AvifImagePlugin", "AvifImageFile"),
    "HEIC": ("pillow_heif.as_plugin", "HeifImageFile"),
}
# Formats that some builds of Pillow lack.
_FEATURES: dict[ImageFormat, str] = {"WEBP": "webp", "JPEG 2000": "jpg_2000", "AVIF": "avif"}


class _Jpeg(JpegImagePlugin.JpegImageFile):
    """A JPEG reader that leaves the EXIF block to `image_metadata.file_orientation`."""

    def _read_dpi_from_exif(self) -> None:
        """Do nothing: the resolution is not needed, and Pillow warns about damaged EXIF blocks."""


def open_image(data: bytes, image_format: ImageFormat, where: str) -> Image.Image:
    """Open an image file with the reader of its format; only its header is read.

    Args:
        data: the bytes of the file.
        image_format: its format, from `image_headers.sniff`.
        where: the file for the error message, such as " in 'a.heic'".

    Raises:
        DataError: the reader is not installed. Pillow's exceptions on damaged files are **not**
            caught.
    """
    if image_format == "JPEG":
        return _Jpeg(BytesIO(data))
    feature = _FEATURES.get(image_format)
    if feature is not None and not features.check(feature):
        raise DataError(
            f"expected a Pillow that reads {image_format}, got one without it{where}; install "
            "Pillow's own wheel, or convert the image to JPEG or PNG"
        )
    module, name = _READERS[image_format]
    try:
        reader = getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        raise DataError(
            f"expected the extra 'heif' to read HEIC{where}, which is not installed; run "
            "pip install pillow-heif, or convert the image to JPEG or PNG"
        ) from error
    image: Image.Image = reader(BytesIO(data))
    return image
