"""A QR code as the path of an SVG drawing, which the page makes without parsing anything."""

from __future__ import annotations

from itertools import groupby
from typing import Any


def qr_path(text: str) -> dict[str, Any] | None:
    """Return the QR code of a text; None if segno is not installed.

    Args:
        text: text of the code.

    Returns:
        `size` (modules per side) and `path` (SVG path of the dark modules, 1 unit each).

    Examples:
        >>> qr_path("TEACHMESH:AEB")["size"]
        21
    """
    try:
        import segno
    except ImportError:
        return None
    matrix = segno.make(text, error="l", micro=False).matrix
    return {"size": len(matrix), "path": "".join(_row(y, row) for y, row in enumerate(matrix))}


def _row(y: int, row: Any) -> str:
    """Return one rectangle per run of dark modules."""
    parts, x = [], 0
    for dark, run in groupby(row):
        width = len(list(run))
        if dark:
            parts.append(f"M{x} {y}h{width}v1h-{width}z")
        x += width
    return "".join(parts)
