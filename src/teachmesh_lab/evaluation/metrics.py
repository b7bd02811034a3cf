"""Right answers counted, and the figures of merit that follow from them (paper, Sec. 6).

Pure functions. An accuracy matrix is (T, T) float: entry (i, j) is the accuracy on the test images
of task j, as a fraction of 1, after tasks 0 to i were learned. Entries that were not measured
(mostly j > i) are NaN.

References:
    [1] Lopez-Paz and Ranzato, Gradient Episodic Memory, NeurIPS 2017: backward transfer.
    [2] Chaudhry et al., Riemannian Walk for Incremental Learning, ECCV 2018: forgetting.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from teachmesh.mapping.decisions import Decisions

Given = Callable[[np.ndarray], "Decisions"]
"""(N,) tasks -> decisions after a second pass of each image with its task's biases."""

# Two-sided 95 % quantiles of Student's t with 1, 2, ... degrees of freedom; 1.96 from 30 on.
_T_95 = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
    2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045,
)  # fmt: skip


@dataclass(frozen=True)
class Accuracies:
    """Shares of right answers on the test images of one task, fractions of 1.

    Attributes:
        mapper: right task, found by the task mapper.
        oracle: right class when the task is given.
        final: right task and class the paper's way: the mapper, then that task's own decision.
        direct: right task and class, best of all classes of all tasks; None where the mapper has no
            scores of classes.
        accuracy: right task and class as the agent answers: `direct` or `final`.
    """

    mapper: float
    oracle: float
    final: float
    direct: float | None
    accuracy: float


@dataclass(frozen=True, eq=False)
class Answers:
    """Answers for N test images, in every way that is measured. Tasks are positions.

    Attributes:
        mapped: (N,) task that the mapper chooses.
        final: (N,) class that the decision of the mapped task chooses.
        oracle: (N,) class when the right task is given.
        task: (N,) task that the agent answers with.
        label: (N,) class that the agent answers with.
        direct: (N, 2) task and class of the best of all class scores; None where there are none.
    """

    mapped: np.ndarray
    final: np.ndarray
    oracle: np.ndarray
    task: np.ndarray
    label: np.ndarray
    direct: np.ndarray | None

    def renumbered(self, positions: np.ndarray) -> Answers:
        """Replace the position of every task by `positions` of it."""
        direct = self.direct
        if direct is not None:
            direct = np.stack([positions[direct[:, 0]], direct[:, 1]], axis=1)
        return replace(
            self, mapped=positions[self.mapped], task=positions[self.task], direct=direct
        )

    def score(self, task: int, labels: np.ndarray, rows: slice = slice(None)) -> Accuracies:
        """Count the right answers for the images of one task.

        Args:
            task: its position.
            labels: (n,) true classes of these images.
            rows: the images of the task; all by default.
        """
        mapped, answered = self.mapped[rows] == task, self.task[rows] == task
        direct = None
        if self.direct is not None:
            right = (self.direct[rows, 0] == task) & (self.direct[rows, 1] == labels)
            direct = float(np.mean(right))
        return Accuracies(
            mapper=float(np.mean(mapped)),
            oracle=float(np.mean(self.oracle[rows] == labels)),
            final=float(np.mean(mapped & (self.final[rows] == labels))),
            direct=direct,
            accuracy=float(np.mean(answered & (self.label[rows] == labels))),
        )


def answer(decisions: Decisions, tasks: np.ndarray, given: Given | None = None) -> Answers:
    """Answer in every way that is measured.

    Each way takes its own second pass: the oracle's with the biases of the right task, the others
    with those of the task that they chose.

    Args:
        decisions: about N images, after the first pass.
        tasks: (N,) position of the right task of each image among the skills.
        given: runs second passes; None for skills without biases.
    """
    refined = given or (lambda _: decisions)
    mapped, final = refined(decisions.mapped()).final()
    answered, label = refined(decisions.answer()[0]).answer()
    told, oracle = refined(tasks), np.empty(len(tasks), dtype=np.int64)
    for task in np.unique(tasks):
        oracle[tasks == task] = told.class_given(task)[tasks == task]
    direct = None
    if decisions.direct is not None:
        direct = np.stack(refined(decisions.best()[0]).best(), axis=1)
    return Answers(mapped, final, oracle, answered, label, direct)


