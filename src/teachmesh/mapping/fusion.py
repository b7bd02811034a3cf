"""Combine and compare two decisions about the same images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

WEIGHTS = (0.25, 0.5, 0.75, 1.0)
"""Candidate weights of the second decision; the best on validation images is used."""
SHARPNESS = tuple(1 / t for t in np.geomspace(0.4, 5.0, 26))
"""Candidate inverse temperatures of scores."""


def fuse(first: np.ndarray, second: np.ndarray, weight: float) -> np.ndarray:
    """Return the log-linear pool of two log posteriors.

    Args:
        first: (N, C) log posteriors of the first decision.
        second: (N, C) log posteriors of the second decision.
        weight: weight of the second decision, 0 to 1.

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
    """Normalise (N, K) scores to log posteriors along the second axis.

    >>> log_softmax(np.zeros((1, 4))).round(4).tolist()
    [[-1.3863, -1.3863, -1.3863, -1.3863]]
    """
    scores = np.asarray(scores, dtype=np.float64)
    shifted = scores - scores.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def tempered_losses(
    scores: np.ndarray, labels: np.ndarray, sharpness: Sequence[float] = SHARPNESS
) -> np.ndarray:
    """Return the log loss of each image, at the temperature with the lowest mean loss.

    Args:
        scores: (N, C) log posteriors or other logits.
        labels: (N,) int64 class of each image.
        sharpness: inverse temperatures to try.

    Returns:
        (N,) float64 losses in nats.
    """
    rows = np.arange(len(labels))
    tried = (-log_softmax(factor * scores)[rows, labels] for factor in sharpness)
    return min(tried, key=lambda losses: float(losses.mean()))


def tempered_log_loss(posteriors: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean log loss in nats at the best temperature, which cancels overconfidence.

    Training makes a head overconfident. The plain log loss would therefore give it too little
    weight in a pool.

    Args:
        posteriors: (N, C) log posteriors.
        labels: (N,) int64 class of each image.

    Examples:
        >>> right = log_softmax(np.array([[3.0, 0.0], [0.0, 3.0], [0.0, 3.0], [0.0, 3.0]]))
        >>> labels = np.array([0, 1, 1, 0])
        >>> plain = tempered_losses(right, labels, (1.0,)).mean()
        >>> round(float(plain), 2), round(tempered_log_loss(right, labels), 2)
        (0.8, 0.56)
    """
    return float(tempered_losses(posteriors, labels).mean())


def in_errors(differences: np.ndarray) -> float:
    """Return the mean of paired differences in units of its standard error; 0 if N is 1.

    Args:
        differences: (N,) differences, for example between two losses of each image.

    Examples:
        >>> round(in_errors(np.array([1.0, 1.0, -1.0, 1.0])), 2)
        0.82
    """
    if len(differences) < 2:
        return 0.0
    # Two opposite differences are added, so that a few equal differences do not look certain.
    error = (float((differences**2).sum()) + 2 * float(np.abs(differences).max()) ** 2) ** 0.5
    return float(differences.sum()) / error if error > 0 else 0.0
