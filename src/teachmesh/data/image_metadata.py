"""Orientation of an image file, read from its metadata blocks.

EXIF is used before XMP, as picture viewers do. Pillow's own `info` is not used, because it keeps
only some of the blocks and limits the size of the others.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterable, Iterator

from teachmesh.data.exif_xmp import (
    exif_orientation,
    first_directory,
    tiff_fields,
    tiff_order,
    xmp_orientation,
)
from teachmesh.data.image_headers import ImageFormat
from teachmesh.data.jpeg_segments import jpeg_segments

_XMP_TAG = 700
_XMP_MARK = b"http://ns.adobe.com/xap/1.0/\0"
_MAX_UNPACKED = 4 << 20
# Animation chunks would make Pillow read further frames.
_PNG_KEPT = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})

Blocks = tuple[list[bytes], list[bytes]]
"""EXIF blocks and XMP packets of a file, in order."""


def file_orientation(data: bytes, image_format: ImageFormat) -> int:
    """Return the orientation in which an image file is to be shown, 1 (upright) to 8.

    HEIC and AVIF are not included, because their readers apply their own rotation.
    """
    if image_format == "JPEG":
        return _first(*_jpeg_blocks(data))
    if image_format == "PNG":
        return _first(*_png_blocks(data))
    if image_format == "WEBP":
        return _first(*_webp_blocks(data))
    if image_format == "TIFF":
        return _first([data], _tiff_xmp(data))
    return 1


def still_png(png: bytes) -> bytes:
    """Return a PNG file with only the chunks that its still image needs.

    Text, profiles and animations are left out: their size is not limited by the file's pixels,
    and damage in them does not harm the picture.
    """
    if all(kind in _PNG_KEPT for kind, _, _ in _png_chunks(png)):
        return png
    kept = [png[:8]]
    end = 8
    for kind, start, end in _png_chunks(png):
        if kind in _PNG_KEPT or kind[:1].isupper():
            kept.append(png[start - 8 : end + 4])
    return b"".join((*kept, png[end + 4 :]))


def _first(exif: Iterable[bytes], xmp: Iterable[bytes]) -> int:
    found = (*map(exif_orientation, exif), *map(xmp_orientation, xmp))
    return next((value for value in found if value is not None), 1)


def _jpeg_blocks(data: bytes) -> Blocks:
    blocks = [body for marker, body in jpeg_segments(data) if marker == 0xE1]
    exif = [body for body in blocks if body.startswith(b"Exif\0")]
    return exif, [body for body in blocks if body.startswith(_XMP_MARK)]


def _webp_blocks(data: bytes) -> Blocks:
    exif, xmp = [], []
    at = 12
    while at + 8 <= len(data):
        (size,) = struct.unpack_from("<I", data, at + 4)
        kind, body = data[at : at + 4], data[at + 8 : at + 8 + size]
        if kind == b"EXIF":
            exif.append(body)
        elif kind == b"XMP ":
            xmp.append(body)
        at += 8 + size + (size & 1)
    return exif, xmp


def _tiff_xmp(data: bytes) -> list[bytes]:
    order = tiff_order(data)
    if order is None or len(data) < 8:
        return []
    for field in tiff_fields(data, order, first_directory(data, order)):
        if field.tag == _XMP_TAG and field.at + 12 <= len(data):
            (at,) = struct.unpack_from(order + "I", data, field.at + 8)
            return [data[at : at + field.count]]
    return []


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield (kind, start, end) of the content of every complete chunk."""
    at = 8
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        if at + 12 + length > len(data):
            return
        yield data[at + 4 : at + 8], at + 8, at + 8 + length
        at += 12 + length


def _png_blocks(data: bytes) -> Blocks:
    exif: list[bytes] = []
    xmp: list[bytes] = []
    profiles: list[bytes] = []
    for kind, start, end in _png_chunks(data):
        if kind == b"eXIf":
            exif.append(data[start:end])
        elif kind in (b"tEXt", b"zTXt", b"iTXt"):
            keyword, _, body = data[start : min(end, start + 80)].partition(b"\0")
            if keyword == b"XML:com.adobe.xmp" or keyword.startswith(b"Raw profile type "):
                text = _png_text(kind, data[start + len(keyword) + 1 : end])
                (xmp if keyword.startswith(b"XML") else profiles).append(text)
    for body in map(_raw_profile, profiles):
        (xmp if body.startswith((_XMP_MARK, b"<")) else exif).append(body)
    return exif, xmp


def _png_text(kind: bytes, body: bytes) -> bytes:
    """Return the text of a chunk after its keyword, unpacked up to a limit."""
    packed = kind == b"zTXt"
    if kind == b"iTXt":
        packed = body[:1] == b"\1"
        body = body[2:].split(b"\0", 2)[-1]
    elif packed:
        body = body[1:]
    if not packed:
        return body
    try:
        return zlib.decompressobj().decompress(body, _MAX_UNPACKED)
    except zlib.error:
        return b""


def _raw_profile(text: bytes) -> bytes:
    """Decode a profile as ImageMagick writes it: name, length and hexadecimal digits."""
    found = re.match(rb"\s*[^\n]*\n\s*\d+\s*\n([0-9a-fA-F\s]*)", text)
    digits = re.sub(rb"\s", b"", found[1]) if found else b""
    return bytes.fromhex(digits[: len(digits) // 2 * 2].decode("ascii"))
