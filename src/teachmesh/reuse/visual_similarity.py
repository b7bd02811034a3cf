"""Visual similarity of classes, from class means in the mapper's whitened space (Sec. 8).

The paper proposes to send a few shots of a new class through the task mapper, which assigns them to
an old class. This module computes a similar result in closed form. In the space where the bank's
within-class covariance is the identity, each class has a direction from the centre of its task. Two
classes look alike if their directions agree. Subtracting the centre removes the style of a task,
for example of photographs or sketches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

RIDGE = 0.1
"""Ridge added to the diagonal of the covariance, as a fraction of the diagonal's mean."""
STANDARD_ERRORS = 2.0
"""Minimum mean contrast in standard errors; pairs of homonyms have a mean contrast near 0."""
CONTRAST = 0.6
"""Minimum mean contrast for any number of pairs."""
CLASS_CONTRAST = -1.0
"""Minimum contrast of each pair."""
OUTLIER_DEVIATIONS = 3.5
"""Minimum distance of an outlier below the other pairs' mean contrast, in standard deviations."""
LEAST_OTHERS = 3
"""Minimum number of other pairs for detecting an outlier."""
FEW_CLASSES = 4
"""Minimum number of classes; if a task has fewer, the cosines are checked as well."""
FEW_COSINE = 0.10
"""Minimum mean cosine if a task has few classes.

With two or three classes, 5 % of homonyms pass this test, but 50 % pass the contrast test alone."""
FEW_CONTRAST = 0.95
"""Minimum mean contrast if a task has few classes."""
_LEAST_SPREAD = 0.4


@dataclass(frozen=True, eq=False)
class VisualSimilarity:
    """Visual similarity of the A classes of one task and the B classes of another.

    Attributes:
        cosine: (A, B) float64 cosines between the directions of classes from the tasks' centres.
        contrast: (A, B) float64 cosines minus the means of their row and column, divided by the
            standard deviation of all entries. Unrelated classes typically have contrast 0.
    """

    cosine: np.ndarray
    contrast: np.ndarray

    def mutual(self) -> list[tuple[int, int]]:
        """Return the pairs of mutual nearest neighbours, sorted by the first class."""
        nearest = self.cosine.argmax(axis=1)
        back = self.cosine.argmax(axis=0)
        return [(i, int(j)) for i, j in enumerate(nearest) if back[j] == i]


def whitening(covariance: np.ndarray) -> np.ndarray:
    """Return a (D, D) float64 matrix W for which W (covariance + ridge) W^T is the identity.

    Args:
        covariance: (D, D) positive semidefinite matrix.
    """
    matrix = torch.from_numpy(np.array(covariance, dtype=np.float64))
    mean = float(matrix.diagonal().mean())
    matrix.diagonal().add_(RIDGE * mean + 1e-12)
    factor = torch.linalg.cholesky(matrix)
    identity = torch.eye(len(factor), dtype=torch.float64)
    return np.asarray(torch.linalg.solve_triangular(factor, identity, upper=False).numpy())


def directions(means: np.ndarray, transform: np.ndarray) -> np.ndarray:
    """Return (A, D) unit vectors from a task's centre to its classes; a zero vector if A is 1.

    Args:
        means: (A, D) class means.
        transform: (D, D) result of `whitening`.
    """
    whitened = (means - means.mean(axis=0)) @ transform.T
    lengths = np.linalg.norm(whitened, axis=1, keepdims=True)
    return np.asarray(whitened / np.where(lengths > 1e-12, lengths, np.inf))


def compare(one: np.ndarray, other: np.ndarray, transform: np.ndarray) -> VisualSimilarity:
    """Compare the classes of two tasks.

    Args:
        one: (A, D) class means of the first task.
        other: (B, D) class means of the second task.
        transform: (D, D) result of `whitening`.
    """
    return compare_directions(directions(one, transform), directions(other, transform))


def compare_directions(one: np.ndarray, other: np.ndarray) -> VisualSimilarity:
    """Compare the classes of two tasks by their (A, D) and (B, D) `directions`."""
    cosine = one @ other.T
    rows, columns = cosine.mean(axis=1, keepdims=True), cosine.mean(axis=0, keepdims=True)
    contrast = cosine - rows - columns + cosine.mean()
    return VisualSimilarity(cosine, contrast / max(float(contrast.std()), 1e-9))


def confirm(named: Sequence[tuple[int, int]], looks: VisualSimilarity) -> list[tuple[int, int]]:
    """Return the pairs of classes that have similar names and also look alike.

    The pairs are tested together: if they do not look alike on average, none is confirmed.
    Otherwise outliers are dropped.

    Args:
        named: pairs (class of one task, class of the other) with similar names.
        looks: visual similarity of the two tasks.
    """
    if not named:
        return []
    rows, columns = np.array(named).T
    contrast, cosine = looks.contrast[rows, columns], looks.cosine[rows, columns]
    if min(looks.cosine.shape) < FEW_CLASSES:
        alike = cosine.mean() >= FEW_COSINE and contrast.mean() >= FEW_CONTRAST
    else:
        alike = contrast.mean() >= max(CONTRAST, STANDARD_ERRORS / np.sqrt(len(named)))
    if not alike:
        return []
    return [pair for pair, fits in zip(named, _inliers(contrast), strict=True) if fits]


def _inliers(contrast: np.ndarray) -> list[bool]:
    """Return, for each contrast, whether it is consistent with the other contrasts."""
    fits = []
    for k, value in enumerate(contrast):
        others = np.delete(contrast, k)
        outlier = value < CLASS_CONTRAST
        # A pair below half the mean is closer to homonyms than to the other pairs.
        if len(others) >= LEAST_OTHERS and value < others.mean() / 2:
            spread = max(float(others.std()), _LEAST_SPREAD)
            outlier = outlier or value < others.mean() - OUTLIER_DEVIATIONS * spread
        fits.append(not outlier)
    return fits
