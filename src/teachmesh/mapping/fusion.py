"""Two decisions about the same images, fused."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

WEIGHTS = (0.25, 0.5, 0.75, 1.0)
"""Shares of the second decision that are tried on validation images."""
SHARPNESS = tuple(1 / t for t in np.geomspace(0.4, 5.0, 26))
"""What scores are multiplied by, in search of the best."""


def fuse(first: np.ndarray, second: np.ndarray, weight: float) -> np.ndarray:
    """Log-linear pool of two log posteriors.

    Args:
        first: (N, C) log posteriors.
        second: (N, C) likewise.
        weight: share of the second one, 0 to 1.

    Returns:
        (N, C) float64 log posteriors, normalised.

    Examples:
        >>> even, sure = np.log([[0.5, 0.5]]), np.log([[0.8, 0.2]])
        >>> np.exp(fuse(even, sure, 0.5)).round(3).tolist()
        [[0.667, 0.333]]
    """
    pooled = (1 - weight) * np.asarray(first, np.float64) + weight * np.asarray(second, np.float64)
    return log_softmax(pooled)


def log_softmax(scores: np.ndarray) -> np.ndarray:
    """Log posterior of (N, K) scores, along the second axis.

    >>> log_softmax(np.zeros((1, 4))).round(4).tolist()
    [[-1.3863, -1.3863, -1.3863, -1.3863]]
    """
    scores = np.asarray(scores, dtype=np.float64)
    shifted = scores - scores.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def log_loss(posteriors: np.ndarray, labels: np.ndarray) -> float:
    """Mean of minus the log posterior of the true class, in nats.

    Args:
        posteriors: (N, C) log posteriors.
        labels: (N,) int64.
    """
    return float(-posteriors[np.arange(len(labels)), labels].mean())


def tempered_losses(
    scores: np.ndarray, labels: np.ndarray, sharpness: Sequence[float] = SHARPNESS
) -> np.ndarray:
    """Minus the log posterior of the true class of each image, at the temperature of least mean.

    Args:
        scores: (N, C), log posteriors or any others that a softmax makes into such.
        labels: (N,) int64.
        sharpness: inverse temperatures to try.

    Returns:
        (N,) float64 nats.
    """
    rows = np.arange(len(labels))
    tried = (-log_softmax(factor * scores)[rows, labels] for factor in sharpness)
    return min(tried, key=lambda losses: float(losses.mean()))


def tempered_log_loss(posteriors: np.ndarray, labels: np.ndarray) -> float:
    """`log_loss` at the best temperature: how well classes are told apart, however surely.

    Training makes a head too sure of itself on images that it has seen; the plain log loss would
    therefore give it too little weight in a pool.

    Args:
        posteriors: (N, C) log posteriors.
        labels: (N,) int64.

    Examples:
        >>> right = log_softmax(np.array([[3.0, 0.0], [0.0, 3.0], [0.0, 3.0], [0.0, 3.0]]))
        >>> labels = np.array([0, 1, 1, 0])
        >>> round(log_loss(right, labels), 2), round(tempered_log_loss(right, labels), 2)
        (0.8, 0.56)
    """
    return float(tempered_losses(posteriors, labels).mean())


def in_errors(differences: np.ndarray) -> float:
    """Mean of paired differences in standard errors; a single one says nothing.

    Args:
        differences: (N,), of the losses of two decisions about the same images for example.

    Examples:
        >>> round(in_errors(np.array([1.0, 1.0, -1.0, 1.0])), 2)
        0.82
    """
    if len(differences) < 2:
        return 0.0
    # One more pair of opposite observations: a unanimous handful is not certainty.
    error = (float((differences**2).sum()) + 2 * float(np.abs(differences).max()) ** 2) ** 0.5
    return float(differences.sum()) / error if error > 0 else 0.0
