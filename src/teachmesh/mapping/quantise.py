"""Quantise rows to int8 with one scale per row, which takes a quarter of the float32 size."""

from __future__ import annotations

import numpy as np

LEVELS = 127


def quantise_rows(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Round each row to 255 evenly spaced levels.

    Args:
        rows: (N, D) finite floats.

    Returns:
        (N, D) int8 rows and (N,) float32 scales. `dequantise_rows` restores each entry to within
        half a scale.

    Examples:
        >>> quantised, scales = quantise_rows(np.array([[1.27, -0.01, 0.0]]))
        >>> quantised.tolist(), scales.astype(float).round(4).tolist()
        ([[127, -1, 0]], [0.01])
    """
    rows = np.asarray(rows, dtype=np.float64)
    largest = np.abs(rows).max(axis=1)
    scales = np.maximum(largest / LEVELS, np.finfo(np.float32).tiny).astype(np.float32)
    quantised = np.rint(rows / scales.astype(np.float64)[:, None])
    return np.clip(quantised, -LEVELS, LEVELS).astype(np.int8), scales


def dequantise_rows(quantised: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """Return (N, D) float64 rows from int8 rows and their scales."""
    return quantised.astype(np.float64) * scales.astype(np.float64)[:, None]


def unit_rows(levels: np.ndarray) -> np.ndarray:
    """Return (R, D) float64 rows of length 1 in the direction of int8 rows; zero rows stay zero.

    >>> unit_rows(np.array([[3, 4], [0, 0]], dtype=np.int8)).tolist()
    [[0.6, 0.8], [0.0, 0.0]]
    """
    rows = levels.astype(np.float64)
    lengths = np.sqrt((rows * rows).sum(axis=1, keepdims=True))
    return np.asarray(rows / np.where(lengths > 0, lengths, 1.0))
