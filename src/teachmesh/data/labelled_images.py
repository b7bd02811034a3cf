"""Tasks from labelled images in memory, and from data sets of other packages.

- `(images, labels)`: a tuple of two collections of equal length.
- A mapping from class names to images.
- A data set: `data[i]` is a pair (image, label), for i from 0 to `len(data)` - 1. This is a torch
  `Dataset`, or a list of pairs.
- A split of Hugging Face `datasets`, with one column of images and one of labels.

Labels are names, or whole numbers from 0. A number is replaced by the name that the data set lists
(`features[...].names`, or `classes` of torchvision), otherwise it becomes a name such as "7".

The order of the images makes no difference, because they are sorted by a hash of their pixels.
"""

from __future__ import annotations

import operator
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Union

from teachmesh.data.array_images import as_array, is_array
from teachmesh.data.image_inputs import ImageInput, find_images, image_of
from teachmesh.data.images import ImageRef
from teachmesh.data.listing import Item, Listing
from teachmesh.data.loader import named_failure
from teachmesh.data.memory_images import DIGEST_SIDE, MemoryImage, pixel_digest
from teachmesh.data.names import shown
from teachmesh.errors import DataError

IN_MEMORY = "the given images"
"""Stands for the path of a task that has none, in messages."""
_KINDS = (
    "a folder, archive or CSV file, (images, labels), a mapping from class names to images, or a "
    "data set of (image, label)"
)


class LabelledImages(Protocol):
    """A data set that is read by position, such as a torch `Dataset` or a list of pairs."""

    def __getitem__(self, index: int, /) -> Any:
        """Return the pair (image, label) at a position, or the row of a `datasets` split."""


TaskData = Union[str, Path, "tuple[Any, Any]", "Mapping[Any, Any]", LabelledImages]
"""Labelled images of a task, as described in this module; or the path of a folder."""


@dataclass(frozen=True)
class _Labelled:
    """One image, which is fetched when it is needed, and its label.

    `first` is the image if it is already known, so that it is not fetched only to be hashed.
    """

    fetch: Callable[[], Any]
    label: str
    first: Any = None


def list_labelled(data: Any) -> Listing:
    """List labelled images in memory, or in a data set of another package.

    Every image is read once, so that unreadable images are known and copies are found.

    Raises:
        DataError: the value has another type, a label is missing or invalid, or images cannot be
            told from labels.
    """
    items: list[Item] = []
    unreadable: list[str] = []
    seen: Counter[str] = Counter()
    for number, one in enumerate(_labelled(data)):
        try:
            image, digest = _reference(one, f"image {number + 1}")
        except DataError as error:
            unreadable.append(str(error))
            continue
        name = f"{one.label}/{digest.hex()}"
        seen[name] += 1
        items.append(Item(None, one.label, f"{name}-{seen[name]}", image))
    items.sort(key=lambda item: item.name)
    return Listing(tuple(items), (), tuple(unreadable), ())


def _reference(one: _Labelled, name: str) -> tuple[ImageRef, bytes]:
    """Return a reference to one image, and the hash of its pixels."""
    image = image_of(one.fetch() if one.first is None else one.first, name)
    try:
        digest = pixel_digest(image.upright(DIGEST_SIDE))
    except DataError as error:
        raise DataError(named_failure(image.name, str(error))) from error
    if isinstance(image.source, ImageRef):
        return image.source, digest
    return MemoryImage(Path(name), fetch=one.fetch, digest=digest), digest


def _labelled(data: Any) -> Iterable[_Labelled]:
    if isinstance(data, Mapping):
        return _of_mapping(data)
    if isinstance(data, tuple) and len(data) == 2:
        return _of_pair(*data)
    if hasattr(data, "features") and hasattr(data, "column_names"):
        return _of_columns(data)
    if isinstance(data, str | bytes | os.PathLike) or is_array(data):
        raise _unexpected(data)
    if not hasattr(data, "__getitem__") or not hasattr(data, "__len__"):
        raise _unexpected(data)
    return _of_pairs(data)


def _unexpected(data: object) -> DataError:
    return DataError(
        f"expected {_KINDS}, got {type(data).__name__}; a data set needs its length and must be "
        "readable by position"
    )


def _of_mapping(data: Mapping[Any, Any]) -> list[_Labelled]:
    """Read class -> images; images may also be folders or paths."""
    found = []
    for label, images in data.items():
        if hasattr(images, "column_names"):
            raise DataError(
                f"expected one split of a data set, got splits ({shown(', '.join(map(str, data)))})"
                f"; pass one of them, such as data[{label!r}]"
            )
        name = _label(label, ())
        found += [_Labelled(fetch, name) for fetch in _fetches(images)]
    return found


