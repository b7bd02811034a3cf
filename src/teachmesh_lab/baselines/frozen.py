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
from typing import ClassVar, Literal, TypeVar

import numpy as np

from teachmesh.data.loader import Progress
from teachmesh.model.macs import MacCounter
from teachmesh_lab.baselines.baseline import Grid, Hyper
from teachmesh_lab.baselines.choose_hyperparameters import Trial
from teachmesh_lab.baselines.image_stream import LatentSplit, LatentTask
from teachmesh_lab.baselines.stream_result import (
    Accuracy,
    Answers,
    StreamCosts,
    TaskAnswers,
    size_by_part,
)
from teachmesh_lab.baselines.training_loop import AfterTask, Trace, decide, enter

NUMBER_BYTES = 4
"""Bytes of a number that is sent: float32, or int32 for counts."""
TINY = 1e-12
"""Term that keeps systems solvable if latents have no variance."""
_T = TypeVar("_T")


class FrozenBaseline(ABC):
    """Statistics of latents, and a classifier derived from them.

    Attributes:
        source: publication of the method.
        grid: candidate values of each hyper-parameter, from weak to strong regularisation; a single
            value is not tuned.
        late: hyper-parameters that learning does not use, so that `hyper` may be replaced between
            learning and `consolidate`.
        widths: number of classes of each learned task, by the task's position in the stream.
    """

    source: ClassVar[str]
    grid: ClassVar[Grid] = {}
    late: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, dim: int, hyper: Hyper, seed: int) -> None:
        self.dim, self.hyper, self.seed = dim, dict(hyper), seed
        self.widths: dict[int, int] = {}

    @property
    def order(self) -> list[int]:
        """Positions of the learned tasks in ascending order, whatever their order of arrival."""
        return sorted(self.widths)

    def learn(self, index: int, latents: np.ndarray, labels: np.ndarray, n_classes: int) -> int:
        """Learn one task.

        Args:
            index: position of the task in the stream.
            latents: (N, D) float32 latents.
            labels: (N,) int64 class indices; every class occurs.
            n_classes: number of classes, C.

        Returns:
            Number of multiply-accumulates in factorisations, which torch's counter omits.
        """
        self.widths[index] = n_classes
        return self._learn(index, latents, labels)

    @abstractmethod
    def _learn(self, index: int, latents: np.ndarray, labels: np.ndarray) -> int: ...

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


class IndependentBaseline(FrozenBaseline):
    """A method whose scores of a task depend on that task alone.

    Other tasks can win an image, but they change no score. Therefore a run computes the scores of
    an image and a task only once.
    """

    def consolidate(self) -> int:
        """Do nothing: every task is ready when it is learned."""
        return 0

    @abstractmethod
    def task_scores(self, latents: np.ndarray, index: int) -> np.ndarray:
        """Return (N, C) float64 scores of the classes of one learned task."""

    def scores(self, latents: np.ndarray) -> np.ndarray:
        """Return the scores of the classes of all tasks, in `order` of tasks."""
        return np.hstack([self.task_scores(latents, index) for index in self.order])


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
    consolidate_macs = 0
    test_s = 0.0
    answers: Answers | None = None
    scorer = _Scorer(baseline)
    for last, task in enumerate(stream):
        started_s = time.perf_counter()
        learn_macs.append(_learn(baseline, last, task))
        consolidate_macs = _consolidate(baseline)
        learn_s.append(time.perf_counter() - started_s)
        started_s = time.perf_counter()
        answers = found = _answer_all(scorer, stream, last)
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
        scorer.macs,
        tuple(learn_s),
        test_s,
        size_by_part(baseline.state()),
        tuple(baseline.task_bytes(index) for index in range(n_tasks)),
    )
    return Trace(test, validation, answers, costs)


def learn_latents(baseline: FrozenBaseline, stream: Sequence[LatentTask]) -> int:
    """Learn all tasks without answering; return the number of multiply-accumulates."""
    return sum(_learn(baseline, index, task) for index, task in enumerate(stream))


def try_latents(
    baseline: FrozenBaseline,
    stream: Sequence[LatentTask],
    part: Literal["validation", "test"] = "validation",
) -> Trial:
    """Classify the images of all tasks once, without knowing their tasks.

    Args:
        baseline: baseline that has learned all tasks.
        stream: the tasks.
        part: images to classify.
    """
    macs, scorer = _consolidate(baseline), _Scorer(baseline)
    accuracy = Accuracy.empty(len(stream))
    for index, task in enumerate(stream):
        split = task.test if part == "test" else task.validation
        accuracy.score(len(stream) - 1, index, scorer.answer(split, index), split.labels)
    return Trial(accuracy.last_mean("free"), macs + scorer.macs)


def factor_macs(dim: int) -> int:
    """Return the multiply-accumulates needed for a Cholesky factorisation of a (D, D) matrix."""
    return dim**3 // 6


def _learn(baseline: FrozenBaseline, index: int, task: LatentTask) -> int:
    train = task.train
    learn = partial(baseline.learn, index, train.latents, train.labels, len(task.classes))
    return sum(_counted(learn))


def _consolidate(baseline: FrozenBaseline) -> int:
    return sum(_counted(baseline.consolidate))


def _counted(work: Callable[[], _T]) -> tuple[_T, int]:
    with MacCounter() as counter:
        found = work()
    return found, int(counter.macs)


class _Scorer:
    """Classifies images, and remembers scores that later tasks cannot change.

    Attributes:
        macs: multiply-accumulates of all answers. Remembered scores are charged every time.
    """

    def __init__(self, baseline: FrozenBaseline) -> None:
        self.baseline, self.macs = baseline, 0
        self._known: dict[tuple[int, int], tuple[np.ndarray, int]] = {}

    def answer(self, split: LatentSplit, index: int) -> TaskAnswers:
        """Classify the images of one split of a task."""
        order = self.baseline.order
        widths = [self.baseline.widths[task] for task in order]
        if isinstance(self.baseline, IndependentBaseline):
            parts = [self._task_scores(self.baseline, split, task) for task in order]
            scores = np.hstack(parts)
        else:
            scores, macs = _counted(partial(self.baseline.scores, split.latents))
            self.macs += macs
        return decide(scores, order, widths, index)

    def _task_scores(
        self, baseline: IndependentBaseline, split: LatentSplit, task: int
    ) -> np.ndarray:
        key = id(split), task
        if key not in self._known:
            self._known[key] = _counted(partial(baseline.task_scores, split.latents, task))
        scores, macs = self._known[key]
        self.macs += macs
        return scores


def _answer_all(scorer: _Scorer, stream: Sequence[LatentTask], last: int) -> Answers:
    tasks = range(last + 1)
    return Answers(
        last,
        tuple(scorer.answer(stream[index].test, index) for index in tasks),
        tuple(scorer.answer(stream[index].validation, index) for index in tasks),
    )
