"""Visual similarity of classes, from class means in the mapper's whitened space (Sec. 8).

The paper proposes to send a few shots of a new class through the task mapper, which assigns them to
an old class. This module computes a similar answer in closed form. In the space where the bank's
within-class covariance is the identity, each class has a direction from the centre of its task. Two
classes look alike if these directions agree. The centres are removed because a photograph and a
sketch of a dog have little else in common.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

RIDGE = 0.1
"""Added to the covariance's diagonal, as a share of its mean."""
STANDARD_ERRORS = 2.0
"""Standard errors by which the mean contrast has to exceed that of homonyms."""
CONTRAST = 0.6
"""Smallest mean contrast, whatever the number of classes."""
CLASS_CONTRAST = -1.0
"""Smallest contrast of each class."""
OUTLIER_DEVIATIONS = 3.5
"""Standard deviations below the other pairs' mean contrast from which a pair is an outlier."""
LEAST_OTHERS = 3
"""Number of other pairs needed to find an outlier."""
FEW_CLASSES = 4
"""A task with fewer classes is judged by its cosines as well."""
FEW_COSINE = 0.10
"""Smallest mean cosine for few classes.

With two or three classes, 5 % of homonyms pass; with the contrast alone, half of them would."""
FEW_CONTRAST = 0.95
"""Smallest mean contrast for few classes."""
_LEAST_SPREAD = 0.4


@dataclass(frozen=True, eq=False)
class VisualSimilarity:
    """Visual similarity of the A classes of one task and the B classes of another.

    Attributes:
        cosine: (A, B) float64 between directions from the tasks' centres, -1 to 1.
        contrast: (A, B) float64, the cosine minus the means of its row and column, in standard
            deviations of the whole matrix. A typical pair of unrelated classes has 0.
    """

    cosine: np.ndarray
    contrast: np.ndarray

    def mutual(self) -> list[tuple[int, int]]:
        """Return the pairs of mutual nearest neighbours, in the order of the first class."""
        nearest = self.cosine.argmax(axis=1)
        back = self.cosine.argmax(axis=0)
        return [(i, int(j)) for i, j in enumerate(nearest) if back[j] == i]


def whitening(covariance: np.ndarray) -> np.ndarray:
    """Return (D, D) float64 W with W covariance W^T = identity, up to a ridge on the covariance.

    Args:
        covariance: (D, D), positive semidefinite.
    """
    matrix = torch.from_numpy(np.array(covariance, dtype=np.float64))
    mean = float(matrix.diagonal().mean())
    matrix.diagonal().add_(RIDGE * mean + 1e-12)
    factor = torch.linalg.cholesky(matrix)
    identity = torch.eye(len(factor), dtype=torch.float64)
    return np.asarray(torch.linalg.solve_triangular(factor, identity, upper=False).numpy())


def directions(means: np.ndarray, transform: np.ndarray) -> np.ndarray:
    """Return (A, D) unit vectors from the task's centre; zeros for a task with one class.

    Args:
        means: (A, D) class means.
        transform: (D, D) from `whitening`.
    """
    whitened = (means - means.mean(axis=0)) @ transform.T
    lengths = np.linalg.norm(whitened, axis=1, keepdims=True)
    return np.asarray(whitened / np.where(lengths > 1e-12, lengths, np.inf))


def compare(one: np.ndarray, other: np.ndarray, transform: np.ndarray) -> VisualSimilarity:
    """Compare the classes of two tasks.

    Args:
        one: (A, D) class means, A >= 1.
        other: (B, D) class means of the other task.
        transform: (D, D) from `whitening`.
    """
    return compare_directions(directions(one, transform), directions(other, transform))


def compare_directions(one: np.ndarray, other: np.ndarray) -> VisualSimilarity:
    """Compare the classes of two tasks by their (A, D) and (B, D) `directions`."""
    cosine = one @ other.T
    rows, columns = cosine.mean(axis=1, keepdims=True), cosine.mean(axis=0, keepdims=True)
    contrast = cosine - rows - columns + cosine.mean()
    return VisualSimilarity(cosine, contrast / max(float(contrast.std()), 1e-9))


def confirm(named: Sequence[tuple[int, int]], looks: VisualSimilarity) -> list[tuple[int, int]]:
    """Return the pairs with similar names that also look alike.

    The pairs are judged together: if they do not look alike on average, none is confirmed. Then
    outliers are dropped.

    Args:
        named: (class of one task, class of the other) with similar names.
        looks: visual similarity of these two tasks.
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
    """Return for each of (K,) contrasts whether it is consistent with the others."""
    fits = []
    for k, value in enumerate(contrast):
        others = np.delete(contrast, k)
        outlier = value < CLASS_CONTRAST
        # Only below half the mean: such a pair is closer to homonyms than to the other pairs.
        if len(others) >= LEAST_OTHERS and value < others.mean() / 2:
            spread = max(float(others.std()), _LEAST_SPREAD)
            outlier = outlier or value < others.mean() - OUTLIER_DEVIATIONS * spread
        fits.append(not outlier)
    return fits