def _of_pair(images: Any, labels: Any) -> list[_Labelled]:
    """Read (images, labels)."""
    fetches = _fetches(images)
    if isinstance(labels, str | bytes) or not isinstance(labels, Iterable):
        raise DataError(f"expected one label per image, got {type(labels).__name__}; pass a list")
    given = as_array(labels).tolist() if is_array(labels) else list(labels)
    if not isinstance(given, list) or len(fetches) != len(given):
        count = len(given) if isinstance(given, list) else 1
        raise DataError(
            f"expected one label per image, got {len(fetches):,} images and {count:,} labels"
        )
    return [_Labelled(f, _label(label, ())) for f, label in zip(fetches, given, strict=True)]


def _fetches(images: Any) -> list[Callable[[], Any]]:
    """Return a function per image of a collection; arrays are split along their first axis."""
    if is_array(images):
        array = as_array(images)
        if array.ndim == 0:
            raise DataError("expected a collection of images, got a single number")
        return [_constant(image) for image in array]
    if isinstance(images, str | os.PathLike):
        return [_constant(_opened(image)) for image in find_images(str(images))]
    if isinstance(images, bytes | Mapping) or hasattr(images, "read"):
        raise DataError(
            f"expected a collection of images, got {type(images).__name__}; put it into a list"
        )
    if hasattr(images, "__getitem__") and hasattr(images, "__len__"):
        return _by_position(images, lambda row: row)
    if not isinstance(images, Iterable):
        raise DataError(
            f"expected a collection of images, got {type(images).__name__}; put it into a list"
        )
    return [_constant(image) for image in images]


def _opened(image: ImageInput) -> Any:
    """Return the path of a file, or the image itself."""
    source = image.source
    return source.path if isinstance(source, ImageRef) and source.member is None else image


def _constant(image: Any) -> Callable[[], Any]:
    return lambda: image


def _by_position(rows: Any, image_in: Callable[[Any], Any]) -> list[Callable[[], Any]]:
    """Return a function per row; rows are read one at a time, whatever the number of threads."""
    lock = threading.Lock()

    def fetch(position: int) -> Callable[[], Any]:
        def one() -> Any:
            with lock:
                return image_in(rows[position])

        return one

    return [fetch(position) for position in range(_length(rows))]


def _length(data: Any) -> int:
    try:
        return len(data)
    except TypeError as error:
        raise _unexpected(data) from error


def _of_pairs(data: Any) -> Iterator[_Labelled]:
    """Read a data set whose items are (image, label)."""
    names = _class_names(data)
    fetches = _by_position(data, lambda row: _pair(row)[0])
    for position, fetch in enumerate(fetches):
        image, label = _pair(data[position])
        yield _Labelled(fetch, _label(label, names), image)


def _pair(row: Any) -> tuple[Any, Any]:
    if isinstance(row, Mapping) and {"image", "label"} <= set(row):
        return row["image"], row["label"]
    if not isinstance(row, tuple | list) or len(row) != 2:
        raise DataError(
            f"expected items (image, label) in the data set, got {type(row).__name__}; for images "
            "without labels use predict"
        )
    return row[0], row[1]


def _class_names(data: Any) -> Sequence[str]:
    """Return the class names of a torchvision data set, or of the one that a subset is part of."""
    for _ in range(8):
        names = getattr(data, "classes", None)
        if isinstance(names, list | tuple) and all(isinstance(name, str) for name in names):
            return names
        data = getattr(data, "dataset", None)
    return ()


def _of_columns(data: Any) -> list[_Labelled]:
    """Read a split of Hugging Face `datasets`, one column of images and one of labels."""
    features = data.features
    if features is None or not hasattr(data, "__len__"):
        raise DataError(
            "expected a split that is on this machine, got a stream; load it without streaming=True"
        )
    image = _column(features, "Image", ("image", "img"))
    label = _column(features, "ClassLabel", ("label", "labels"))
    names = getattr(features[label], "names", None) or ()
    labels = list(data[label])
    fetches = _by_position(data, lambda row: row[image])
    return [
        _Labelled(fetch, _label(value, names)) for fetch, value in zip(fetches, labels, strict=True)
    ]


def _column(features: Mapping[str, Any], kind: str, usual: Sequence[str]) -> str:
    """Return the one column of a kind, or the one with a usual name."""
    of_kind = [name for name, feature in features.items() if type(feature).__name__ == kind]
    found = of_kind or [name for name in usual if name in features]
    named = [name for name in found if name in usual]
    if len(found) != 1 and len(named) != 1:
        got = ", ".join(found or features)
        raise DataError(
            f"expected one column of kind {kind} or with the name {usual[0]!r}, got "
            f"{shown(got)}; use select_columns or rename_column"
        )
    return found[0] if len(found) == 1 else named[0]


def _label(value: Any, names: Sequence[str]) -> str:
    """Return the class name for a label."""
    if isinstance(value, str):
        return str(value)
    try:
        if isinstance(value, bool) or type(value).__name__ == "bool_":
            raise TypeError
        number = operator.index(value)
    except TypeError:
        number = -1
    if number < 0 or (names and number >= len(names)):
        limit = f" to {len(names) - 1}" if names else ""
        raise DataError(
            f"expected a class name or a whole number from 0{limit} as label, got "
            f"{shown(repr(value))} ({type(value).__name__}); label every image"
        )
    return names[number] if names else str(number)
