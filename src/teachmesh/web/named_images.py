"""Images of the command line as names and contents, read as `data.image_inputs` would.

The names and errors are equal, so that a running agent gives the answers of the command itself.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from teachmesh.errors import DataError

MOST_IMAGES = 64
MOST_BYTES = 16 << 20
_FILES = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".heic", ".avif")
"""Endings of files that are images and nothing else."""


@dataclass(frozen=True)
class NamedImage:
    """One image.

    Attributes:
        name: name in answers.
        content: bytes of the file, or the reason why it cannot be read.
    """

    name: str
    content: bytes | str


def named_images(asked: Sequence[str | bytes]) -> list[NamedImage] | None:
    """Read images; None if there are too many for one request.

    Args:
        asked: paths of images, folders, archives or CSV files, or contents of image files.

    Raises:
        DataError: a path does not exist, or no image was found.
    """
    found = [_simple(item, number) for number, item in enumerate(asked[: MOST_IMAGES + 1])]
    images = [image for image in found if image is not None]
    if len(images) < len(found):  # imports numpy, which is slow, so only where it is needed
        images_or_none = _listed(asked)
        if images_or_none is None:
            return None
        images = images_or_none
    size = sum(len(image.content) for image in images)
    return images if len(images) <= MOST_IMAGES and size <= MOST_BYTES else None


def _simple(item: str | bytes, number: int) -> NamedImage | None:
    """Read an image without the data layer; None for anything but a small image file."""
    if isinstance(item, bytes):
        return NamedImage(f"image {number + 1}", item)
    try:
        path = Path(os.fsdecode(item)).expanduser()
        if path.suffix.lower() not in _FILES or not path.is_file():
            return None
        if path.stat().st_size > MOST_BYTES:
            return None
        return NamedImage(str(path), path.read_bytes())
    except (OSError, RuntimeError, ValueError):
        return None


def _listed(asked: Sequence[str | bytes]) -> list[NamedImage] | None:
    from teachmesh.data.image_inputs import find_images

    images = find_images(list(asked))
    if len(images) > MOST_IMAGES:
        return None
    return [NamedImage(image.name, _content(image.source)) for image in images]


def _content(source: object) -> bytes | str:
    from teachmesh.data.images import ImageRef

    if isinstance(source, ImageRef):
        try:
            return source.read()
        except DataError as error:
            return str(error)
    return str(source) if isinstance(source, DataError) else bytes(source)  # type: ignore[call-overload]
