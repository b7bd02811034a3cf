"""Images that somebody asks about: files, folders, bytes, or pictures in memory."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Union, cast

import numpy as np

from teachmesh.data.images import ImageRef, convert_upright, decode_upright
from teachmesh.data.names import closest
from teachmesh.errors import DataError

if TYPE_CHECKING:
    from PIL import Image

Asked = Union[str, Path, bytes, "Image.Image", np.ndarray]
"""What may stand for images: a path to a file or folder, file contents, or an image in memory."""

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif"})


@dataclass(frozen=True, eq=False)
class Question:
    """One image that is asked about.

    Attributes:
        name: how answers call it.
        source: where its bytes are, its bytes, or the image itself.
    """

    name: str
    source: ImageRef | bytes | Image.Image | np.ndarray

    def upright(self, size: int) -> np.ndarray:
        """(H, W, C) uint8, C = 1 for grey, for squares of `size` pixels.

        Raises:
            DataError: it cannot be read.
        """
        if isinstance(self.source, ImageRef):
            return self.source.upright(size)
        if isinstance(self.source, bytes):
            return decode_upright(self.source, size, source=self.name)
        return convert_upright(self.source, size)


def find_questions(asked: Asked | Sequence[Asked]) -> list[Question]:
    """List the images that are asked about; folders are walked in sorted order.

    Raises:
        DataError: a path that does not exist, or nothing to ask about.
    """
    items = cast("list[Asked]", list(asked) if isinstance(asked, list | tuple) else [asked])
    questions = [question for i, item in enumerate(items) for question in _questions(item, i)]
    if not questions:
        raise DataError("expected at least one image to predict, got none")
    return questions


def _questions(item: Asked, position: int) -> list[Question]:
    if isinstance(item, bytes):
        return [Question(f"image {position + 1}", item)]
    if not isinstance(item, str | Path):
        return [Question(f"image {position + 1}", item)]
    path = Path(item).expanduser()
    if path.is_dir():
        found = _images_below(path)
        if not found:
            raise DataError(
                f"expected images (JPEG, PNG, WebP, BMP or GIF) in the folder '{path}', found none"
            )
        return [Question(str(image), ImageRef(image)) for image in found]
    if not path.exists():
        raise DataError(f"expected an image or a folder, found nothing at '{path}'{_hint(path)}")
    return [Question(str(path), ImageRef(path))]


def _images_below(folder: Path) -> list[Path]:
    found = []
    # os.walk does not follow links to folders, so a loop of links ends here.
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
