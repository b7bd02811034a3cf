"""Scores of images for all tasks, and the answers derived from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from teachmesh.errors import DataError


@dataclass(frozen=True, eq=False)
class Decisions:
    """Scores of N images for T skills, in canonical order of the skills.

    Attributes:
        skill_ids: sorted ids of the T skills.
        task: (N, T) float64 log posteriors of the tasks.
        within: T arrays, (N, C_t) float64 each, log posterior of each class given the task.
        direct: (N, sum of C_t) float64, log posterior over all classes of all tasks, with the
            tasks in the order of `skill_ids`; None if the mapper scores tasks only.
        typicality: (N, T) float64; an entry is negative if the image is not typical of the task.
        answers_directly: True if `answer` uses `direct`; False if it chooses the task first.
        given: index of the true task if it is known, otherwise None.
    """

    skill_ids: tuple[str, ...]
    task: np.ndarray
    within: tuple[np.ndarray, ...]
    direct: np.ndarray | None
    typicality: np.ndarray | None
    answers_directly: bool
    given: int | None = None

    def mapped(self) -> np.ndarray:
        """Return the index of the task with the highest score for each image, (N,)."""
        return np.asarray(self.task.argmax(axis=1))

    def class_given(self, task: int) -> np.ndarray:
        """Return each image's best class within a given task, (N,): the answer of a task oracle."""
        return np.asarray(self.within[task].argmax(axis=1))

    def final(self) -> tuple[np.ndarray, np.ndarray]:
        """Return (N,) tasks and (N,) classes by the paper's rule: best class of the best task."""
        tasks = self.mapped()
        classes = np.array(
            [self.within[t][i].argmax() for i, t in enumerate(tasks)], dtype=np.int64
        )
        return tasks, classes

    def best(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the best class among those of all tasks, as (N,) tasks and (N,) classes.

        Raises:
            DataError: the mapper scores tasks only.
        """
        if self.direct is None:
            raise DataError("this task mapper scores tasks only; use final() instead")
        return self.locate(self.direct.argmax(axis=1))

    def locate(self, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Convert (N,) column indices of `direct` to (N,) tasks and (N,) classes within them."""
        ends = np.cumsum([w.shape[1] for w in self.within])
        tasks = np.searchsorted(ends, columns, side="right")
        starts = np.concatenate([[0], ends[:-1]])
        return tasks, columns - starts[tasks]

    def answer(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the agent's answers as (N,) tasks and (N,) classes."""
        return self.best() if self.answers_directly else self.final()

    def joint(self) -> np.ndarray:
        """Return the (N, sum of C_t) log posteriors over all classes of all tasks."""
        if self.answers_directly and self.direct is not None:
            return self.direct
        parts = [self.task[:, t : t + 1] + w for t, w in enumerate(self.within)]
        return np.concatenate(parts, axis=1)
