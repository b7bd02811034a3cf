"""Images to classify: files, folders, bytes, or images in memory."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

import numpy as np

from teachmesh.data.archives import is_archive
from teachmesh.data.array_images import as_array, is_array
from teachmesh.data.csv_listing import list_csv
from teachmesh.data.decoding import convert_upright, decode_upright
from teachmesh.data.image_headers import FORMATS
from teachmesh.data.images import ImageRef
from teachmesh.data.names import closest, shown
from teachmesh.data.source_files import find_source_files
from teachmesh.errors import DataError

if TYPE_CHECKING:
    import torch
    from PIL import Image

AskedImages = Union[str, Path, bytes, "Image.Image", np.ndarray, "torch.Tensor", "ImageInput"]
"""One input from a caller: a path to a file or folder, the bytes of a file, or an image in memory.

An array or tensor with four axes holds several images. See `array_images` for the rules."""


@dataclass(frozen=True, eq=False)
class ImageInput:
    """One image to classify.

    Attributes:
        name: name shown in answers: the path, or "image 3" if the third input has no path.
        source: reference to the image's file, its encoded bytes, the image in memory, or the
            reason why a folder of images cannot be read.
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
        DataError: a path does not exist, a value is no image, or no image was found.
    """
    items = inputs_of(asked)
    images = [image for i, item in enumerate(items) for image in _images_of(item, i)]
    if not images:
        raise DataError("expected at least one image to predict, got none")
    return images


def inputs_of(asked: Any) -> list[Any]:
    """Return the single inputs of a caller's value: itself, or the items of a collection.

    Args:
        asked: one input, a collection of inputs, or a (N, ...) array or tensor of images or paths.

    Raises:
        DataError: the value is a mapping, or a tensor that cannot be read.
    """
    if isinstance(asked, str | bytes | os.PathLike | bytearray | memoryview):
        return [asked]
    if is_array(asked):
        array = as_array(asked)
        several = array.ndim == 4 or array.dtype.kind in "UO"
        return list(np.atleast_1d(array)) if several else [array]
    if isinstance(asked, Mapping):
        raise DataError(f"expected images, got a {type(asked).__name__}; pass a list of its values")
    is_file = hasattr(asked, "read")  # its items are lines, not images
    return list(asked) if isinstance(asked, Iterable) and not is_file else [asked]


def image_of(item: Any, name: str) -> ImageInput:
    """Return one input as an image, without opening it. A path must be that of an image file.

    Args:
        item: a path, the bytes of a file, a Pillow image, an array or a tensor.
        name: name of the image in messages, unless it has a path.

    Raises:
        DataError: a tensor cannot be read.
    """
    if isinstance(item, str | os.PathLike):
        path = path_of(item)
        return ImageInput(str(path), ImageRef(path))
    if isinstance(item, bytearray | memoryview):
        return ImageInput(name, bytes(item))
    return ImageInput(name, as_array(item) if is_array(item) else item)


def path_of(text: object) -> Path:
    """Return a path with `~` expanded.

    Raises:
        DataError: the text is no path of this system.
    """
    try:
        if not isinstance(text, str | os.PathLike):
            raise TypeError(f"it is a {type(text).__name__}")
        path = Path(os.fsdecode(text)).expanduser()
        path.is_dir()  # fails if the name is too long
    except (OSError, RuntimeError, TypeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(
            f"expected a path of this system, got '{shown(str(text), 200)}' ({reason}); check it"
        ) from error
    return path


def _images_of(item: Any, position: int) -> list[ImageInput]:
    name = f"image {position + 1}"
    if isinstance(item, ImageInput):
        return [item]
    if not isinstance(item, str | os.PathLike):
        return [image_of(item, name)]
    path = path_of(item)
    if path.is_dir() or (path.is_file() and is_archive(path)):
        return _images_below(path)
    if path.suffix.lower() == ".csv" and path.is_file():
        return [ImageInput(_name(row.image), row.image) for row in list_csv(path).items]
    if not path.exists():
        found = "a link to nothing" if path.is_symlink() else "nothing"
        raise DataError(f"expected an image or a folder, found {found} at '{path}'{_hint(path)}")
    return [image_of(path, name)]


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
