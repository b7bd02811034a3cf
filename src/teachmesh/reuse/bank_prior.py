"""What a bank knows that may help a new task: its covariances, and classes that match."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from teachmesh.mapping.discriminant import TaskMoments
from teachmesh.mapping.whitening import (
    RIDGE,
    DenseWhitening,
    LowRankWhitening,
    Whitening,
    ridge_of,
)
from teachmesh.reuse import visual_similarity as visual


@dataclass(frozen=True, eq=False)
class Group:
    """Matched classes of one old task.

    Attributes:
        classes: (M,) int64 classes of the new task, each once.
        means: (M, D) float64 means of their old counterparts.
        rows: (M, D) float64 head rows of these.
    """

    classes: np.ndarray
    means: np.ndarray
    rows: np.ndarray


@dataclass(frozen=True, eq=False)
class Relatives:
    """What a bank knows that may help a new task.

    Attributes:
        tasks: moments of the bank's tasks, in canonical order; at least one.
        groups: one per old task with matched classes; may be empty.
    """

    tasks: tuple[TaskMoments, ...]
    groups: tuple[Group, ...] = ()

    @cached_property
    def whitening(self) -> np.ndarray:
        """(D, D) float64 map to the space where the bank's covariance is the identity."""
        identity = torch.eye(self.tasks[0].means.shape[1], dtype=torch.float64)
        ridge = visual.RIDGE - RIDGE  # the rest is what every whitening adds
        return np.asarray(pooled(self.tasks, ridge).apply(identity).T.numpy())


def pooled(tasks: Sequence[TaskMoments], ridge: float) -> Whitening:
    """Whitening by the mean covariance of tasks; without a (D, D) matrix where they are few.

    Args:
        tasks: at least one.
        ridge: added to the diagonal beyond `mapping.whitening.RIDGE`, as a share of its mean.
    """
    roots = np.concatenate([task.roots for task in tasks]) / len(tasks) ** 0.5  # (all R, D)
    residual = np.mean([task.residual for task in tasks], axis=0)
    trace, dim = float((roots * roots).sum() + residual.sum()), len(residual)
    diagonal = residual + ridge_of(trace, dim) + ridge * trace / dim
    if 2 * len(roots) < dim:
        return LowRankWhitening(roots, diagonal)
    return DenseWhitening(roots.T @ roots + np.diag(diagonal))
