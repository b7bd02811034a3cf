"""What a lifelong learner is judged by: pure functions of accuracy matrices (paper, Sec. 6).

An accuracy matrix is (T, T) float: entry (i, j) is the accuracy on the test images of task j, as a
fraction of 1, after tasks 0 to i were learned. What was not measured (mostly j > i) is NaN.

References:
    [1] Lopez-Paz and Ranzato, Gradient Episodic Memory, NeurIPS 2017: backward, forward transfer.
    [2] Chaudhry et al., Riemannian Walk for Incremental Learning, ECCV 2018: forgetting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# Two-sided 95 % quantiles of Student's t with 1, 2, ... degrees of freedom; 1.96 from 30 on.
_T_95 = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
    2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045,
)  # fmt: skip


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


def forward_transfer(matrix: np.ndarray, untrained: Sequence[float]) -> float | None:
    """Mean gain on a task before it is learned, over an untrained network [1].

    Args:
        matrix: (T, T) with the entries just above the diagonal measured.
        untrained: (T,) accuracies of a network that learned nothing.

    Returns:
        The mean over all tasks but the first; None for a single task, or where those entries were
        not measured: a system without any class of a task cannot answer for it.
    """
    _check(matrix)
    n = len(matrix)
    before = np.array([matrix[j - 1, j] for j in range(1, n)])
    if n < 2 or np.isnan(before).any():
        return None
    return float(np.mean(before - np.asarray(untrained)[1:]))


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
