"""Reading of tasks: named classes with train, validation and test images.

`read_task` reads all images used for learning. A task has at least two classes, each with a
training image, and no image is in two splits.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from teachmesh.data.archives import TAR_SUFFIXES, ZIP_SUFFIXES, is_archive
from teachmesh.data.classes import class_names, some, trained_classes
from teachmesh.data.csv_listing import list_csv
from teachmesh.data.duplicates import without_shared
from teachmesh.data.image_inputs import path_of
from teachmesh.data.image_splits import Carving, ContentHashes, Growth, assign, takes_all
from teachmesh.data.images import ImageRef
from teachmesh.data.layouts import LAYOUTS, Layout, SplitName
from teachmesh.data.listing import Listing, list_source
from teachmesh.data.names import check_name, clean_name, did_you_mean, remark, shown
from teachmesh.data.pixel_copies import NO_EQUAL_FILES, EqualFiles
from teachmesh.data.source_files import is_image_name, is_system_name
from teachmesh.errors import DataError, UsageError

_log = logging.getLogger(__name__)
MAX_FAILED_SHARE = 0.2
"""Maximum fraction of unreadable images in a task."""
NO_VALIDATION = "no validation images: too few images per class to set some aside"
"""Remark on a task without validation images."""

_ARCHIVES_NOT_READ = (".7z", ".rar", ".zst", ".lz4", ".tbz2", ".txz", ".gz", ".xz", ".iso")


@dataclass(frozen=True, eq=False)
class Split:
    """One split of a task: train, validation or test.

    Attributes:
        images: the N images of the split, sorted by class and name.
        labels: class of each image as an index into `Task.classes`, (N,) int64.
    """

    images: tuple[ImageRef, ...]
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True, eq=False)
class Task:
    """A named set of classes with separate train, validation and test images.

    Attributes:
        name: name of the task.
        classes: sorted class names in NFC; a label is an index into this tuple.
        train: images for fitting.
        validation: images for model selection and calibration; may be empty.
        test: images for measuring accuracy; may be empty.
        source: path that the task was read from.
        split_seed: seed of the splits that `read_task` made; None if the source has all splits.
        unreadable: one sentence for each file left out because it does not begin like an image.
        warnings: notes for the user, one sentence each.
        layout: folders of the source that are splits, for a message; "" if there are none.
        carving: rule and edges of the splits that `read_task` made; None if it made none.
        copies: those of the warnings that are about equal images.
        equal_files: numbers of equal images in these warnings.
    """

    name: str
    classes: tuple[str, ...]
    train: Split
    validation: Split
    test: Split
    source: str
    split_seed: int | None
    unreadable: tuple[str, ...]
    warnings: tuple[str, ...]
    layout: str = ""
    carving: Carving | None = None
    copies: tuple[str, ...] = ()
    equal_files: EqualFiles = NO_EQUAL_FILES

    @property
    def skipped(self) -> int:
        """Number of images left out."""
        return len(self.unreadable)

    def spare(self) -> Split:
        """Return the test images that may become training images when their class grows."""
        edges = {} if self.carving is None else self.carving.edges
        rows = [row for row, image in enumerate(self.test.images) if image in edges]
        return Split(tuple(self.test.images[row] for row in rows), self.test.labels[rows])

    def summary(self) -> str:
        """Return classes, images per split, and the folders that were understood as splits.

        Such as "10 classes, 910 / 110 / 110 images (train / validation / test), 3 unreadable
        skipped; splits by folder: 'train' = train, 'val' = validation".
        """
        parts = f"{len(self.train):,} / {len(self.validation):,} / {len(self.test):,}"
        skipped = f", {self.skipped:,} unreadable skipped" if self.skipped else ""
        splits = f"; splits by folder: {self.layout}" if self.layout else ""
        meaning = "images (train / validation / test)"
        return f"{len(self.classes):,} classes, {parts} {meaning}{skipped}{splits}"


def read_task(
    path: str | os.PathLike[str],
    *,
    name: str | None = None,
    seed: int = 0,
    layout: Layout = "auto",
    split: tuple[float, float] | None = None,
    grows: Growth | None = None,
) -> Task:
    """Read a task from a folder, a tar or zip archive, or a CSV file.

    If there are no validation images, some training images are used instead, but never test images.
    A source without any split is split about 80 / 10 / 10, by the content of the files. Images are
    **not** decoded here. A validation or test image whose file equals an image of a split before it
    is left out, with a remark.

    Args:
        path: path of the folder, archive or CSV file.
        name: name of the task; by default, the cleaned-up name of the file or folder.
        seed: seed for making the splits that the source does not have.
        layout: "classes" or "splits" if the meaning of the top folders is not clear.
        split: fractions of each class for validation and test, of a source without splits; (0, 0)
            uses every image of any source for training. By default a tenth each.
        grows: the task that the images are added to; None for a new task. One class is then
            enough, and the task's own rule makes the splits.

    Raises:
        UsageError: the layout is unknown.
        DataError: the path does not exist, there are fewer than two classes, class names are not
            valid or too similar, or a class lacks training images. Also raised if more than a
            fifth of the images are unreadable.
    """
    path = path_of(path)
    if layout not in LAYOUTS:
        raise UsageError(f"expected a layout out of {', '.join(LAYOUTS)}, got {layout!r}")
    started_s = time.perf_counter()
    listing = _list(path, layout)
    took_s = time.perf_counter() - started_s
    _log.info("found %d images in %s in %.1f s", len(listing.items), path, took_s)
    task = check_name("task", name, as_file=True) if name is not None else task_name(path)
    return arrange_task(listing, task, str(path), seed, split, grows)


def arrange_task(
    listing: Listing,
    task: str,
    source: str,
    seed: int,
    split: tuple[float, float] | None,
    grows: Growth | None = None,
) -> Task:
    """Check the classes of listed images, and assign the images to splits.

    Args:
        listing: the images with their labels.
        task: name of the task.
        source: where the images come from, for messages.
        seed: seed for making the splits that the listing does not have.
        split: fractions of each class for validation and test, as in `read_task`.
        grows: the task that the images are added to, as in `read_task`.

    Raises:
        DataError: the classes cannot be used, or too many images are unreadable.
    """
    total = len(listing.items) + len(listing.unreadable)
    check_failed(len(listing.unreadable), total, task, "".join(listing.unreadable[:1]))
    labels = class_names(listing.items)
    classes = trained_classes(listing.items, labels, source, least=2 if grows is None else 1)
    rule = None if grows is None else grows.rule
    hashes = ContentHashes()
    splits, carving = assign(listing.items, labels, seed, split, rule, hashes)
    parts: dict[SplitName, list[tuple[int, ImageRef]]] = {"train": [], "validation": [], "test": []}
    index = {label: number for number, label in enumerate(classes)}
    for item, where in zip(listing.items, splits, strict=True):
        parts[where].append((index[labels[item.label]], item.image))
    parts, copies, equal_files = without_shared(parts, carving.edges if carving else (), hashes)
    return Task(
        name=task,
        classes=classes,
        train=_part(parts["train"]),
        validation=_part(parts["validation"]),
        test=_part(parts["test"]),
        source=source,
        split_seed=carving.rule.seed if carving else None,
        unreadable=listing.unreadable,
        warnings=tuple(
            map(
                remark,
                (
                    *listing.warnings,
                    *copies,
                    *_warnings(listing, parts, every_image=takes_all(carving)),
                ),
            )
        ),
        layout=listing.layout,
        carving=carving,
        copies=tuple(map(remark, copies)),
        equal_files=equal_files,
    )


def check_failed(failed_count: int, total: int, name: str, example: str) -> None:
    """Raise an error if more than a fifth of a task's images cannot be read.

    Args:
        failed_count: number of unreadable images: `Task.skipped` plus failures in decoding.
        total: number of all images, readable or not.
        name: name of the task, for the message.
        example: sentence about one unreadable image, for the message; empty if there is none.

    Raises:
        DataError: too many images are unreadable.
    """
    if failed_count > MAX_FAILED_SHARE * total:
        because = f" ({example})" if example else ""
        raise DataError(
            f"expected at least {1 - MAX_FAILED_SHARE:.0%} readable images in '{shown(name)}', "
            f"got {failed_count:,} unreadable ones of {total:,}{because}; repair or remove them"
        )


def check_task_failed(task: Task, failed: Sequence[str], total: int) -> None:
    """Raise an error if more than a fifth of a task's images are unreadable, or were skipped.

    Args:
        task: the task.
        failed: sentence about each image that could not be decoded.
        total: number of images that were to be decoded.

    Raises:
        DataError: too many images are unreadable; the message names one of them.
    """
    example = "".join([*failed, *task.unreadable][:1])
    check_failed(len(failed) + task.skipped, total + task.skipped, task.name, example)


def task_name(path: Path) -> str:
    """Return the task name for a file or folder: its name without the ending, cleaned up."""
    name = path.name or path.resolve().name
    # Try the longest ending first: ".tar.gz" before ".gz".
    for suffix in sorted((*TAR_SUFFIXES, *ZIP_SUFFIXES, ".csv"), key=len, reverse=True):
        if name.lower().endswith(suffix) and not path.is_dir():
            name = name[: -len(suffix)]
            break
    return clean_name(name)


def find_tasks(folder: Path | str, only: Sequence[str] | None = None) -> list[Path]:
    """List the tasks in a folder: sub-folders with class folders, and tar and zip archives.

    Args:
        folder: a folder that contains the tasks; all entries that are not tasks are ignored.
        only: names of the tasks to list; by default, all tasks.

    Returns:
        Paths of the tasks, sorted by task name.

    Raises:
        DataError: the folder is missing or has no tasks, two tasks share a name, or a name in
            `only` is unknown.
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise _missing(folder, "a folder of tasks")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if is_system_name(path.name) or not _looks_like_task(path):
            continue
        if other := found.get(task_name(path)):
            raise DataError(
                f"expected tasks of different names in '{shown(str(folder))}', got "
                f"'{shown(other.name)}' and '{shown(path.name)}'; rename one"
            )
        found[task_name(path)] = path
    if not found:
        raise DataError(
            f"expected tasks (folders of class folders, .tar, .zip) in '{shown(str(folder))}', "
            "got none; to learn one task use `teachmesh learn`"
        )
    for name in only or ():
        if name not in found:
            raise DataError(
                f"expected a task in '{shown(str(folder))}', got '{shown(name)}'"
                f"{did_you_mean(name, found)}; tasks there: {some(sorted(found))}"
            )
    return [found[name] for name in sorted(found) if not only or name in only]


