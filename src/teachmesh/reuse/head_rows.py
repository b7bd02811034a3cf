"""Rows of old heads put together for a new task (paper, Sec. 7.2, 1).

A head is one row of weights per class and no connection between rows, so rows of different tasks
can stand beside each other if their lengths mean the same. The paper divides each by its p-norm
and finds infinity better than 2: rows of different lengths stay different.
"""

from __future__ import annotations

import numpy as np

NORMS = (2.0, np.inf)


def normalise_rows(weight: np.ndarray, p: float = np.inf) -> np.ndarray:
    """Each row divided by its p-norm; rows of zeros stay zero.

    Args:
        weight: (C, D).
        p: 1 or more; infinity for the largest entry.

    >>> normalise_rows(np.array([[3.0, -4.0]]), 2.0).tolist(), normalise_rows(
    ...     np.array([[3.0, -4.0]])).tolist()
    ([[0.6, -0.8]], [[0.75, -1.0]])
    """
    lengths = np.linalg.norm(weight, ord=p, axis=1, keepdims=True)
    return np.asarray(weight / np.where(lengths > 0, lengths, 1.0))


def combine_rows(
    weights: list[np.ndarray], biases: list[np.ndarray], p: float = np.inf
) -> tuple[np.ndarray, np.ndarray]:
    """One head out of several, without an image.

    Args:
        weights: (C_t, D) of each old head, or of the rows wanted from it.
        biases: (C_t,) of the same rows; divided by the norm of their row.
        p: of the norm.

    Returns:
        (C, D) weights and (C,) biases, in the order given.
    """
    rows = np.concatenate(weights).astype(np.float64)
    lengths = np.linalg.norm(rows, ord=p, axis=1)
    lengths = np.where(lengths > 0, lengths, 1.0)
    return rows / lengths[:, None], np.concatenate(biases) / lengths
