"""The linear head of one task (paper, Sec. 5: one fully connected layer from D to C).

A head has one row of weights per class, and the rows are independent. So one head can contain rows
of different tasks if the rows have comparable norms (paper, Sec. 7.2, 1 and Fig. 13). The paper
divides each row by its p-norm and reports that p = infinity works better than p = 2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from teachmesh.errors import UsageError

OldT = TypeVar("OldT")
OtherT = TypeVar("OtherT")

NORMS: Mapping[str, float | None] = {"inf": np.inf, "2": 2.0, "none": None}
"""Value of `combine --rows` -> order of the norm; None leaves the rows as they are."""


@dataclass(frozen=True, eq=False)
class Head:
    """Linear layer with one row per class.

    Attributes:
        weight: (C, D) float32 weights.
        bias: (C,) float32 biases.

    Raises:
        ValueError: the shapes of weight and bias do not match.

    Examples:
        >>> head = Head(np.eye(2, 3, dtype=np.float32), np.zeros(2, dtype=np.float32))
        >>> head.logits(np.array([[1.0, 2.0, 3.0]], dtype=np.float32)).tolist()
        [[1.0, 2.0]]
    """

    weight: np.ndarray
    bias: np.ndarray

    def __post_init__(self) -> None:
        if self.weight.ndim != 2 or self.bias.shape != self.weight.shape[:1]:
            raise ValueError(
                f"expected a head of shapes (C, D) and (C,), got {self.weight.shape} and "
                f"{self.bias.shape}"
            )

    def logits(self, latents: np.ndarray) -> np.ndarray:
        """Compute the class scores of one task.

        Args:
            latents: (N, D) float32 array of latents that are not normalised.

        Returns:
            (N, C) float32 scores.

        Raises:
            ValueError: the latents and the head differ in D.
        """
        if latents.ndim != 2 or latents.shape[1] != self.weight.shape[1]:
            raise ValueError(
                f"expected latents (N, {self.weight.shape[1]}), got {latents.shape}; the head was "
                "made with another backbone"
            )
        # This uses numpy, because torch warns about the read-only weights of decoded skills.
        scores = latents.astype(np.float32) @ self.weight.T + self.bias  # (N, C)
        return np.asarray(scores, dtype=np.float32)


def read_norm(text: str) -> float | None:
    """Return the order of a norm, or None for undivided rows.

    Raises:
        UsageError: the text is not a key of `NORMS`.
    """
    if text not in NORMS:
        raise UsageError(f"expected --rows {', '.join(NORMS)}, got {text!r}")
    return NORMS[text]


def combine_heads(
    heads: Sequence[Head], labels: Sequence[Sequence[int]], p: float | None = np.inf
) -> Head:
    """Build a head without images, from rows of old heads divided by their p-norm.

    Args:
        heads: trained heads of old tasks.
        labels: indices of the rows to use from each head.
        p: order of the norm: infinity (the paper's choice) or 2; None for undivided rows.
    """
    weights = [head.weight[list(rows)] for head, rows in zip(heads, labels, strict=True)]
    biases = [head.bias[list(rows)] for head, rows in zip(heads, labels, strict=True)]
    weight, bias = combine_rows(weights, biases, p)
    return Head(weight.astype(np.float32), bias.astype(np.float32))


def combine_rows(
    weights: list[np.ndarray], biases: list[np.ndarray], p: float | None = np.inf
) -> tuple[np.ndarray, np.ndarray]:
    """Concatenate rows of several heads, each divided by its p-norm.

    Args:
        weights: (C_t, D) array of the rows used from each old head.
        biases: (C_t,) array of biases per old head; each bias is divided by the norm of its row.
        p: order of the norm; None for undivided rows.

    Returns:
        A (C, D) array of weights and a (C,) array of biases. Rows of zeros stay zero.

    >>> rows, _ = combine_rows([np.array([[3.0, -4.0]])], [np.zeros(1)])
    >>> rows.tolist()
    [[0.75, -1.0]]
    """
    rows = np.concatenate(weights).astype(np.float64)
    lengths = _lengths(rows, p)
    return rows / lengths[:, None], np.concatenate(biases) / lengths


@dataclass(frozen=True, eq=False)
class OldClasses(Generic[OldT]):
    """Classes of one old task that become classes of the new task.

    Attributes:
        old: skill, anchor or head of the old task.
        labels: indices of M classes in the old task.
        classes: (M,) int64 indices of these classes in the new task.
    """

    old: OldT
    labels: Sequence[int] | np.ndarray
    classes: np.ndarray

    def of(self, old: OtherT) -> OldClasses[OtherT]:
        """Return the same classes of another part of the old task, such as its head."""
        return OldClasses(old, self.labels, self.classes)


def merge_rows(parts: Sequence[OldClasses[Head]], n_classes: int, p: float | None) -> Head:
    """Build a head with one row per new class: the mean of the divided old rows of that class.

    All rows are multiplied by the mean norm of the old rows. This changes no decision, but it keeps
    the logits on the scale of log posteriors.

    Args:
        parts: rows of old heads; together they cover every class of the new task.
        n_classes: number of classes of the new task, C.
        p: order of the norm; None for undivided rows.

    Examples:
        >>> old = Head(np.array([[3.0, -4.0]]), np.array([2.0]))
        >>> merge_rows([OldClasses(old, np.array([0]), np.array([0]))], 1, np.inf).weight.tolist()
        [[3.0, -4.0]]
    """
    rows = np.concatenate([part.old.weight[np.asarray(part.labels)] for part in parts]).astype(
        np.float64
    )
    biases = np.concatenate([part.old.bias[np.asarray(part.labels)] for part in parts])
    classes = np.concatenate([part.classes for part in parts])
    lengths = _lengths(rows, p)
    scale = lengths.mean() / lengths / np.bincount(classes, minlength=n_classes)[classes]
    weight, bias = np.zeros((n_classes, rows.shape[1])), np.zeros(n_classes)
    np.add.at(weight, classes, rows * scale[:, None])
    np.add.at(bias, classes, biases * scale)
    return Head(weight.astype(np.float32), bias.astype(np.float32))


def _lengths(rows: np.ndarray, p: float | None) -> np.ndarray:
    """Return the (C,) p-norms of rows; 1 for rows of zeros, and for all rows if p is None."""
    if p is None:
        return np.ones(len(rows))
    lengths = np.linalg.norm(rows, ord=p, axis=1)
    return np.where(lengths > 0, lengths, 1.0)
