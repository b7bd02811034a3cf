"""Capture: the images of a known task that another skill takes, or nearly takes.

For tasks of other agents, the images are synthetic. For own tasks, they are the validation images
whose latents the agent keeps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from teachmesh.mapping.discriminant import TaskDensity
from teachmesh.mapping.moments import TASK_SHARPNESS

LEAST_POSTERIOR = 0.1
"""Posterior against a synthetic image's own task from which a newcomer counts as near the image."""
NEAR = math.log((1 - LEAST_POSTERIOR) / LEAST_POSTERIOR) / TASK_SHARPNESS
"""The same as a difference of evidence: 73 nats.

Real images lie farther from their class means than synthetic ones do, up to 150 nats at the median
of a task. So a newcomer with slightly less evidence than a task takes real images of it."""
MOST_SYNTHETIC = 2
"""Number of 64 synthetic images of a task to which newcomers may be near, all counts added.

None of 36 real tasks, with two backbones, is near any synthetic image of another one: the least
difference is 88 nats. Copies are near 15 to 64."""
MOST_KEPT = 0.25
"""Fraction of the kept validation images of an own task that one newcomer may take.

Measured on all pairs of 36 real tasks: at most 0.09 with MobileNetV2 and 0.13 with the embedded
backbone. Copies take 0.34 to 1."""
CHANCE = 0.001
"""Probability at which more than `MOST_KEPT` is taken for chance.

An agent makes thousands of such comparisons. Honest tasks with 8 photographs per class take up to 7
of 14 images, and tasks with one class up to 4 of 5."""


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

    def taken(self, density: TaskDensity, less: float = 0.0) -> np.ndarray:
        """Return for each image whether a newcomer has its task's evidence, (N,) bool.

        Args:
            density: density of the newcomer.
            less: difference of evidence, in nats, that still counts.
        """
        return np.asarray((density.evidence(self.points) >= self.evidence - less).numpy())


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
