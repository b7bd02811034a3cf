"""Scores of images under all tasks, and the answers that follow from them."""

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
            the order of `skill_ids`; None where the mapper knows tasks only.
        typicality: (N, T) float64, below zero where an image is untypical of a task.
        answers_directly: the mapper's own answer is `direct`, not mapper-then-head.
    """

    skill_ids: tuple[str, ...]
    task: np.ndarray
    within: tuple[np.ndarray, ...]
    direct: np.ndarray | None
    typicality: np.ndarray | None
    answers_directly: bool

    def mapped(self) -> np.ndarray:
        """(N,) position of the task that the mapper chooses."""
        return np.asarray(self.task.argmax(axis=1))

    def class_given(self, task: int) -> np.ndarray:
        """(N,) class that is chosen when the task is known: the oracle's answer."""
        return np.asarray(self.within[task].argmax(axis=1))

    def final(self) -> tuple[np.ndarray, np.ndarray]:
        """(N,) task and (N,) class the paper's way: the mapper first, then that task's head."""
        tasks = self.mapped()
        classes = np.array(
            [self.within[t][i].argmax() for i, t in enumerate(tasks)], dtype=np.int64
        )
        return tasks, classes

    def best(self) -> tuple[np.ndarray, np.ndarray]:
        """(N,) task and (N,) class of the best of all class scores.

        Raises:
            DataError: the mapper has no scores of single classes.
        """
        if self.direct is None:
            raise DataError("this task mapper scores tasks only; use final() instead")
        return self.locate(self.direct.argmax(axis=1))

    def locate(self, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Columns of all classes -> (task, class within the task)."""
        ends = np.cumsum([w.shape[1] for w in self.within])
        tasks = np.searchsorted(ends, columns, side="right")
        starts = np.concatenate([[0], ends[:-1]])
        return tasks, columns - starts[tasks]

    def answer(self) -> tuple[np.ndarray, np.ndarray]:
        """(N,) task and (N,) class that the agent answers with."""
        return self.best() if self.answers_directly else self.final()

    def joint(self) -> np.ndarray:
        """(N, sum of C_t) log posterior over all classes that probabilities are taken from."""
        if self.answers_directly and self.direct is not None:
            return self.direct
        parts = [self.task[:, t : t + 1] + w for t, w in enumerate(self.within)]
        return np.concatenate(parts, axis=1)
