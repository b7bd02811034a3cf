"""Segments of a JPEG file before its pixels, and the memory that decoding takes."""

from __future__ import annotations

from collections.abc import Iterator

_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_SCAN = 0xDA


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
