"""A new task whose classes are all known, put together without an image (Sec. 7.2, 1).

From class moments: the old class means stand beside each other, the scatter is the mean of the old
tasks', and the head is the linear discriminant of these means in that scatter. From trained heads:
`reuse.rows.combine_rows`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from skillmesh.mapping.discriminant import TaskMoments
from skillmesh.mapping.moments import MomentsAnchor
from skillmesh.model.head import Head
from skillmesh.reuse.rows import combine_rows
from skillmesh.training.relatives import pooled


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


def combine_moments(parts: Sequence[Part], n_classes: int) -> Head:
    """A linear head for multi-depth latents from class means of old tasks; no image is needed.

    A class that several tasks know gets the mean of what they know. Means are taken from the
    centre of the wanted classes of their task, so that the tasks' styles do not count.

    Args:
        parts: together they hold every class.
        n_classes: C of the new task.

    Raises:
        ValueError: a class that no part holds.
    """
    tasks = [part.anchor.moments() for part in parts]
    dim = parts[0].anchor.dim
    sums, counts = np.zeros((n_classes, dim)), np.zeros(n_classes)
    for part, task in zip(parts, tasks, strict=True):
        means = task.means[list(part.labels)]
        sums[part.classes] += means - means.mean(axis=0) if len(parts) > 1 else means
        counts[part.classes] += 1
    if (counts == 0).any():
        raise ValueError(f"expected every class in a part, {int((counts == 0).sum())} are in none")
    pairs = zip(parts, tasks, strict=True)
    centre = np.mean([task.means[list(part.labels)].mean(axis=0) for part, task in pairs], axis=0)
    means = sums / counts[:, None] + (centre if len(parts) > 1 else 0.0)
    return _discriminant(means, tasks)


def _discriminant(means: np.ndarray, tasks: Sequence[TaskMoments]) -> Head:
    """Rows and offsets of the linear discriminant of means (C, D) in the tasks' mean scatter."""
    whiten = pooled(tasks, 0.1)
    matrix = whiten.apply(torch.eye(means.shape[1], dtype=torch.float64)).numpy()  # rows (D, D)
    centre = means.mean(axis=0)
    weight = ((means - centre) @ matrix) @ matrix.T
    bias = -0.5 * ((means + centre) * weight).sum(axis=1)
    return Head(weight.astype(np.float32), bias.astype(np.float32))


def combine_heads(
    heads: Sequence[Head], labels: Sequence[Sequence[int]], p: float = np.inf
) -> Head:
    """A head out of rows of old heads, each divided by its p-norm; no image is needed.

    Args:
        heads: the old heads.
        labels: of each the rows wanted.
        p: of the norm: infinity (the paper's choice) or 2.
    """
    weights = [head.weight[list(rows)] for head, rows in zip(heads, labels, strict=True)]
    biases = [head.bias[list(rows)] for head, rows in zip(heads, labels, strict=True)]
    weight, bias = combine_rows(weights, biases, p)
    return Head(weight.astype(np.float32), bias.astype(np.float32))
