"""Accuracies on test images: mapper, oracle, final and direct (paper, Sec. 6)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from teachmesh.mapping.decisions import Decisions

Given = Callable[[np.ndarray], "Decisions"]
"""(N,) array of tasks -> decisions after each image's second pass with its task's biases."""


@dataclass(frozen=True)
class Accuracies:
    """Accuracies on the test images of one task, as fractions of 1.

    Attributes:
        mapper: fraction of images for which the task mapper chooses the right task.
        oracle: fraction of images with the right class if the task is given.
        final: fraction with the right task and class; the mapper chooses the task, as in the paper
            and in the agent's answers.
        direct: fraction with the right task and class; the best of all classes is chosen. None if
            the mapper does not score classes.
    """

    mapper: float
    oracle: float
    final: float
    direct: float | None


@dataclass(frozen=True, eq=False)
class Choices:
    """Choices for N test images, for each kind of accuracy. Tasks are given by position.

    Attributes:
        mapped: (N,) array of the tasks that the mapper chooses.
        final: (N,) array of the classes chosen within the mapped tasks.
        oracle: (N,) array of the classes chosen if the right task is given.
        direct: (N, 2) array of task and best-scoring class; None without class scores.
        probability: (N,) array of the probability of the final answer.
    """

    mapped: np.ndarray
    final: np.ndarray
    oracle: np.ndarray
    direct: np.ndarray | None
    probability: np.ndarray

    def renumbered(self, positions: np.ndarray) -> Choices:
        """Give task t the new position `positions[t]`."""
        direct = self.direct
        if direct is not None:
            direct = np.stack([positions[direct[:, 0]], direct[:, 1]], axis=1)
        return replace(self, mapped=positions[self.mapped], direct=direct)

    def score(self, task: int, labels: np.ndarray, rows: slice = slice(None)) -> Accuracies:
        """Compute the accuracies on the images of one task.

        Args:
            task: position of the task.
            labels: (n,) array of the true classes of the task's images.
            rows: rows of the task's images; all by default.
        """
        mapped = self.mapped[rows] == task
        direct = None
        if self.direct is not None:
            right = (self.direct[rows, 0] == task) & (self.direct[rows, 1] == labels)
            direct = float(np.mean(right))
        return Accuracies(
            mapper=float(np.mean(mapped)),
            oracle=float(np.mean(self.oracle[rows] == labels)),
            final=float(np.mean(mapped & (self.final[rows] == labels))),
            direct=direct,
        )


def choose(decisions: Decisions, tasks: np.ndarray, given: Given | None = None) -> Choices:
    """Choose tasks and classes of N images, for each kind of accuracy.

    Each kind has its own second pass. The oracle uses the biases of the right task; the other
    kinds use the biases of the task that was chosen.

    Args:
        decisions: decisions of the first pass.
        tasks: (N,) position of each image's right task among the skills.
        given: function that runs second passes; None for skills without biases.
    """
    refined = given or (lambda _: decisions)
    own = refined(decisions.mapped())
    mapped, final = own.answer()
    told, oracle = refined(tasks), np.empty(len(tasks), dtype=np.int64)
    for task in np.unique(tasks):
        oracle[tasks == task] = told.class_given(task)[tasks == task]
    direct = None
    if decisions.comparable:
        direct = np.stack(refined(decisions.best()[0]).best(), axis=1)
    return Choices(mapped, final, oracle, direct, _probability(own, mapped, final))


def _probability(decisions: Decisions, tasks: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Return the (N,) probabilities of a task and class for each image."""
    log_task = np.take_along_axis(decisions.task, tasks[:, None], axis=1)[:, 0]
    log_class = [
        decisions.within[int(t)][i, c] for i, (t, c) in enumerate(zip(tasks, classes, strict=True))
    ]
    return np.asarray(np.exp(log_task + np.array(log_class)))
