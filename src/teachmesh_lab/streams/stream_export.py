"""Write images from memory to a task folder: `<name>/<split>/<class>/<n>.png`."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from teachmesh.data.image_headers import sniff
from teachmesh.data.names import clean_name
from teachmesh.errors import DataError, StorageError

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, eq=False)
class Example:
    """One labelled image of a data set.

    Attributes:
        label: name of the image's class.
        image: a PIL image, or the bytes of an image file, which are written unchanged.
    """

    label: str
    image: Image | bytes


def export_task(
    folder: Path,
    name: str,
    splits: Mapping[str, Iterable[Example]],
    *,
    per_class: int | None = None,
) -> Path:
    """Write a data set as a task folder once; later calls reuse the folder.

    Args:
        folder: parent folder of exported tasks.
        name: name of the task; `clean_name` makes the folder name from it.
        splits: examples of the splits "train", "val" and "test", or of a single split "". A single
            split gets no folder and is divided when the task is read.
        per_class: number of images to keep per class and split, from the first; all by default.

    Returns:
        The task folder.

    Raises:
        DataError: there are no images, or an example is not an image.
        StorageError: the folder cannot be written.
    """
    limit = "" if per_class is None else f"-{per_class}"
    target = folder / (clean_name(name) + limit) / clean_name(name)
    if target.is_dir():
        return target
    try:
        folder.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".tmp-", dir=folder))
        try:
            _write_splits(temporary / "task", name, splits, per_class)
            target.parent.mkdir(exist_ok=True)
            (temporary / "task").rename(target)  # atomic: the folder is never incomplete
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise StorageError(
            f"could not write the images of {name} to {folder}: {error.strerror or error}"
        ) from error
    return target


def _write_splits(
    target: Path, name: str, splits: Mapping[str, Iterable[Example]], per_class: int | None
) -> None:
    total = 0
    for split, examples in splits.items():
        counts: Counter[str] = Counter()
        for example in examples:
            if per_class is not None and counts[example.label] >= per_class:
                continue
            place = target / split / clean_name(example.label)
            place.mkdir(parents=True, exist_ok=True)
            _write_image(place, counts[example.label], example.image)
            counts[example.label] += 1
        total += sum(counts.values())
    if not total:
        raise DataError(f"expected images in the data set {name!r}, found none")


def _write_image(folder: Path, number: int, image: Image | bytes) -> None:
    if not isinstance(image, bytes):
        stream = BytesIO()
        image.save(stream, format="png", compress_level=1)
        image = stream.getvalue()
    kind = sniff(image)
    if kind is None:
        raise DataError("expected images in the data set, got bytes of another kind; check it")
    (folder / f"{number:06}.{kind.lower()}").write_bytes(image)
