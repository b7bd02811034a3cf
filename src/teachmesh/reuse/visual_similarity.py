"""Classes compared by what they look like: class means in the mapper's whitened space (Sec. 8).

The paper proposes to send a few shots of a new class through the task mapper and to see which old
class they are taken for. The same question in closed form: in the space where the bank's
within-class covariance is the identity, which old class lies from the centre of its task in the
direction in which the new class lies from the centre of the new one? Directions from the centres,
because a photograph and a sketch of a dog have little else in common.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

RIDGE = 0.1
"""Added to the covariance's diagonal, as a share of its mean."""


@dataclass(frozen=True, eq=False)
class Likeness:
    """How alike the A classes of one task and the B classes of another look.

    Attributes:
        cosine: (A, B) float64 between directions from the tasks' centres, -1 to 1.
        contrast: (A, B) float64, the cosine less the means of its row and column, in standard
            deviations of the whole: 0 for no more alike than any two classes of these tasks.
    """

    cosine: np.ndarray
    contrast: np.ndarray

    def mutual(self) -> list[tuple[int, int]]:
        """Pairs of classes each of which is the other's nearest, in the order of the first."""
        nearest = self.cosine.argmax(axis=1)
        back = self.cosine.argmax(axis=0)
        return [(i, int(j)) for i, j in enumerate(nearest) if back[j] == i]


def whitening(covariance: np.ndarray) -> np.ndarray:
    """(D, D) float64 W with W covariance W^T = identity, up to a ridge on the covariance.

    Args:
        covariance: (D, D), positive semidefinite.
    """
    matrix = torch.from_numpy(np.array(covariance, dtype=np.float64))
    mean = float(matrix.diagonal().mean())
    matrix.diagonal().add_(RIDGE * mean + 1e-12)
    factor = torch.linalg.cholesky(matrix)
    identity = torch.eye(len(factor), dtype=torch.float64)
    return np.asarray(torch.linalg.solve_triangular(factor, identity, upper=False).numpy())


def compare(one: np.ndarray, other: np.ndarray, transform: np.ndarray) -> Likeness:
    """Compare the classes of two tasks.

    Args:
        one: (A, D) class means, A >= 1.
        other: (B, D) class means of the other task.
        transform: (D, D) from `whitening`.
    """
    return compare_directions(directions(one, transform), directions(other, transform))


def compare_directions(one: np.ndarray, other: np.ndarray) -> Likeness:
    """The same of (A, D) and (B, D) `directions` that were computed before."""
    cosine = one @ other.T
    rows, columns = cosine.mean(axis=1, keepdims=True), cosine.mean(axis=0, keepdims=True)
    contrast = cosine - rows - columns + cosine.mean()
    return Likeness(cosine, contrast / max(float(contrast.std()), 1e-9))


def directions(means: np.ndarray, transform: np.ndarray) -> np.ndarray:
    """(A, D) unit vectors from the task's centre; zero for a task of one class.

    Args:
        means: (A, D) class means.
        transform: (D, D) from `whitening`.
    """
    whitened = (means - means.mean(axis=0)) @ transform.T
    lengths = np.linalg.norm(whitened, axis=1, keepdims=True)
    return np.asarray(whitened / np.where(lengths > 1e-12, lengths, np.inf))


STANDARD_ERRORS = 2.0
"""By how many the mean contrast has to exceed that of homonyms."""
CONTRAST = 0.6
"""Least mean contrast, however many classes there are."""
CLASS_CONTRAST = -1.0
"""Least contrast of each class."""
OUT_OF_LINE = 3.5
"""Standard deviations by which a class that does not look alike may lie below its mates."""
MATES = 3
"""So many say what is in line."""
FEW_CLASSES = 4
"""A task of fewer is judged by its cosines."""
FEW_COSINE = 0.10
"""Least mean cosine then: 5 % of homonyms of two or three classes pass, half by contrast alone."""
FEW_CONTRAST = 0.95
"""Least mean contrast then."""
_LEAST_SPREAD = 0.4


def confirm(named: Sequence[tuple[int, int]], likeness: Likeness) -> list[tuple[int, int]]:
    """The pairs of like names that look alike; none if they do not as a whole.

    Args:
        named: (class of one task, class of the other) of like names.
        likeness: of these two tasks.
    """
    if not named:
        return []
    rows, columns = np.array(named).T
    contrast, cosine = likeness.contrast[rows, columns], likeness.cosine[rows, columns]
    if min(likeness.cosine.shape) < FEW_CLASSES:
        alike = cosine.mean() >= FEW_COSINE and contrast.mean() >= FEW_CONTRAST
    else:
        alike = contrast.mean() >= max(CONTRAST, STANDARD_ERRORS / np.sqrt(len(named)))
    if not alike:
        return []
    return [pair for pair, fits in zip(named, _in_line(contrast), strict=True) if fits]


def _in_line(contrast: np.ndarray) -> list[bool]:
    """For each of (K,) contrasts whether it is one of a kind with the others."""
    fits = []
    for k, value in enumerate(contrast):
        mates = np.delete(contrast, k)
        strange = value < CLASS_CONTRAST
        if len(mates) >= MATES and value < mates.mean() / 2:  # nearer to homonyms than to its mates
            spread = max(float(mates.std()), _LEAST_SPREAD)
            strange = strange or value < mates.mean() - OUT_OF_LINE * spread
        fits.append(not strange)
    return fits
