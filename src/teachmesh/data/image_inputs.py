"""Images to classify: files, folders, bytes or pictures in memory."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Union, cast

import numpy as np

from teachmesh.data.decoding import convert_upright, decode_upright
from teachmesh.data.images import ImageRef
from teachmesh.data.names import closest
from teachmesh.errors import DataError

if TYPE_CHECKING:
    from PIL import Image

AskedImages = Union[str, Path, bytes, "Image.Image", np.ndarray]
"""One input from a caller: a path to a file or folder, the bytes of a file, or an image."""

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif"})


@dataclass(frozen=True, eq=False)
class ImageInput:
    """One image to classify.

    Attributes:
        name: name shown in answers: the path, or "image 3" if the third input has no path.
        source: reference to the image's file, its encoded bytes, or the decoded image.
    """

    name: str
    source: ImageRef | bytes | Image.Image | np.ndarray

    def upright(self, size: int) -> np.ndarray:
        """Return the upright image as an (H, W, C) uint8 array, with C = 1 for grey.

        The image has enough pixels for a square of side `size`.

        Raises:
            DataError: the image cannot be read.
        """
        if isinstance(self.source, ImageRef):
            return self.source.upright(size)
        if isinstance(self.source, bytes):
            return decode_upright(self.source, size, source=self.name)
        return convert_upright(self.source, size)


def find_images(asked: AskedImages | Sequence[AskedImages]) -> list[ImageInput]:
    """List the images to classify; folders are searched in sorted order.

    Raises:
        DataError: a path does not exist, or no image was found.
    """
    items = cast("list[AskedImages]", list(asked) if isinstance(asked, list | tuple) else [asked])
    images = [image for i, item in enumerate(items) for image in _images_of(item, i)]
    if not images:
        raise DataError("expected at least one image to predict, got none")
    return images


def _images_of(item: AskedImages, position: int) -> list[ImageInput]:
    if isinstance(item, bytes):
        return [ImageInput(f"image {position + 1}", item)]
    if not isinstance(item, str | Path):
        return [ImageInput(f"image {position + 1}", item)]
    path = Path(item).expanduser()
    if path.is_dir():
        found = _images_below(path)
        if not found:
            raise DataError(
                f"expected images (JPEG, PNG, WebP, BMP or GIF) in the folder '{path}', found none"
            )
        return [ImageInput(str(image), ImageRef(image)) for image in found]
    if not path.exists():
        raise DataError(f"expected an image or a folder, found nothing at '{path}'{_hint(path)}")
    return [ImageInput(str(path), ImageRef(path))]


def _images_below(folder: Path) -> list[Path]:
    found = []
    # os.walk does not follow links to folders, so loops of links are harmless.
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [
            Path(parent, name)
            for name in sorted(files)
            if Path(name).suffix.lower() in IMAGE_SUFFIXES and not name.startswith(".")
        ]
    return found


def _hint(path: Path) -> str:
    if not path.parent.is_dir():
        return "; check the path"
    nearest = closest(path.name, sorted(sibling.name for sibling in path.parent.iterdir()))
    return f"; did you mean '{nearest}'?" if nearest else "; check the path"