def _looks_like_task(path: Path) -> bool:
    if not path.is_dir():
        return is_archive(path)
    return any(child.is_dir() and not is_system_name(child.name) for child in path.iterdir())


def _list(path: Path, layout: Layout) -> Listing:
    try:
        is_dir, is_file = path.is_dir(), path.is_file()
    except OSError as error:  # the name is too long, or permission is denied
        raise DataError(
            f"expected a usable path, got '{shown(str(path), 200)}' ({error.strerror}); check it"
        ) from error
    if is_dir or (is_file and is_archive(path)):
        return list_source(path, layout)
    if is_file and path.suffix.lower() == ".csv":
        return list_csv(path)
    if not is_file:
        raise _missing(path, "a folder, a .tar or .zip archive, or a .csv file")
    kind = "one image" if is_image_name(path.name) else "another kind of file"
    if path.suffix.lower() in _ARCHIVES_NOT_READ:
        raise DataError(
            f"expected a .tar or .zip archive, got a {path.suffix.lower()} file: "
            f"'{shown(str(path), 200)}'; unpack it and learn from the folder"
        )
    raise DataError(
        f"expected a folder, a .tar or .zip archive, or a .csv file, got {kind}: "
        f"'{shown(str(path), 200)}'; put the images of each class into a folder of its name"
    )


def _missing(path: Path, expected: str) -> DataError:
    siblings = [child.name for child in path.parent.iterdir()] if path.parent.is_dir() else []
    return DataError(
        f"expected {expected} at '{shown(str(path), 200)}', got nothing there"
        f"{did_you_mean(path.name, siblings)}; check the path"
    )


def _part(members: list[tuple[int, ImageRef]]) -> Split:
    members = sorted(members, key=lambda member: member[0])  # a stable sort: by class, then by name
    labels = np.array([label for label, _ in members], dtype=np.int64)
    return Split(tuple(image for _, image in members), labels)


def _warnings(
    listing: Listing, parts: dict[SplitName, list[tuple[int, ImageRef]]], *, every_image: bool
) -> list[str]:
    warnings = []
    if listing.empty_classes:
        n = len(listing.empty_classes)
        classes = "class" if n == 1 else "classes"
        warnings.append(f"left out {n} {classes} without images: {some(listing.empty_classes)}")
    if not parts["validation"] and not every_image:
        warnings.append(NO_VALIDATION)
    return warnings
