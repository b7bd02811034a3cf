"""Capture: the images of a known task for which another skill has more evidence.

For tasks of other agents, the images are synthetic. For own tasks, they are the validation images
whose latents the agent keeps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from teachmesh.mapping.discriminant import TaskDensity

MOST_SYNTHETIC = 2
"""Number of 64 synthetic images of a task that all newcomers together may take.

Each of 36 real tasks, with two backbones, takes none of any other task, and neither do all of them
together. Copies take 15 to 64."""
MOST_KEPT = 0.25
"""Fraction of the kept validation images of an own task that one newcomer may take.

Measured on all pairs of 36 real tasks: at most 0.09 with MobileNetV2 and 0.13 with the embedded
backbone. Copies take 0.34 to 1."""
CHANCE = 0.05
"""Probability at which more than `MOST_KEPT` is taken for chance: honest tasks that show similar
things may take 6 of 16 images."""


@dataclass(frozen=True, eq=False)
class ScoredImages:
    """Images of a known task with its own evidence.

    Attributes:
        points: (N, D) float64 points in the metric's space.
        evidence: (N,) evidence of the images' own task.
    """

    points: torch.Tensor
    evidence: torch.Tensor

    @classmethod
    def of(cls, points: np.ndarray, density: TaskDensity) -> ScoredImages:
        """Score (N, D) points with the density of their task."""
        copied = torch.tensor(points)
        return cls(copied, density.evidence(copied))

    def taken(self, density: TaskDensity) -> np.ndarray:
        """Return for each image whether a newcomer has at least its task's evidence, (N,) bool."""
        return np.asarray((density.evidence(self.points) >= self.evidence).numpy())


def as_bits(flags: np.ndarray) -> int:
    """Return flags as the bits of a number, the first flag as the lowest bit.

    >>> as_bits(np.array([True, False, True]))
    5
    """
    return sum(1 << i for i in np.flatnonzero(flags).tolist())


def takes_too_many_kept(flags: np.ndarray) -> bool:
    """Return whether a newcomer takes more of an own task than honest tasks do.

    The number of images counts: by chance, more than a fourth of a few images are taken at times.

    Args:
        flags: (N,) result of `ScoredImages.taken` for kept validation images.
    """
    count = int(flags.sum())
    return count > 0 and probability_of(count, len(flags), MOST_KEPT) <= CHANCE


def probability_of(count: int, number: int, share: float) -> float:
    """Return the binomial probability of `count` or more hits among `number` images.

    Args:
        count: number of hits.
        number: number of images, n.
        share: probability of one hit.

    >>> round(probability_of(2, 2, 0.25), 4), probability_of(0, 5, 0.25)
    (0.0625, 1.0)
    """
    hits = range(count, number + 1)
    return math.fsum(math.comb(number, k) * share**k * (1 - share) ** (number - k) for k in hits)
