"""Scores of images for all tasks, and the answers derived from them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from teachmesh.errors import DataError
from teachmesh.mapping.typicality import HeldOut

T = TypeVar("T")


class PerTask(Generic[T]):
    """One value per task, computed when it is first needed.

    A value depends on its task and the images only, so it has the same bits in every bank.

    Args:
        compute: function from the position of a task to its value.
        length: number of tasks.
    """

    def __init__(self, compute: Callable[[int], T], length: int) -> None:
        self._compute = compute
        self._known: dict[int, T] = {}
        self._length = length

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, task: int) -> T:
        position = range(self._length)[task]
        if position not in self._known:
            self._known[position] = self._compute(position)
        return self._known[position]

    def __iter__(self) -> Iterator[T]:
        return (self[task] for task in range(self._length))

    def replaced(self, values: Mapping[int, T]) -> PerTask[T]:
        """Return a copy with other values for some tasks."""
        copy = PerTask(self._compute, self._length)
        copy._known = {**self._known, **values}
        return copy


@dataclass(frozen=True, eq=False)
class Decisions:
    """Scores of N images for T skills, in canonical order of the skills.

    Attributes:
        skill_ids: sorted ids of the T skills.
        n_classes: number of classes of each skill, C_t.
        task: (N, T) float64 log posteriors of the tasks; minus infinity for tasks that are far
            behind in a large bank.
        within: for each task, the (N, C_t) float64 log posterior of each class given the task.
        familiarity: for each task, (N,) float64 scores, higher for more typical images; scores of
            different tasks can be compared for `moments`.
        held_out: for each task, the scores of held-out images; None if it has none.
        direct: (N, sum of C_t) float64, log posterior over all classes of all tasks, if the mapper
            has class scores of its own; otherwise None.
        comparable: True if classes of different tasks can be compared.
        given: index of the true task if it is known, otherwise None.
    """

    skill_ids: tuple[str, ...]
    n_classes: tuple[int, ...]
    task: np.ndarray
    within: PerTask[np.ndarray]
    familiarity: PerTask[np.ndarray]
    held_out: PerTask[HeldOut | None]
    direct: np.ndarray | None = None
    comparable: bool = True
    given: int | None = None

    def mapped(self) -> np.ndarray:
        """Return the index of the task with the highest score for each image, (N,)."""
        return np.asarray(self.task.argmax(axis=1))

    def class_given(self, task: int) -> np.ndarray:
        """Return each image's best class within a given task, (N,): the answer of a task oracle."""
        return np.asarray(self.within[task].argmax(axis=1))

    def answer(self) -> tuple[np.ndarray, np.ndarray]:
        """Return (N,) tasks and (N,) classes: the best class of the best task.

        The skill alone decides its class, as in the paper. So no skill changes the classes of
        another task.
        """
        tasks = self.mapped()
        classes = np.array(
            [self.within[int(t)][i].argmax() for i, t in enumerate(tasks)], dtype=np.int64
        )
        return tasks, classes

    def best(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the best class among those of all tasks, as (N,) tasks and (N,) classes.

        Raises:
            DataError: classes of different tasks cannot be compared.
        """
        if not self.comparable:
            raise DataError("this task mapper scores tasks only; use answer() instead")
        return self.locate((self.joint() if self.direct is None else self.direct).argmax(axis=1))

    def locate(self, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Convert (N,) column indices of `joint` to (N,) tasks and (N,) classes within them."""
        ends = np.cumsum(self.n_classes)
        tasks = np.searchsorted(ends, columns, side="right")
        starts = np.concatenate([[0], ends[:-1]])
        return tasks, columns - starts[tasks]

    def joint(self) -> np.ndarray:
        """Return the (N, sum of C_t) log posteriors over all classes of all tasks."""
        parts = [self.task[:, t : t + 1] + w for t, w in enumerate(self.within)]
        return np.concatenate(parts, axis=1)

    def leading(self, image: int, count: int) -> list[tuple[int, int, float]]:
        """Return the most probable classes of an image, best first.

        Tasks are visited from the most probable one, until no class of a later task can be among
        the best.

        Args:
            image: index of the image.
            count: number of classes.

        Returns:
            Tuples of task, class and log posterior.
        """
        found: list[tuple[float, int, int]] = []
        for task in np.argsort(-self.task[image], kind="stable").tolist():
            score = float(self.task[image, task])
            if len(found) >= count and score < -found[count - 1][0]:
                break
            values = score + self.within[task][image]
            found += [(-float(value), task, label) for label, value in enumerate(values)]
            found = sorted(found)[:count]
        return [(task, label, -negated) for negated, task, label in found]
