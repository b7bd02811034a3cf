"""Flat lists of labelled images from folders and archives.

Supported layouts are `<class>/*` and `{train,val|validation,test}/<class>/*`, at the root or below
one common folder. Hidden files are ignored. Links to folders are followed, except in loops.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from teachmesh.data.archives import is_archive, list_members
from teachmesh.data.image_headers import describe, sniff
from teachmesh.data.images import ImageRef
from teachmesh.data.names import shown
from teachmesh.errors import DataError

SplitName = Literal["train", "validation", "test"]

SPLIT_WORDS: dict[str, SplitName] = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif"})
# Image formats that are not supported. Such files count as unreadable instead of being ignored,
# because users expect them to be images of the class.
_FOREIGN_SUFFIXES = frozenset(
    {".heic", ".heif", ".avif", ".tif", ".tiff", ".jp2", ".svg", ".psd", ".eps", ".pdf", ".dng"}
)
_HIDDEN = frozenset({"__macosx", "thumbs.db", "desktop.ini"})
_MAX_DEPTH = 16

Parts = tuple[str, ...]


@dataclass(frozen=True)
class Item:
    """One image with its label.

    Attributes:
        split: split that the source assigns to the image; None if the source has no splits.
        label: class name as found in the source, not yet checked.
        name: identifier of the image in the task: its path below the split folder or the root,
            in NFC. It is the same for folders, archives and CSV files.
        image: reference to the image's bytes.
    """

    split: SplitName | None
    label: str
    name: str
    image: ImageRef


@dataclass(frozen=True)
class Listing:
    """Labelled images of a source, and notes on files that were left out.

    Attributes:
        items: labelled images, sorted by name.
        empty_classes: labels of classes without readable images.
        unreadable: one sentence for each image that was left out, with the reason.
        warnings: notes on ignored files, one sentence each.
    """

    items: tuple[Item, ...]
    empty_classes: tuple[str, ...]
    unreadable: tuple[str, ...]
    warnings: tuple[str, ...]


@dataclass
class _Found:
    """Files and folders below a root, keyed by the parts of their relative paths."""

    files: dict[Parts, ImageRef] = field(default_factory=dict)
    folders: set[Parts] = field(default_factory=set)


def list_source(path: Path) -> Listing:
    """List a folder or an archive.

    Raises:
        DataError: the source is unreadable, or its layout has no training images.
    """
    found = _archive(path) if is_archive(path) else _folder(path)
    images = {p: ref for p, ref in found.files.items() if is_image_name(p[-1])}
    warnings = [_ignored(len(found.files) - len(images), "that are no images")]
    folders = found.folders | {parts[:-1] for parts in images}
    depth = _common_depth(images, folders)
    images = {parts[depth:]: ref for parts, ref in images.items()}
    folders = {parts[depth:] for parts in folders if len(parts) > depth}
    arrange = _split_items if _has_splits(images, path) else _flat_items
    items, class_folders = arrange(images, folders)
    warnings.append(_ignored(len(images) - len(items), "outside of class folders"))
    kept, unreadable = keep_readable(items)
    # A class counts as empty only if it has no training images.
    trained = {item.label for item in kept if item.split in (None, "train")}
    labels = class_folders | {item.label for item in items}
    return Listing(
        kept, tuple(sorted(labels - trained)), unreadable, tuple(w for w in warnings if w)
    )


def is_image_name(name: str) -> bool:
    """Return whether a file name has an image suffix, supported or not."""
    suffix = os.path.splitext(name)[1].lower()  # noqa: PTH122 - it may not be a valid Path
    return suffix in IMAGE_SUFFIXES or suffix in _FOREIGN_SUFFIXES


def keep_readable(items: Iterable[Item]) -> tuple[tuple[Item, ...], tuple[str, ...]]:
    """Sort the items by name, leaving out files that do not begin like an image file.

    Only the first bytes are read; damage in the rest is found when the image is decoded.
    """
    kept: list[Item] = []
    unreadable: list[str] = []
    for item in sorted(items, key=lambda item: (item.name, item.split or "")):
        try:
            head = item.image.head()
        except DataError as error:
            unreadable.append(str(error))
            continue
        if sniff(head) is None:
            unreadable.append(f"'{item.image}' is {describe(head)}")
        else:
            kept.append(item)
    return tuple(kept), tuple(unreadable)


def _archive(path: Path) -> _Found:
    found = _Found()
    for member in list_members(path):
        # Absolute names and backslashes are harmless, because nothing is extracted.
        parts = tuple(p for p in member.name.replace("\\", "/").split("/") if p not in ("", "."))
        if not parts or ".." in parts or any(map(_is_hidden, parts)):
            continue
        if member.is_folder:
            found.folders.add(parts)
        else:
            found.files[parts] = ImageRef(path, member.name, member.offset, member.size_bytes)
    return found


def _folder(root: Path) -> _Found:
    found = _Found()
    _walk(root, (), frozenset(), found)
    return found


def _walk(folder: Path, parts: Parts, above: frozenset[tuple[int, int]], found: _Found) -> None:
    try:
        state = folder.stat()
        here = (state.st_dev, state.st_ino)
        if here in above or len(parts) > _MAX_DEPTH:
            return
        with os.scandir(folder) as entries:
            visible = [entry for entry in entries if not _is_hidden(entry.name)]
        for entry in visible:
            below = (*parts, entry.name)
            if entry.is_dir():
                found.folders.add(below)
                _walk(folder / entry.name, below, above | {here}, found)
            # A dangling link counts as a file, and therefore as an unreadable image.
            elif entry.is_file() or entry.is_symlink():
                found.files[below] = ImageRef(folder / entry.name)
    except OSError as error:
        raise DataError(
            f"expected a readable folder '{shown(str(folder), 200)}', got "
            f"'{error.strerror}'; check its permissions"
        ) from error


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in _HIDDEN


def _common_depth(images: Iterable[Parts], folders: Iterable[Parts]) -> int:
    """Return the number of nested folders above the split and class folders."""
    depth = 0
    paths = list(images)
    while paths and all(len(parts) >= depth + 3 for parts in paths):
        tops = {parts[depth] for parts in (*paths, *folders) if len(parts) > depth}
        if len(tops) != 1 or next(iter(tops)).casefold() in SPLIT_WORDS:
            break
        depth += 1
    return depth


def _has_splits(images: Iterable[Parts], path: Path) -> bool:
    """Return whether the top folders are splits (train, validation, test), not classes."""
    tops = {parts[0] for parts in images if len(parts) >= 3}
    splits = [SPLIT_WORDS[top.casefold()] for top in sorted(tops) if top.casefold() in SPLIT_WORDS]
    if len(splits) != len(set(splits)):
        raise DataError(
            f"expected one folder per split in '{shown(str(path), 200)}', got "
            f"{', '.join(shown(top) for top in sorted(tops))}; merge the two that mean the same"
        )
    if "train" in splits:
        return True
    if splits and len(splits) == len(tops):
        raise DataError(
            f"expected a folder train/ next to {' and '.join(sorted(tops))}/ in "
            f"'{shown(str(path), 200)}', got none; add training images"
        )
    return False


def _split_items(images: dict[Parts, ImageRef], folders: set[Parts]) -> tuple[list[Item], set[str]]:
    items = [
        Item(SPLIT_WORDS[parts[0].casefold()], parts[1], _name(parts[1:]), image)
        for parts, image in images.items()
        if len(parts) >= 3 and parts[0].casefold() in SPLIT_WORDS
    ]
    return items, {p[1] for p in folders if len(p) == 2 and p[0].casefold() in SPLIT_WORDS}


def _flat_items(images: dict[Parts, ImageRef], folders: set[Parts]) -> tuple[list[Item], set[str]]:
    items = [
        Item(None, parts[0], _name(parts), image)
        for parts, image in images.items()
        if len(parts) >= 2
    ]
    return items, {parts[0] for parts in folders if len(parts) == 1}


def _name(parts: Parts) -> str:
    return unicodedata.normalize("NFC", "/".join(parts))


def _ignored(count: int, which: str) -> str:
    return f"{count} {'file' if count == 1 else 'files'} {which} ignored" if count else ""
