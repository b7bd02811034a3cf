"""Parsing of image file headers, without decoding any pixels.

Pillow warns about some odd files (damaged EXIF, odd animation chunks, huge canvases) through the
process-wide `warnings` module, which threads cannot silence safely. The headers are
therefore parsed here, so that Pillow never reaches the code that warns.
"""

from __future__ import annotations

import re
import struct
from typing import Literal

ImageFormat = Literal[
    "JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PNM", "JPEG 2000", "AVIF", "HEIC"
]
FORMATS = "JPEG, PNG, WebP, TIFF, BMP, GIF, PPM/PGM/PBM, JPEG 2000, AVIF or HEIC"
"""The formats that are read, for messages."""

SNIFF_BYTES = 64
"""Number of leading bytes that `sniff` and `describe` use."""

_FOREIGN_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"%PDF", "PDF"),
    (b"%!PS", "PostScript"),
    (b"8BPS", "Photoshop"),
    (b"\0\0\x01\0", "icon"),
    (b"P7\n", "PAM"),
    (b"v/1\x01", "OpenEXR"),
    (b"#?RADIANCE", "Radiance"),
    (b"SIMPLE  =", "FITS"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"\xc5\xd0\xd3\xc6", "PostScript"),
    (b"\x1f\x8b", "gzip"),
    (b"PK\x03\x04", "zip"),
)
_MAGIC: tuple[tuple[bytes, ImageFormat], ...] = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
)
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
_BMP_HEADERS = frozenset({12, 16, 40, 52, 56, 64, 108, 124})
_PNM = re.compile(rb"P[1-6f]\s+(?:\d|#)")


def sniff(data: bytes) -> ImageFormat | None:
    """Detect a supported format from the first bytes, ignoring the file name; None if unknown."""
    for magic, name in _MAGIC:
        if data.startswith(magic):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data.startswith(b"BM") and int.from_bytes(data[14:18], "little") in _BMP_HEADERS:
        return "BMP"
    if _PNM.match(data[:SNIFF_BYTES]):
        return "PNM"
    return _heif(data)


def _heif(data: bytes) -> ImageFormat | None:
    """Return the format of a HEIF container by its brands; None for a video."""
    if data[4:8] != b"ftyp":
        return None
    size = min(int.from_bytes(data[:4], "big"), SNIFF_BYTES)
    brands = {data[8:12], *(data[at : at + 4] for at in range(16, size, 4))}
    if brands & {b"avif", b"avis"}:
        return "AVIF"
    return "HEIC" if brands & _HEIC_BRANDS else None


def describe(data: bytes) -> str:
    """Return a few words that describe a file that is not a supported image."""
    if not data:
        return "an empty file"
    for magic, name in _FOREIGN_MAGIC:
        if data.startswith(magic):
            article = "an" if name[0] in "aeiouAEIOU" else "a"
            return f"{article} {name} file, which is not supported"
    if data[4:8] == b"ftyp":
        return "a video or another container, which is not supported"
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
