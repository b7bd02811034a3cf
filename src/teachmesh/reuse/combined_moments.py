"""A new task whose classes are all known, put together without an image (Sec. 7.2, 1).

From class moments: the old class means stand beside each other, the scatter is the mean of the old
tasks', and the head is the linear discriminant of these means in that scatter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from teachmesh.mapping.discriminant import TaskMoments
from teachmesh.mapping.moments import MomentsAnchor
from teachmesh.mapping.moments_fit import Covariance, LinearScores, pack_moments
from teachmesh.reuse.moments_prior import pooled

STYLE_RIDGE = 0.1
"""Weight of a style's own square, in images of it: what is not known of styles is zero."""
RIDGE = 0.1
"""What the pooled scatter gets on its diagonal, as a share of its mean."""


@dataclass(frozen=True, eq=False)
class Part:
    """Classes taken from one old task.

    Attributes:
        anchor: moments of the old task.
        labels: the classes wanted, as positions in that task.
        classes: (M,) int64, the classes of the new task that they become.
    """

    anchor: MomentsAnchor
    labels: Sequence[int]
    classes: np.ndarray


def combine_moments(parts: Sequence[Part], n_classes: int) -> MomentsAnchor:
    """Class moments of a new task from class means of old ones; no image is needed.

    The head is the linear discriminant of the new means in the mean scatter of the old tasks.

    Args:
        parts: together they hold every class.
        n_classes: C of the new task.

    Raises:
        ValueError: a class that no part holds.
    """
    missing = n_classes - len({int(label) for part in parts for label in part.classes})
    if missing:
        raise ValueError(f"expected every class in a part, {missing} are in none")
    tasks = [part.anchor.moments() for part in parts]
    means = _joined_means(parts, tasks, n_classes)
    roots = np.concatenate([task.roots for task in tasks]) / len(tasks) ** 0.5
    within = Covariance(roots, rest=np.mean([task.residual for task in tasks], axis=0))
    return pack_moments(means, within, _discriminant(means, tasks))


def _joined_means(parts: Sequence[Part], tasks: Sequence[TaskMoments], n: int) -> np.ndarray:
    """(C, D): what is left of old class means when each task's style is taken off.

    An old mean is the class plus the style of its task, by least squares. Tasks that share classes
    tell their styles apart; where none are shared a style cannot be known and counts as zero, for
    the difference between two tasks is then all that tells their classes apart.
    """
    sums = np.zeros((len(parts) + n, parts[0].anchor.dim))
    normal = np.diag(np.r_[np.full(len(parts), STYLE_RIDGE), np.zeros(n)])
    for style, (part, task) in enumerate(zip(parts, tasks, strict=True)):
        for label, new in zip(part.labels, part.classes, strict=True):
            pair = [style, len(parts) + new]
            normal[np.ix_(pair, pair)] += 1
            sums[pair] += task.means[label]
    return np.asarray(np.linalg.solve(normal, sums)[len(parts) :])


def _discriminant(means: np.ndarray, tasks: Sequence[TaskMoments]) -> LinearScores:
    """The linear discriminant of means (C, D) in the tasks' mean scatter.

    In the unit of a head that was regressed on 0 and 1: at the means of the classes, the right
    score is 1 above the others on average, and all scores have a mean of 1 / C.
    """
    (n_classes, dim), centre = means.shape, means.mean(axis=0)
    matrix = pooled(tasks, RIDGE).apply(torch.eye(dim, dtype=torch.float64)).numpy()  # (D, D)
    white = (means - centre) @ matrix  # (C, D)
    products = white @ white.T
    scores = products - 0.5 * products.diagonal()  # (class mean, class)
    right = float(scores.diagonal().mean())
    others = float((scores.sum() - scores.trace()) / (n_classes * (n_classes - 1)))
    unit = 1 / max(right - others, 1e-12)
    values = unit * (-0.5 * products.diagonal())
    values += 1 / n_classes - unit * float(scores.mean())
    return LinearScores(unit * (white @ matrix.T), centre, values)
