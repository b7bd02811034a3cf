"""Scores of images under all tasks, and the answers they lead to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from teachmesh.errors import DataError


@dataclass(frozen=True, eq=False)
class Decisions:
    """Scores of N images under T skills, in canonical order of the skills.

    Attributes:
        skill_ids: T ids, sorted.
        task: (N, T) float64, log posterior of each task.
        within: T arrays (N, C_t) float64, log posterior of each class given the task.
        direct: (N, sum of C_t) float64, log posterior over all classes of all tasks, tasks in
            the order of `skill_ids`; None if the mapper scores tasks only.
        typicality: (N, T) float64, negative for an image that is untypical of a task.
        answers_directly: True if `answer` uses `direct`; False if the mapper chooses a task.
        given: position of the task if it is known; None if any task may be the right one.
    """

    skill_ids: tuple[str, ...]
    task: np.ndarray
    within: tuple[np.ndarray, ...]
    direct: np.ndarray | None
    typicality: np.ndarray | None
    answers_directly: bool
    given: int | None = None

    def mapped(self) -> np.ndarray:
        """Return (N,) positions of the tasks that the mapper chooses."""
        return np.asarray(self.task.argmax(axis=1))

    def class_given(self, task: int) -> np.ndarray:
        """Return (N,) classes chosen within a given task (the answer of a task oracle)."""
        return np.asarray(self.within[task].argmax(axis=1))

    def final(self) -> tuple[np.ndarray, np.ndarray]:
        """Return (N,) task and (N,) class as in the paper: first the mapper, then the head."""
        tasks = self.mapped()
        classes = np.array(
            [self.within[t][i].argmax() for i, t in enumerate(tasks)], dtype=np.int64
        )
        return tasks, classes

    def best(self) -> tuple[np.ndarray, np.ndarray]:
        """Return (N,) task and (N,) class with the highest score over all classes.

        Raises:
            DataError: the mapper has no scores per class.
        """
        if self.direct is None:
            raise DataError("this task mapper scores tasks only; use final() instead")
        return self.locate(self.direct.argmax(axis=1))

    def locate(self, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Convert columns of all classes to (task, class within the task)."""
        ends = np.cumsum([w.shape[1] for w in self.within])
        tasks = np.searchsorted(ends, columns, side="right")
        starts = np.concatenate([[0], ends[:-1]])
        return tasks, columns - starts[tasks]

    def answer(self) -> tuple[np.ndarray, np.ndarray]:
        """Return (N,) task and (N,) class of the agent's answer."""
        return self.best() if self.answers_directly else self.final()

    def joint(self) -> np.ndarray:
        """Return (N, sum of C_t) log posterior over all classes, the source of probabilities."""
        if self.answers_directly and self.direct is not None:
            return self.direct
        parts = [self.task[:, t : t + 1] + w for t, w in enumerate(self.within)]
        return np.concatenate(parts, axis=1)
