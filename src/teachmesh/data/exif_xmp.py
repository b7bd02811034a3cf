"""Orientation in EXIF and XMP blocks, whatever type of number it is stored as."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

ORIENTATION_TAG = 0x0112
_EXIF_MARK = b"Exif\0\0"
# TIFF field types: struct code and size in bytes. Phones and editors use all of them.
_NUMBERS: dict[int, tuple[str, int]] = {
    1: ("B", 1),
    3: ("H", 2),
    4: ("I", 4),
    5: ("II", 8),
    6: ("b", 1),
    7: ("B", 1),
    8: ("h", 2),
    9: ("i", 4),
    10: ("ii", 8),
    11: ("f", 4),
    12: ("d", 8),
    13: ("I", 4),
}
_NAMESPACE = rb"xmlns:([\w.-]+)\s*=\s*[\"']http://ns\.adobe\.com/tiff/1\.0/[\"']"


@dataclass(frozen=True)
class TiffField:
    """One entry of a TIFF directory.

    Attributes:
        tag: number of the field.
        kind: TIFF type of its values.
        count: number of values.
        at: position of the entry (12 bytes) in the block.
    """

    tag: int
    kind: int
    count: int
    at: int


def tiff_order(tiff: bytes) -> str | None:
    """Return the byte order of a TIFF block as a struct prefix, or None if it is no TIFF block."""
    return {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])


def tiff_fields(tiff: bytes, order: str, at: int) -> Iterator[TiffField]:
    """Yield the entries of the directory at a position; stop where the block ends."""
    try:
        (entries,) = struct.unpack_from(order + "H", tiff, at)
        for entry in range(at + 2, at + 2 + 12 * entries, 12):
            tag, kind, count = struct.unpack_from(order + "HHI", tiff, entry)
            yield TiffField(tag, kind, count, entry)
    except struct.error:
        return


def first_directory(tiff: bytes, order: str) -> int:
    """Return the position of the first directory of a TIFF block, at least 8 bytes long."""
    (at,) = struct.unpack_from(order + "I", tiff, 4)
    return int(at)


def field_number(tiff: bytes, order: str, field: TiffField) -> float | None:
    """Return the first value of a field as a number; None if it is no number or cut off."""
    code, size = _NUMBERS.get(field.kind, ("", 0))
    try:
        if not code or field.count < 1:
            return None
        at = field.at + 8
        if size * field.count > 4:
            (at,) = struct.unpack_from(order + "I", tiff, at)
        values = struct.unpack_from(order + code, tiff, at)
        return float(values[0]) if len(values) == 1 else values[0] / values[1]
    except (struct.error, ZeroDivisionError):
        return None


def exif_orientation(exif: object) -> int | None:
    """Return the orientation of an EXIF block, 1 (upright) to 8.

    Args:
        exif: TIFF bytes, with or without the mark "Exif", which some programs write twice.

    Returns:
        1 if the tag has another value than 1 to 8; None if the block has no readable tag.
    """
    if not isinstance(exif, bytes):
        return None
    while exif.startswith(_EXIF_MARK):
        exif = exif[len(_EXIF_MARK) :]
    order = tiff_order(exif)
    if order is None or len(exif) < 8:
        return None
    for field in tiff_fields(exif, order, first_directory(exif, order)):
        if field.tag == ORIENTATION_TAG:
            value = field_number(exif, order, field)
            if value is not None:
                return int(value) if value in range(1, 9) else 1
    return None


def xmp_orientation(xmp: bytes) -> int | None:
    """Return the orientation of an XMP packet, as an attribute or an element; None without one."""
    text = xmp.replace(b"\0", b"") if b"\0" in xmp else xmp  # UTF-16 and UTF-32
    prefixes = {b"tiff", *re.findall(_NAMESPACE, text)}
    names = b"|".join(re.escape(prefix) for prefix in sorted(prefixes))
    found = re.search(rb"(?:" + names + rb"):Orientation\s*(?:=\s*[\"']|>)\s*(-?\d{1,9})\b", text)
    if found is None:
        return None
    return int(found[1]) if 1 <= int(found[1]) <= 8 else 1
