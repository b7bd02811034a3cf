"""Parsing of image file headers, without decoding any pixels.

Pillow warns about some odd files (damaged EXIF, odd animation chunks, huge canvases) through the
process-wide `warnings` module, which threads cannot silence safely. The headers are
therefore parsed here, so that Pillow never reaches the code that warns.
"""

from __future__ import annotations

import struct
from typing import Literal

ImageFormat = Literal["JPEG", "PNG", "WEBP", "BMP", "GIF"]

SNIFF_BYTES = 64
"""Number of leading bytes that `sniff` and `describe` use."""

_FOREIGN_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"%PDF", "PDF"),
    (b"%!PS", "PostScript"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"8BPS", "Photoshop"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\0\0\x01\0", "icon"),
    (b"\xc5\xd0\xd3\xc6", "PostScript"),
    (b"\x1f\x8b", "gzip"),
    (b"PK\x03\x04", "zip"),
)
_HEIF_BRANDS = {b"avif": "AVIF", b"avis": "AVIF"}


def sniff(data: bytes) -> ImageFormat | None:
    """Detect a supported format from the first bytes, ignoring the file name; None if unknown."""
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    if data.startswith(b"BM"):
        return "BMP"
    return None


def describe(data: bytes) -> str:
    """Return a few words that describe a file that is not a supported image."""
    if not data:
        return "an empty file"
    for magic, name in _FOREIGN_MAGIC:
        if data.startswith(magic):
            return f"a {name} file, which is not supported"
    if data[4:8] == b"ftyp":
        return f"an {_HEIF_BRANDS.get(data[8:12], 'HEIC')} file, which is not supported"
    head = data[:SNIFF_BYTES].lstrip(b"\xef\xbb\xbf \t\r\n")
    if head.startswith((b"<svg", b"<?xml")):
        return "an SVG file, which is not supported"
    if all(32 <= byte < 127 or byte in b"\t\r\n" for byte in head):
        return "text"
    return "unknown bytes"


def canvas(data: bytes, image_format: ImageFormat) -> tuple[int, int] | None:
    """Read the size of a WebP or GIF image, because Pillow allocates memory on opening it.

    Returns:
        Width and height in pixels; None for other formats and for a damaged header. The size of
        a GIF covers its screen and its first frame.
    """
    try:
        if image_format == "WEBP":
            return _webp_canvas(data[:30])
        if image_format == "GIF":
            return _gif_canvas(data)
    except (struct.error, IndexError):
        return None
    return None


def _webp_canvas(head: bytes) -> tuple[int, int] | None:
    kind = head[12:16]
    if kind == b"VP8X":
        width, height = head[24:27], head[27:30]
        return int.from_bytes(width, "little") + 1, int.from_bytes(height, "little") + 1
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", head, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", head, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None


def _gif_canvas(data: bytes) -> tuple[int, int]:
    """Return the size of a GIF's canvas (screen and first frame), computed as in Pillow."""
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    at = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    while data[at] == 0x21:
        at += 2
        while data[at]:
            at += data[at] + 1
        at += 1
    if data[at] != 0x2C:
        return width, height
    left, top, frame_width, frame_height = struct.unpack_from("<HHHH", data, at + 1)
    return max(width, left + frame_width), max(height, top + frame_height)


def without_animation(png: bytes) -> bytes:
    """Remove the animation chunks of a PNG file, so that only the still image is read."""
    if b"acTL" not in png:
        return png
    kept = [png[:8]]
    at = 8
    while at + 12 <= len(png):
        (length,) = struct.unpack_from(">I", png, at)
        end = at + 12 + length
        if png[at + 4 : at + 8] not in (b"acTL", b"fcTL", b"fdAT"):
            kept.append(png[at:end])
        at = end
    return b"".join(kept)


def exif_orientation(exif: object) -> int:
    """Return the EXIF orientation, from 1 (upright) to 8; 1 if the tag is absent or damaged.

    Args:
        exif: value of Pillow's `info["exif"]`: TIFF bytes, with or without the prefix "Exif".
    """
    if not isinstance(exif, bytes):
        return 1
    tiff = exif[6:] if exif.startswith(b"Exif\0\0") else exif
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return 1
    try:
        (at,) = struct.unpack_from(order + "I", tiff, 4)
        (entries,) = struct.unpack_from(order + "H", tiff, at)
        for entry in range(entries):
            tag, kind, count = struct.unpack_from(order + "HHI", tiff, at + 2 + 12 * entry)
            if tag == 0x0112 and kind == 3 and count == 1:
                (value,) = struct.unpack_from(order + "H", tiff, at + 10 + 12 * entry)
                return int(value) if 1 <= value <= 8 else 1
    except struct.error:
        return 1
    return 1
