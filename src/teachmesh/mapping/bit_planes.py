"""Rows of numbers in 1 to 4 bits per number, as bit planes with one scale per row.

With b bits, a number is one of the odd integers from -(2^b - 1) to 2^b - 1, times the scale of its
row. Every pattern of bits is valid. Plane p holds bit p of all numbers of a row, 8 numbers per
byte, so the shape alone tells the number of bits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from teachmesh.mapping.error_feedback import Inputs

MAX_BITS = 4
_BEST_STEPS = {1: 1.596, 2: 0.996, 3: 0.586, 4: 0.335}
"""Distance of neighbouring levels with the smallest error, in deviations of a Gaussian.

Max, Quantizing for minimum distortion, 1960, Table II."""
_LOST = {1: 0.3634, 2: 0.1188, 3: 0.0374, 4: 0.0115}
"""Squared error of these levels, as a fraction of the variance of a Gaussian."""
_FACTORS = (0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 1.8, 2.2, 2.7, 3.3, 4.0)
"""Candidate distances in units of `_BEST_STEPS`, because rows are not Gaussian.

A few numbers of a head are up to 21 times as large as its deviation. With factors up to 1.5, they
were cut off, which cost 0.6 points of *oracle* (embedded, 4 bits, validation images)."""


def to_planes(
    rows: np.ndarray, bits: int, inputs: Inputs | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Round each row to 2^bits levels, with the scale of least squared error.

    Args:
        rows: (N, D) finite floats; D is a multiple of 8.
        bits: bits per number, 1 to 4.
        inputs: second moments of the points that rows are multiplied with. Rounding then keeps
            these products. None to round each number to its nearest level.

    Returns:
        (N bits, D / 8) uint8 planes, all planes of the first row first, and (N,) float32 scales.

    Examples:
        >>> planes, scales = to_planes(np.array([[1.0, -1, 1, 1, -1, -1, 1, -1]]), 1)
        >>> planes.tolist(), scales.astype(float).round(3).tolist()
        ([[178]], [0.998])
    """
    rows = np.asarray(rows, dtype=np.float64)
    deviations = np.sqrt((rows * rows).mean(axis=1))
    best, least = np.zeros(len(rows), dtype=np.float32), np.full(len(rows), np.inf)
    for factor in _FACTORS:
        half = 0.5 * _BEST_STEPS[bits] * factor * deviations
        scales = np.maximum(half, np.finfo(np.float32).tiny).astype(np.float32)
        errors = ((_nearest(rows, scales, bits) - rows) ** 2).sum(axis=1)
        best = np.where(errors < least, scales, best)
        least = np.minimum(errors, least)
    if inputs is not None:
        # Imported here because it loads torch, which readers do not need.
        from teachmesh.mapping.error_feedback import round_with_feedback

        rows = round_with_feedback(rows, lambda column: _nearest(column, best, bits), inputs)
    codes = _codes(rows, best, bits)
    planes = np.stack([(codes >> plane) & 1 for plane in range(bits)], axis=1)  # (N, bits, D)
    return np.packbits(planes.reshape(len(rows) * bits, -1), axis=1), best


def from_planes(planes: np.ndarray, n_rows: int) -> np.ndarray:
    """Return (N, D) int8 odd levels from planes; the levels of `to_planes`, without the scales.

    Args:
        planes: (N bits, D / 8) uint8 planes.
        n_rows: number of rows, N.

    Raises:
        ValueError: the number of planes is not 1 to 4 per row.
    """
    bits, left = divmod(len(planes), n_rows)
    if left or not 1 <= bits <= MAX_BITS:
        raise ValueError(
            f"expected 1 to {MAX_BITS} bit planes for each of {n_rows} rows, got {len(planes)}"
        )
    each = np.unpackbits(planes, axis=1).reshape(n_rows, bits, -1)
    values = (1 << np.arange(bits, dtype=np.uint8))[None, :, None]
    return _levels((each * values).sum(axis=1, dtype=np.uint8), bits)


def rounding_error(rows: np.ndarray, n_planes: int) -> np.ndarray:
    """Return the (N,) expected squared errors of rounded rows, from the rounded rows alone.

    Args:
        rows: (N, D) float64 rounded rows.
        n_planes: number of their bit planes.
    """
    lost = _LOST[n_planes // len(rows)]
    return np.asarray(lost / (1 - lost) * (rows * rows).sum(axis=1))


def _nearest(rows: np.ndarray, scales: np.ndarray, bits: int) -> np.ndarray:
    """Return (N, D) rows rounded to the nearest levels, times their scales."""
    return _levels(_codes(rows, scales, bits), bits) * scales.astype(np.float64)[:, None]


def _codes(rows: np.ndarray, scales: np.ndarray, bits: int) -> np.ndarray:
    """Return the (N, D) uint8 codes of the nearest levels."""
    codes = np.floor(rows / (2 * scales.astype(np.float64)[:, None])) + 2 ** (bits - 1)
    return np.asarray(np.clip(codes, 0, 2**bits - 1), dtype=np.uint8)


def _levels(codes: np.ndarray, bits: int) -> np.ndarray:
    """Return the (N, D) int8 odd levels of codes."""
    return np.asarray(2 * codes.astype(np.int8) - (2**bits - 1), dtype=np.int8)
