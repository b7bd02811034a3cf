"""Parsing of TIFF directories: bits per sample, number of pages, and a copy of the first page."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

from teachmesh.data.exif_xmp import (
    TiffField,
    field_number,
    first_directory,
    tiff_fields,
    tiff_order,
)

_BITS = 258
# Tags that decoding needs: size, compression, layout, colours, strips, tiles and JPEG tables.
_KEPT = frozenset(
    {256, 257, _BITS, 259, 262, 266, 273, 277, 278, 279, 284, 292, 317, 320, 322, 323, 324, 325}
    | {332, 338, 339, 347, 512, 513, 514, 519, 520, 521, 529, 530, 531, 532}
)

ReadAt = Callable[[int, int], bytes]
"""Function (offset, size in bytes) -> bytes of the file, fewer at its end."""


@dataclass(frozen=True)
class TiffFacts:
    """Facts about a TIFF file.

    Attributes:
        bits: bits per sample of the first page.
        pages: number of pages; 2 if there are more.
    """

    bits: int
    pages: int


def tiff_facts(read: ReadAt) -> TiffFacts:
    """Read the facts with three short reads; (8, 1) if the headers are damaged or BigTIFF."""
    head = read(0, 8)
    order = tiff_order(head)
    if order is None or len(head) < 8:
        return TiffFacts(8, 1)
    at = first_directory(head, order)
    size = int.from_bytes(read(at, 2), "little" if order == "<" else "big")
    directory = read(at, 2 + 12 * size + 4)
    following = directory[2 + 12 * size :]
    bits = 1
    for field in tiff_fields(directory, order, 0):
        if field.tag == _BITS:
            bits = _short(read, directory, order, field)
    return TiffFacts(bits, 1 + any(following))


def first_page(tiff: bytes) -> bytes:
    """Return a TIFF file whose only directory has the tags that decoding needs.

    So Pillow neither warns about damage in other tags, nor turns the image itself. Returns the
    file unchanged if it is a BigTIFF or has a damaged directory.
    """
    order = tiff_order(tiff)
    if order is None or len(tiff) < 8:
        return tiff
    at = first_directory(tiff, order)
    kept = [f.at for f in tiff_fields(tiff, order, at) if f.tag in _KEPT]
    if not kept or max(kept) + 12 > len(tiff):
        return tiff
    entries = b"".join(tiff[at : at + 12] for at in sorted(kept))
    directory = struct.pack(order + "H", len(kept)) + entries + bytes(4)
    padding = bytes(len(tiff) % 2)
    start = struct.pack(order + "I", len(tiff) + len(padding))
    return b"".join((tiff[:4], start, tiff[8:], padding, directory))


def _short(read: ReadAt, directory: bytes, order: str, field: TiffField) -> int:
    """Return the first value of a field of shorts, which may lie outside of the directory."""
    if field.count <= 2:
        return int(field_number(directory, order, field) or 1)
    (at,) = struct.unpack_from(order + "I", directory, field.at + 8)
    data = read(at, 2)
    return int.from_bytes(data, "little" if order == "<" else "big")
