"""Images to classify: files, folders, bytes or pictures in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Union, cast

import numpy as np

from teachmesh.data.archives import is_archive
from teachmesh.data.csv_listing import list_csv
from teachmesh.data.decoding import convert_upright, decode_upright
from teachmesh.data.image_headers import FORMATS
from teachmesh.data.images import ImageRef
from teachmesh.data.names import closest
from teachmesh.data.source_files import find_source_files
from teachmesh.errors import DataError

if TYPE_CHECKING:
    from PIL import Image

AskedImages = Union[str, Path, bytes, "Image.Image", np.ndarray]
"""One input from a caller: a path to a file or folder, the bytes of a file, or an image."""


@dataclass(frozen=True, eq=False)
class ImageInput:
    """One image to classify.

    Attributes:
        name: name shown in answers: the path, or "image 3" if the third input has no path.
        source: reference to the image's file, its encoded bytes, the decoded image, or the reason
            why a folder of images cannot be read.
    """

    name: str
    source: ImageRef | bytes | Image.Image | np.ndarray | DataError

    def upright(self, size: int) -> np.ndarray:
        """Return the upright image as an (H, W, C) uint8 array, with C = 1 for grey.

        The image has enough pixels for a square of side `size`.

        Raises:
            DataError: the image cannot be read.
        """
        if isinstance(self.source, ImageRef):
            return self.source.upright(size)
        if isinstance(self.source, DataError):
            raise self.source
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
    if path.is_dir() or (path.is_file() and is_archive(path)):
        return _images_below(path)
    if path.is_file() and path.suffix.lower() == ".csv":
        return [ImageInput(_name(row.image), row.image) for row in list_csv(path).items]
    if not path.exists():
        found = "a link to nothing" if path.is_symlink() else "nothing"
        raise DataError(f"expected an image or a folder, found {found} at '{path}'{_hint(path)}")
    return [ImageInput(str(path), ImageRef(path))]


def _images_below(path: Path) -> list[ImageInput]:
    """List the images of a folder or archive that `tasks.read_task` would list, by their paths."""
    found = find_source_files(path)
    images = [ImageInput(_name(found.images[p]), found.images[p]) for p in sorted(found.images)]
    images += [ImageInput(folder, DataError(why)) for folder, why in found.unlisted.items()]
    if not images:
        raise DataError(f"expected images ({FORMATS}) in '{path}', found none")
    return images


def _name(image: ImageRef) -> str:
    return str(image.path) if image.member is None else f"{image.path}:{image.member}"


def _hint(path: Path) -> str:
    if not path.parent.is_dir():
        return "; check the path"
    siblings = sorted(sibling.name for sibling in path.parent.iterdir() if sibling.exists())
    nearest = closest(path.name, siblings)
    return f"; did you mean '{nearest}'?" if nearest else "; check the path"