@dataclass(frozen=True)
class Line:
    """A least-squares line through (number of tasks, accuracy), as in Fig. 6.

    Attributes:
        slope: accuracy per task.
        intercept: accuracy at no task.
        zero: number of tasks at which the line meets zero; None if it does not fall. An
            extrapolation of something that saturates: the true curve stays above it.
    """

    slope: float
    intercept: float
    zero: float | None


def learned_mean(matrix: np.ndarray) -> np.ndarray:
    """Mean over the tasks learned so far, after each task (Fig. 8; Fig. 6 for mapper accuracy).

    Args:
        matrix: (T, T) accuracies.

    Returns:
        (T,) unweighted means of row i over tasks 0 to i.

    Examples:
        >>> learned_mean(np.array([[0.9, np.nan], [0.5, 0.7]])).tolist()
        [0.9, 0.6]
    """
    _check(matrix)
    return np.array([matrix[i, : i + 1].mean() for i in range(len(matrix))])


def task_curve(matrix: np.ndarray, task: int = 0) -> np.ndarray:
    """Accuracy on one task, from when it was learned to the end (Fig. 4 for task 0).

    Args:
        matrix: (T, T) accuracies.
        task: its position in the stream.

    Returns:
        (T - task,) accuracies.
    """
    _check(matrix)
    return np.array(matrix[task:, task])


def normalised(matrix: np.ndarray) -> np.ndarray:
    """Accuracy divided by that just after the task was learned (Fig. 5).

    Returns:
        (T, T), 1 on the diagonal, NaN above it, and NaN in the columns of tasks that were never
        answered rightly, for which the ratio says nothing.
    """
    _check(matrix)
    first = np.diag(matrix)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = np.where(first > 0, matrix / first, np.nan)
    ratios[np.triu_indices_from(ratios, k=1)] = np.nan
    return np.asarray(ratios)


def forgetting(matrix: np.ndarray) -> float | None:
    """Mean drop from the best ever accuracy of a task to its last one [2].

    Returns:
        The mean over all tasks but the last; None for a single task. Negative if tasks improved.
    """
    _check(matrix)
    n = len(matrix)
    if n < 2:
        return None
    drops = [matrix[j : n - 1, j].max() - matrix[n - 1, j] for j in range(n - 1)]
    return float(np.mean(drops))


def backward_transfer(matrix: np.ndarray) -> float | None:
    """Mean change of a task's accuracy from just learned to the end [1].

    Returns:
        The mean over all tasks but the last; None for a single task.
    """
    _check(matrix)
    n = len(matrix)
    if n < 2:
        return None
    return float(np.mean(matrix[n - 1, : n - 1] - np.diag(matrix)[: n - 1]))


def regression_line(values: np.ndarray) -> Line:
    """Least-squares line through (1, values[0]), (2, values[1]), ... (Fig. 6).

    Examples:
        >>> regression_line(np.array([0.9, 0.8, 0.7]))
        Line(slope=-0.1, intercept=1.0, zero=10.0)
    """
    tasks = np.arange(1, len(values) + 1, dtype=np.float64)
    centred = tasks - tasks.mean()
    spread = float(centred @ centred)
    slope = float(centred @ values) / spread if spread else 0.0
    intercept = float(np.mean(values)) - slope * float(tasks.mean())
    zero = -intercept / slope if slope < 0 else None
    return Line(
        round(slope, 12), round(intercept, 12), None if zero is None else float(round(zero, 6))
    )


def mean_and_half_width(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean over seeds and half the width of its 95 % confidence interval (Student's t).

    Returns:
        The half width is None for a single value.

    Examples:
        >>> mean_and_half_width([0.5])
        (0.5, None)
    """
    array = np.asarray(values, dtype=np.float64)
    n = len(array)
    if n < 2:
        return float(array.mean()), None
    quantile = _T_95[n - 2] if n - 2 < len(_T_95) else 1.96
    return float(array.mean()), float(quantile * array.std(ddof=1) / np.sqrt(n))


def _check(matrix: np.ndarray) -> None:
    n = len(matrix)
    if matrix.ndim != 2 or matrix.shape != (n, n) or n == 0:
        raise ValueError(f"expected an accuracy matrix (T, T), got {matrix.shape}")
    if np.isnan(matrix[np.tril_indices(n)]).any():
        raise ValueError("expected every learned task to be measured after every task")
