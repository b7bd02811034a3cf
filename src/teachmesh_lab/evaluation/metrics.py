"""The metrics of lifelong learning (paper, Sec. 6).

All functions are pure. An accuracy matrix is a (T, T) float array. Entry (i, j) is the accuracy on
the test images of task j after tasks 0 to i were learned, as a fraction of 1. Entries that were not
measured (mostly j > i) are NaN.

References:
    [1] Lopez-Paz and Ranzato, Gradient Episodic Memory, NeurIPS 2017: backward transfer.
    [2] Chaudhry et al., Riemannian Walk for Incremental Learning, ECCV 2018: forgetting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from teachmesh.errors import MissingExtraError

_ROUNDING = 1e-9
"""Differences of accuracies below this value are due to rounding."""


@dataclass(frozen=True)
class Line:
    """A least-squares line through (number of tasks, accuracy), as in Fig. 6.

    Attributes:
        slope: change of accuracy per task.
        intercept: value of the line at zero tasks.
        zero: number of tasks at which the line reaches zero; None if it does not fall. This
            extrapolation is pessimistic, because the true curve flattens.
    """

    slope: float
    intercept: float
    zero: float | None


def learned_mean(matrix: np.ndarray) -> np.ndarray:
    """Average the accuracy over all tasks learned so far (Fig. 8; Fig. 6 for the mapper).

    Args:
        matrix: (T, T) accuracies.

    Returns:
        (T,) array: entry i is the unweighted mean of row i over tasks 0 to i.

    Examples:
        >>> learned_mean(np.array([[0.9, np.nan], [0.5, 0.7]])).tolist()
        [0.9, 0.6]
    """
    _check(matrix)
    return np.array([matrix[i, : i + 1].mean() for i in range(len(matrix))])


def task_curve(matrix: np.ndarray, task: int = 0) -> np.ndarray:
    """Return the accuracy on one task, from learning it to the end (Fig. 4 for task 0).

    Args:
        matrix: (T, T) accuracies.
        task: position of the task in the stream.

    Returns:
        (T - task,) array of accuracies.
    """
    _check(matrix)
    return np.array(matrix[task:, task])


def normalised(matrix: np.ndarray) -> np.ndarray:
    """Divide accuracies by the accuracy just after the task was learned (Fig. 5).

    Returns:
        (T, T) ratios: 1 on the diagonal, NaN above it. Columns of tasks with no right answer at
        first are NaN, because their ratio is undefined.
    """
    _check(matrix)
    first = np.diag(matrix)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = np.where(first > 0, matrix / first, np.nan)
    ratios[np.triu_indices_from(ratios, k=1)] = np.nan
    return np.asarray(ratios)


def forgetting(matrix: np.ndarray) -> float | None:
    """Average the drop from the best accuracy of a task to its last accuracy [2].

    Returns:
        The mean over all tasks but the last, negative if tasks improved; None for a single task.
    """
    _check(matrix)
    n = len(matrix)
    if n < 2:
        return None
    drops = [matrix[j : n - 1, j].max() - matrix[n - 1, j] for j in range(n - 1)]
    return float(np.mean(drops))


def backward_transfer(matrix: np.ndarray) -> float | None:
    """Average the change in a task's accuracy from just after learning it to the end [1].

    Returns:
        The mean over all tasks except the last; None for a single task.
    """
    _check(matrix)
    n = len(matrix)
    if n < 2:
        return None
    return float(np.mean(matrix[n - 1, : n - 1] - np.diag(matrix)[: n - 1]))


def regression_line(values: np.ndarray) -> Line:
    """Fit a least-squares line through (1, values[0]), (2, values[1]), ... (Fig. 6).

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
    """Return the mean over seeds and the half width of its 95 % confidence interval (Student's t).

    Returns:
        (mean, half width); the half width is None for a single value, and for equal values, which
        show that the seed changes nothing.

    Raises:
        MissingExtraError: scipy is not installed.

    Examples:
        >>> mean_and_half_width([0.5]), mean_and_half_width([0.5, 0.5, 0.5])
        ((0.5, None), (0.5, None))
    """
    array = np.asarray(values, dtype=np.float64)
    deviation = seed_deviation(values)
    if not deviation:
        return float(array.mean()), None
    n = len(array)
    return float(array.mean()), t_quantile(n - 1) * deviation / float(np.sqrt(n))


def seed_deviation(values: Sequence[float]) -> float | None:
    """Return the standard deviation over seeds (divisor n - 1); None for a single value.

    Accuracies that differ only by rounding count as equal, so that their deviation is 0.
    """
    if len(values) < 2:
        return None
    if np.ptp(values) < _ROUNDING:
        return 0.0
    return float(np.std(values, ddof=1))


def t_quantile(freedom: int) -> float:
    """Return the two-sided 95 % quantile of Student's t.

    Args:
        freedom: degrees of freedom, the number of values minus 1.

    Raises:
        MissingExtraError: scipy is not installed.

    Examples:
        >>> round(t_quantile(1), 3), round(t_quantile(40), 3)
        (12.706, 2.021)
    """
    try:
        from scipy.special import stdtrit
    except ImportError as error:
        raise MissingExtraError("scipy", "bench") from error
    return float(stdtrit(freedom, 0.975))


def _check(matrix: np.ndarray) -> None:
    n = len(matrix)
    if matrix.ndim != 2 or matrix.shape != (n, n) or n == 0:
        raise ValueError(f"expected an accuracy matrix (T, T), got {matrix.shape}")
    if np.isnan(matrix[np.tril_indices(n)]).any():
        raise ValueError("expected every learned task to be measured after every task")
