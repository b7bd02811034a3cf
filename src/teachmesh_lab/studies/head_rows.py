"""Combine rows of old heads into the head of a new task (paper, Sec. 7.2, 1).

A head has one row of weights per class, and the rows are independent. So one head can contain rows
of different tasks if the rows have comparable norms. The paper divides each row by its p-norm
and reports that p = infinity works better than p = 2.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from teachmesh.model.head import Head


def combine_heads(
    heads: Sequence[Head], labels: Sequence[Sequence[int]], p: float = np.inf
) -> Head:
    """Build a head without images, from rows of old heads divided by their p-norm.

    Args:
        heads: trained heads of old tasks.
        labels: indices of the rows to use from each head.
        p: order of the norm: infinity (the paper's choice) or 2.
    """
    weights = [head.weight[list(rows)] for head, rows in zip(heads, labels, strict=True)]
    biases = [head.bias[list(rows)] for head, rows in zip(heads, labels, strict=True)]
    weight, bias = combine_rows(weights, biases, p)
    return Head(weight.astype(np.float32), bias.astype(np.float32))


def combine_rows(
    weights: list[np.ndarray], biases: list[np.ndarray], p: float = np.inf
) -> tuple[np.ndarray, np.ndarray]:
    """Concatenate rows of several heads, each divided by its p-norm.

    Args:
        weights: (C_t, D) array of the rows used from each old head.
        biases: (C_t,) array of biases per old head; each bias is divided by the norm of its row.
        p: order of the norm.

    Returns:
        A (C, D) array of weights and a (C,) array of biases. Rows of zeros stay zero.

    >>> rows, _ = combine_rows([np.array([[3.0, -4.0]])], [np.zeros(1)])
    >>> rows.tolist()
    [[0.75, -1.0]]
    """
    rows = np.concatenate(weights).astype(np.float64)
    lengths = np.linalg.norm(rows, ord=p, axis=1)
    lengths = np.where(lengths > 0, lengths, 1.0)
    return rows / lengths[:, None], np.concatenate(biases) / lengths
