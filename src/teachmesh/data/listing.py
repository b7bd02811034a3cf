"""Flat lists of labelled images from folders and archives.

Supported layouts are `<class>/*` and `{train,val|validation,test}/<class>/*`, at the root or below
one common folder.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from teachmesh.data.image_headers import describe, sniff
from teachmesh.data.images import ImageRef
from teachmesh.data.layouts import Layout, Parts, SplitName, split_word, understand
from teachmesh.data.source_files import SourceFiles, counted, find_source_files
from teachmesh.data.tiff_headers import tiff_facts
from teachmesh.errors import DataError


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
        layout: folders of the splits for a message; "" if the source has none.
    """

    items: tuple[Item, ...]
    empty_classes: tuple[str, ...]
    unreadable: tuple[str, ...]
    warnings: tuple[str, ...]
    layout: str = ""


def list_source(path: Path, layout: Layout = "auto") -> Listing:
    """List a folder or an archive.

    Args:
        path: path of the folder or archive.
        layout: meaning of the top folders, see `layouts.understand`.

    Raises:
        DataError: the source is unreadable, or its layout is ambiguous or has no training images.
    """
    found = find_source_files(path)
    for reason in found.unlisted.values():
        raise DataError(reason)
    depth = _common_depth(found, layout)
    images = {parts[depth:]: ref for parts, ref in found.images.items()}
    folders = {parts[depth:] for parts in found.folders if len(parts) > depth}
    understood = understand(images, str(path), layout)
    items, labels = _arrange(images, folders, understood.splits)
    outside = 0 if understood.remarks else len(images) - len(items)
    kept, unreadable, remarks = keep_readable(items)
    warnings = (
        _ignored(len(found.others), "that are no images"),
        _ignored(outside, "outside of class folders"),
        *understood.remarks,
        *found.left_out(),
        *remarks,
    )
    empty = _empty(labels, kept)
    return Listing(kept, empty, unreadable, tuple(filter(None, warnings)), understood.sentence())


def keep_readable(
    items: Iterable[Item],
) -> tuple[tuple[Item, ...], tuple[str, ...], tuple[str, ...]]:
    """Sort the items by name, leaving out files that do not begin like an image file.

    Only the first bytes are read; damage in the rest is found when the image is decoded.

    Returns:
        The readable items, one sentence for each other item, and remarks on unusual files.
    """
    kept: list[Item] = []
    unreadable: list[str] = []
    deep, pages = 0, 0
    for item in sorted(items, key=lambda item: (item.name, item.split or "")):
        try:
            head = item.image.head()
            image_format = sniff(head)
            if image_format is None:
                unreadable.append(f"'{item.image}' is {describe(head)}")
                continue
            if image_format == "TIFF":
                facts = tiff_facts(item.image.read_at)
                deep, pages = deep + (facts.bits > 8), pages + (facts.pages > 1)
            elif image_format == "PNG":
                deep += head[24] == 16
            kept.append(item)
        except (DataError, IndexError) as error:
            unreadable.append(str(error))
    return tuple(kept), tuple(unreadable), _remarks(deep, pages)


def _remarks(deep: int, pages: int) -> tuple[str, ...]:
    """Return remarks on images with more than 8 bits, and on files with several pages."""
    bits = (
        f"{counted(deep, 'image')} with more than 8 bits per sample: each is scaled by its own "
        "brightest sample, as 8, 10, 12, 14 or 16 bits"
    )
    first = f"only the first page is used of {counted(pages, 'TIFF file')} with several pages"
    return (*((bits,) if deep else ()), *((first,) if pages else ()))


def _common_depth(found: SourceFiles, layout: Layout) -> int:
    """Return the number of nested folders above the split and class folders."""
    depth = 0
    paths = list(found.images)
    other_tops = {parts[:n] for parts in found.others for n in range(1, len(parts))}
    while paths and all(len(parts) >= depth + 3 for parts in paths):
        tops = {parts[depth] for parts in paths}
        # An empty folder is a class without images; a folder of other files only is not.
        tops |= {
            parts[depth]
            for parts in found.folders
            if len(parts) > depth and parts[: depth + 1] not in other_tops
        }
        if len(tops) != 1 or (layout != "classes" and split_word(next(iter(tops)))):
            break
        depth += 1
    return depth


def _arrange(
    images: dict[Parts, ImageRef], folders: set[Parts], splits: dict[str, SplitName]
) -> tuple[list[Item], set[str]]:
    """Return the items and the labels of all class folders, empty ones too."""
    level = 1 if splits else 0
    items = [
        Item(splits.get(parts[0]), parts[level], _name(parts[level:]), image)
        for parts, image in images.items()
        if len(parts) >= level + 2 and (not splits or parts[0] in splits)
    ]
    below = {p for p in folders if len(p) == level + 1 and (not splits or p[0] in splits)}
    return items, {parts[level] for parts in below} | {item.label for item in items}


def _empty(labels: set[str], kept: Iterable[Item]) -> tuple[str, ...]:
    """Return the labels without training images, each once, whatever its Unicode form."""
    trained = {_name((item.label,)) for item in kept if item.split in (None, "train")}
    return tuple(sorted({_name((label,)) for label in labels} - trained))


def _name(parts: Parts) -> str:
    return unicodedata.normalize("NFC", "/".join(parts))


def _ignored(count: int, which: str) -> str:
    return f"{count} {'file' if count == 1 else 'files'} {which} ignored" if count else ""
