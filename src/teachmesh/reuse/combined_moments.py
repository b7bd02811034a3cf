"""Build a new task from old classes without any images (Sec. 7.2, 1).

The class means come from the old tasks, and the scatter is the mean of their scatters. The head is
the linear discriminant computed from these means and this scatter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from teachmesh.mapping.anchor_kinds import MomentsAnchor
from teachmesh.mapping.discriminant import TaskMoments
from teachmesh.mapping.moments_fit import Covariance, LinearScores, pack_moments
from teachmesh.reuse.moments_prior import pooled_whitening

STYLE_RIDGE = 0.1
"""Ridge penalty on a task's style, relative to the weight of one class mean.

If the class means do not determine a style, the penalty makes it zero."""
RIDGE = 0.1
"""Ridge added to the diagonal of the pooled scatter, as a fraction of the diagonal's mean."""


@dataclass(frozen=True, eq=False)
class Part:
    """Classes of one old task that become classes of the new task.

    Attributes:
        anchor: moments of the old task.
        labels: indices of M classes in the old task.
        classes: indices of these classes in the new task, (M,) int64.
    """

    anchor: MomentsAnchor
    labels: Sequence[int]
    classes: np.ndarray


def combine_moments(parts: Sequence[Part], n_classes: int) -> MomentsAnchor:
    """Combine class moments of old tasks into class moments of a new task, without any images.

    Args:
        parts: old classes; together they cover every class of the new task.
        n_classes: number of classes of the new task, C.

    Raises:
        ValueError: a class of the new task is not covered by any part.
    """
    missing = n_classes - len({int(label) for part in parts for label in part.classes})
    if missing:
        raise ValueError(f"expected every class in a part, {missing} are in none")
    tasks = [part.anchor.moments() for part in parts]
    means = _joined_means(parts, tasks, n_classes)
    roots = np.concatenate([task.roots for task in tasks]) / len(tasks) ** 0.5
    degrees = sum(int(part.anchor.degrees[0]) for part in parts)
    within = Covariance(roots, degrees, rest=float(np.mean([task.rest for task in tasks])))
    return pack_moments(means, within, _discriminant(means, tasks))


def _joined_means(parts: Sequence[Part], tasks: Sequence[TaskMoments], n: int) -> np.ndarray:
    """Return (C, D) class means, without the styles of the old tasks.

    Least squares splits each old class mean into the mean of the class and the style of the task.
    Styles can be estimated only for tasks that share classes. The styles of the other tasks count
    as zero, because a difference between these tasks also separates their classes.
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
    """Return the linear discriminant of (C, D) class means and the mean scatter of the tasks.

    Its scores have the scale of a head fitted to the targets 0 and 1. At the class means, the right
    score is on average 1 higher than the other scores, and the mean of all scores is 1 / C.
    """
    (n_classes, dim), centre = means.shape, means.mean(axis=0)
    matrix = (
        pooled_whitening(tasks, RIDGE).apply(torch.eye(dim, dtype=torch.float64)).numpy()
    )  # (D, D)
    white = (means - centre) @ matrix  # (C, D)
    products = white @ white.T
    scores = products - 0.5 * products.diagonal()  # (class mean, class)
    right = float(scores.diagonal().mean())
    others = float((scores.sum() - scores.trace()) / (n_classes * (n_classes - 1)))
    unit = 1 / max(right - others, 1e-12)
    values = unit * (-0.5 * products.diagonal())
    values += 1 / n_classes - unit * float(scores.mean())
    return LinearScores(unit * (white @ matrix.T), centre, values)
