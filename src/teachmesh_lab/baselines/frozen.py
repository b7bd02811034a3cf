"""Frozen baselines: closed-form methods on the latents of a backbone that never changes.

They need no gradients and only one pass over the latents of each task, and they forget nothing.
Without an oracle they choose among all classes learned so far. With an oracle they choose among the
classes of the given task.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import ClassVar, TypeVar

import numpy as np

from teachmesh.data.loader import Progress
from teachmesh.model.macs import count_macs
from teachmesh_lab.baselines.baseline import Grid, Hyper
from teachmesh_lab.baselines.image_stream import LatentSplit, LatentTask
from teachmesh_lab.baselines.stream_result import (
    Accuracy,
    Answers,
    StreamCosts,
    TaskAnswers,
    size_by_part,
)
from teachmesh_lab.baselines.training_loop import AfterTask, Trace, decide, enter

_T = TypeVar("_T")


class FrozenBaseline(ABC):
    """Statistics of latents, and a linear classifier derived from them.

    Attributes:
        source: publication of the method.
        grid: candidate values of each hyper-parameter; a single value is not tuned.
        widths: number of classes of each learned task, by the task's position in the stream.
    """

    source: ClassVar[str]
    grid: ClassVar[Grid] = {}

    def __init__(self, dim: int, hyper: Hyper, seed: int) -> None:
        self.dim, self.hyper, self.seed = dim, dict(hyper), seed
        self.widths: dict[int, int] = {}

    @property
    def order(self) -> list[int]:
        """Positions of the learned tasks in ascending order, whatever their order of arrival."""
        return sorted(self.widths)

    def learn(self, index: int, latents: np.ndarray, labels: np.ndarray, n_classes: int) -> None:
        """Learn one task.

        Args:
            index: position of the task in the stream.
            latents: (N, D) float32 latents.
            labels: (N,) int64 class indices; every class occurs.
            n_classes: number of classes, C.
        """
        self.widths[index] = n_classes
        self._learn(index, latents, labels)

    @abstractmethod
    def _learn(self, index: int, latents: np.ndarray, labels: np.ndarray) -> None: ...

    @abstractmethod
    def consolidate(self) -> int:
        """Compute the classifier of all learned tasks.

        Returns:
            Number of multiply-accumulates in factorisations, which torch's counter omits.
        """

    @abstractmethod
    def scores(self, latents: np.ndarray) -> np.ndarray:
        """Return (N, all classes) float64 scores, in `order` of tasks; call `consolidate` first."""

    @abstractmethod
    def state(self) -> dict[str, np.ndarray]:
        """Return the arrays that a second agent needs to answer and to continue learning."""

    @abstractmethod
    def task_bytes(self, index: int) -> int:
        """Return the number of bytes that every other agent receives for one task."""


def run_latents(
    baseline: FrozenBaseline,
    stream: Sequence[LatentTask],
    *,
    progress: Progress | None = None,
    after_task: AfterTask | None = None,
) -> Trace:
    """Learn all tasks in order; after each task, classify the images of all tasks so far.

    Args:
        baseline: new baseline that has learned nothing.
        stream: tasks to learn, in order.
        progress: called with (tasks done, total tasks) after each task.
        after_task: called after each task with its position and the answers for all tasks so far.
    """
    n_tasks = len(stream)
    test, validation = Accuracy.empty(n_tasks), Accuracy.empty(n_tasks)
    learn_macs, learn_s = [], []
    consolidate_macs = test_macs = 0
    test_s = 0.0
    answers: Answers | None = None
    for last, task in enumerate(stream):
        started_s = time.perf_counter()
        learn_macs.append(_learn(baseline, last, task))
        consolidate_macs = _consolidate(baseline)
        learn_s.append(time.perf_counter() - started_s)
        started_s = time.perf_counter()
        found, macs = _counted(partial(_answer_all, baseline, stream, last))
        answers, test_macs = found, test_macs + macs
        test_s += time.perf_counter() - started_s
        enter(found, stream, test, validation)
        if after_task is not None:
            after_task(last, found)
        if progress is not None:
            progress(last + 1, n_tasks)
    assert answers is not None
    costs = StreamCosts(
        tuple(learn_macs),
        (0,) * n_tasks,
        consolidate_macs,
        test_macs,
        tuple(learn_s),
        test_s,
        size_by_part(baseline.state()),
        tuple(baseline.task_bytes(index) for index in range(n_tasks)),
    )
    return Trace(test, validation, answers, costs)


def factor_macs(dim: int) -> int:
    """Return the multiply-accumulates needed for a Cholesky factorisation of a (D, D) matrix."""
    return dim**3 // 6


def _learn(baseline: FrozenBaseline, index: int, task: LatentTask) -> int:
    train = task.train
    return count_macs(lambda: baseline.learn(index, train.latents, train.labels, len(task.classes)))


def _consolidate(baseline: FrozenBaseline) -> int:
    unseen, counted = _counted(baseline.consolidate)
    return unseen + counted


def _counted(work: Callable[[], _T]) -> tuple[_T, int]:
    found: list[_T] = []
    macs = count_macs(lambda: found.append(work()))
    return found[0], macs


def _answer_all(baseline: FrozenBaseline, stream: Sequence[LatentTask], last: int) -> Answers:
    tasks = range(last + 1)
    return Answers(
        last,
        tuple(_answer(baseline, stream[index].test, index) for index in tasks),
        tuple(_answer(baseline, stream[index].validation, index) for index in tasks),
    )


def _answer(baseline: FrozenBaseline, split: LatentSplit, index: int) -> TaskAnswers:
    order = baseline.order
    widths = [baseline.widths[task] for task in order]
    return decide(baseline.scores(split.latents), order, widths, index)
