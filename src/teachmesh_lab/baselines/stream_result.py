"""Results of a run over a stream: answers, accuracy matrices, costs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class TaskAnswers:
    """Answers for the N images of one split of one task.

    Attributes:
        oracle: (N,) int64 predicted classes, given the task.
        free: (N, 2) int64 predicted tasks and classes without an oracle, chosen among all tasks
            learned so far; None if the method cannot answer without an oracle.
    """

    oracle: np.ndarray
    free: np.ndarray | None


@dataclass(frozen=True, eq=False)
class Answers:
    """Answers for all tasks learned so far, recorded after each newly learned task.

    Attributes:
        after: position in the stream of the task just learned.
        test: answers for the test images of tasks 0 to `after`.
        validation: answers for the validation images of the same tasks.
    """

    after: int
    test: tuple[TaskAnswers, ...]
    validation: tuple[TaskAnswers, ...]


@dataclass(frozen=True, eq=False)
class Accuracy:
    """Accuracy matrices of one split.

    Entry (i, j) is the accuracy on task j after tasks 0 to i were learned. It is NaN if task j was
    not yet learned, or if the split has no image.

    Attributes:
        oracle: (T, T) share of images with the right class, given the task.
        free: (T, T) share of images with the right task and class without an oracle; all NaN if the
            method needs an oracle.
        mapper: (T, T) share of images with the right task; all NaN if the method needs an oracle.
    """

    oracle: np.ndarray
    free: np.ndarray
    mapper: np.ndarray

    @classmethod
    def empty(cls, n_tasks: int) -> Accuracy:
        """Return matrices filled with NaN."""
        return cls(*(np.full((n_tasks, n_tasks), math.nan) for _ in range(3)))

    def score(self, after: int, index: int, answers: TaskAnswers, labels: np.ndarray) -> None:
        """Score the answers for one task and store the accuracies."""
        if not len(labels):
            return
        self.oracle[after, index] = np.mean(answers.oracle == labels)
        if answers.free is not None:
            right_task = answers.free[:, 0] == index
            self.mapper[after, index] = np.mean(right_task)
            self.free[after, index] = np.mean(right_task & (answers.free[:, 1] == labels))

    def last_mean(self, kind: str) -> float:
        """Return the unweighted mean accuracy over tasks, measured after the last task.

        Tasks without an image in this split are left out; the result is NaN if none is left.

        Args:
            kind: "oracle", "free" or "mapper".
        """
        row = getattr(self, kind)[-1]
        known = row[~np.isnan(row)]
        return float(known.mean()) if len(known) else math.nan


@dataclass(frozen=True)
class Choice:
    """Chosen hyper-parameters, and how they were chosen.

    Attributes:
        hyper: the chosen values.
        tried: candidates with their mean validation accuracy; empty for a single candidate.
        tasks: number of tasks, from the start of the stream, that each trial learned.
        macs: multiply-accumulates of all trials.
        wall_s: wall seconds of all trials.
    """

    hyper: Mapping[str, float]
    tried: tuple[tuple[Mapping[str, float], float], ...] = ()
    tasks: int = 0
    macs: int = 0
    wall_s: float = 0.0


@dataclass(frozen=True)
class StreamCosts:
    """Costs of a run, without the tuning of hyper-parameters.

    For frozen baselines, backbone passes are not included.

    Attributes:
        forward_macs: (T,) multiply-accumulates of forward passes while learning each task.
        backward_macs: (T,) multiply-accumulates of backward passes while learning each task.
        consolidate_macs: multiply-accumulates of the factorisation that every agent computes once
            to answer for all tasks.
        test_macs: multiply-accumulates of all answers, including answers for validation images.
        learn_s: (T,) wall seconds for learning each task.
        test_s: wall seconds for answering.
        hand_over_bytes: size of each part of the method's state after the last task. A second agent
            needs this state to answer for all tasks and to continue learning.
        task_bytes: (T,) bytes that every other agent receives for each task; None for methods whose
            tasks cannot be learned in parallel.
    """

    forward_macs: tuple[int, ...]
    backward_macs: tuple[int, ...]
    consolidate_macs: int
    test_macs: int
    learn_s: tuple[float, ...]
    test_s: float
    hand_over_bytes: Mapping[str, int]
    task_bytes: tuple[int, ...] | None

    @property
    def learn_macs(self) -> tuple[int, ...]:
        """(T,) multiply-accumulates of forward and backward passes."""
        pairs = zip(self.forward_macs, self.backward_macs, strict=True)
        return tuple(forward + backward for forward, backward in pairs)

    @property
    def total_macs(self) -> int:
        """Multiply-accumulates of learning, consolidating and answering."""
        return sum(self.learn_macs) + self.consolidate_macs + self.test_macs

    @property
    def total_bytes(self) -> int:
        """Sum of `hand_over_bytes`."""
        return sum(self.hand_over_bytes.values())


@dataclass(frozen=True, eq=False)
class StreamResult:
    """Result of a baseline's run over a stream.

    Attributes:
        name: name of the baseline.
        tasks: names of the T tasks, in order.
        seed: seed for all random numbers.
        test: accuracy on test images.
        validation: accuracy on validation images.
        costs: costs of the run.
        choice: the hyper-parameters, and how they were chosen.
        settings: epochs, batch size, learning rate and image size; empty for frozen baselines.
        answers: answers after the last task.
    """

    name: str
    tasks: tuple[str, ...]
    seed: int
    test: Accuracy
    validation: Accuracy
    costs: StreamCosts
    choice: Choice
    answers: Answers
    settings: Mapping[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return everything except the answers as JSON values; NaN becomes None.

        Runs with the same seed differ only in the keys `learn_s`, `test_s` and `wall_s`.
        """
        costs = {key: _plain(value) for key, value in vars(self.costs).items()}
        return {
            "name": self.name,
            "tasks": list(self.tasks),
            "seed": self.seed,
            "test": _matrices(self.test),
            "validation": _matrices(self.validation),
            "costs": {**costs, "total_bytes": self.costs.total_bytes},
            "choice": {key: _plain(value) for key, value in vars(self.choice).items()},
            "settings": dict(self.settings),
        }


def size_by_part(state: Mapping[str, np.ndarray]) -> dict[str, int]:
    """Sum the payload bytes of arrays by the first part of their names.

    Examples:
        >>> size_by_part({"heads.0": np.zeros(2, np.float32), "heads.1": np.zeros(3, np.float32)})
        {'heads': 20}
    """
    sizes: dict[str, int] = {}
    for name, array in state.items():
        part = name.split(".")[0]
        sizes[part] = sizes.get(part, 0) + int(array.nbytes)
    return sizes


def _matrices(accuracy: Accuracy) -> dict[str, list[list[float | None]]]:
    return {
        name: [[None if math.isnan(x) else x for x in row] for row in matrix.tolist()]
        for name, matrix in vars(accuracy).items()
    }


def _plain(value: object) -> object:
    """Convert tuples to lists and mappings to dicts."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(item) for item in value]
    return value
