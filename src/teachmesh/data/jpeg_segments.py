"""Segments of a JPEG file before its pixels, and the memory that decoding takes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

ORDINARY = frozenset({0xC0, 0xC1, 0xC2})
"""Markers of lossy frames with Huffman codes: baseline, extended and progressive."""
_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_SCAN = 0xDA


@dataclass(frozen=True)
class JpegFrame:
    """Header of the image in a JPEG file.

    Attributes:
        marker: kind of the frame, 0xC0 to 0xCF.
        height: height in pixels.
        width: width in pixels.
        components: number of colour components.
    """

    marker: int
    height: int
    width: int
    components: int


def jpeg_frame(data: bytes) -> JpegFrame | None:
    """Return the header of the image in a JPEG file; None if it is missing or cut off."""
    for marker, body in jpeg_segments(data):
        if marker in _FRAMES and len(body) >= 6:
            return JpegFrame(marker, _number(body[1:3]), _number(body[3:5]), body[5])
    return None


def _number(two: bytes) -> int:
    return int.from_bytes(two, "big")


def jpeg_segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (marker, content) of the segments up to and with the first scan's header."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF or marker == 0x01 or 0xD0 <= marker <= 0xD8:
            at += 1 if marker == 0xFF else 2
            continue
        size = int.from_bytes(data[at + 2 : at + 4], "big")
        yield marker, data[at + 4 : at + 2 + size]
        if marker in (0xD9, 0xDA) or size < 2:
            return
        at += 2 + size


def coefficient_bytes(data: bytes) -> int:
    """Return the memory for the coefficients of a JPEG; 0 if it is decoded row by row.

    A progressive JPEG, and one with a scan per channel, is decoded from all its coefficients (2
    bytes each) at once, even at a reduced scale.
    """
    frame = b""
    progressive = False
    for marker, body in jpeg_segments(data):
        if marker in _FRAMES and len(body) >= 6:
            frame, progressive = body, marker in _PROGRESSIVE
        elif marker == _SCAN and frame and body:
            progressive = progressive or body[0] < frame[5]
    if not progressive:
        return 0
    height, width = int.from_bytes(frame[1:3], "big"), int.from_bytes(frame[3:5], "big")
    sampling = [(byte >> 4) * (byte & 15) for byte in frame[7::3]]
    largest = max(byte >> 4 for byte in frame[7::3]) * max(byte & 15 for byte in frame[7::3])
    return 2 * width * height * sum(sampling) // max(1, largest)
