"""Tasks from torchvision's data sets: `torchvision:MNIST,EuroSAT` (extra `bench`)."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from teachmesh.data.names import did_you_mean
from teachmesh.errors import DataError, MissingExtraError
from teachmesh_lab.streams.stream_export import Example, export_task

_SPLIT_WORDS = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}


def vision_task(name: str, root: Path, cache: Path, *, per_class: int | None = None) -> Path:
    """Convert one torchvision data set to a task folder.

    Data sets with a `train` or `split` parameter keep their splits; other data sets are split when
    the task is read. Missing validation images are taken from the training images. Missing files
    are downloaded if torchvision can download the data set.

    Args:
        name: name of the data set's class in `torchvision.datasets`.
        root: folder for torchvision's files.
        cache: parent folder of the task folder.
        per_class: number of images to keep per class and split.

    Raises:
        MissingExtraError: torchvision is not installed.
        DataError: the data set is unknown, files are missing, or labels are not classes.
    """
    splits = {split: _examples(data) for split, data in _open_splits(name, root).items()}
    return export_task(cache, name, splits, per_class=per_class)


def _open_splits(name: str, root: Path) -> dict[str, Any]:
    """Return the data set of each split; the key is "" for a data set without splits."""
    kind = _find(name)
    parameters = inspect.signature(kind).parameters
    options: dict[str, Any] = {"root": str(root)}
    if "download" in parameters:
        options["download"] = True
    if "train" in parameters:
        return {
            "train": _open(kind, name, **options, train=True),
            "test": _open(kind, name, **options, train=False),
        }
    if "split" not in parameters:
        return {"": _open(kind, name, **options)}
    opened = {}
    for split, words in _SPLIT_WORDS.items():
        for word in words:
            try:
                opened[split] = _open(kind, name, **options, split=word)
                break
            except ValueError:  # raised by torchvision if the set has no such split
                continue
    if "train" not in opened:
        raise DataError(f"expected a split 'train' in torchvision's {name}, found none")
    return opened


def _open(kind: Any, name: str, **options: Any) -> Any:
    try:
        return kind(**options)
    except (RuntimeError, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(
            f"could not open torchvision's {name} under '{options['root']}' ({reason}); put its "
            "files there, or let it download them"
        ) from error


def _find(name: str) -> Any:
    try:
        from teachmesh.model.timm_weights import ensure_torchvision

        ensure_torchvision()
        from torchvision import datasets
    except ImportError as error:
        raise MissingExtraError("torchvision", "bench") from error
    known = sorted(datasets.__all__)
    if name not in known:
        raise DataError(f"torchvision has no data set {name!r}{did_you_mean(name, known)}")
    return getattr(datasets, name)


def _examples(data: Any) -> Iterator[Example]:
    names = [str(item) for item in getattr(data, "classes", ())]
    for index in range(len(data)):
        image, label = data[index]
        if not isinstance(label, int):
            raise DataError(
                f"expected one class per image in torchvision's {type(data).__name__}, got a label "
                f"of type {type(label).__name__}; it is no classification task"
            )
        yield Example(names[label] if label < len(names) else str(label), image)
