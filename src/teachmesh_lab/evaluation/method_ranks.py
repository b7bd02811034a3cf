"""Ranks of methods over tasks: Friedman's test and Nemenyi's critical difference.

References:
    [1] Demsar, Statistical Comparisons of Classifiers over Multiple Data Sets, JMLR 2006.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from teachmesh.errors import MissingExtraError

MIN_METHODS = 3
"""Smallest number of methods for Friedman's test."""


@dataclass(frozen=True)
class Ranks:
    """Average ranks of M methods over T tasks; the best method of a task has rank 1.

    Attributes:
        average: M average ranks.
        critical: smallest difference of two average ranks that is significant at 5 %.
        p_value: probability of such ranks if all methods are equally good (Friedman); None for
            fewer than three methods.
    """

    average: tuple[float, ...]
    critical: float
    p_value: float | None


def rank_methods(accuracies: np.ndarray) -> Ranks:
    """Rank M methods on T tasks; equal accuracies share the mean of their ranks.

    Args:
        accuracies: (T, M) accuracies, T and M at least 2.

    Raises:
        MissingExtraError: scipy is not installed.

    Examples:
        >>> rank_methods(np.array([[0.9, 0.8], [0.7, 0.7], [0.8, 0.5]])).average
        (1.1666666666666667, 1.8333333333333333)
    """
    try:
        from scipy import stats
    except ImportError as error:
        raise MissingExtraError("scipy", "bench") from error
    n_tasks, n_methods = accuracies.shape
    ranks = stats.rankdata(-accuracies, axis=1)
    return Ranks(
        tuple(float(rank) for rank in ranks.mean(axis=0)),
        critical_difference(n_methods, n_tasks),
        _friedman(ranks),
    )


def critical_difference(n_methods: int, n_tasks: int) -> float:
    """Return Nemenyi's critical difference of average ranks at 5 % [1].

    Examples:
        >>> round(critical_difference(4, 14), 2)
        1.25
    """
    from scipy import stats

    quantile = stats.studentized_range.ppf(0.95, n_methods, np.inf) / np.sqrt(2)
    return float(quantile * np.sqrt(n_methods * (n_methods + 1) / (6 * n_tasks)))


def _friedman(ranks: np.ndarray) -> float | None:
    """Return the p value of Friedman's test; 1 if all methods have equal ranks on every task."""
    from scipy import stats

    if ranks.shape[1] < MIN_METHODS:
        return None
    if np.all(ranks == ranks[:, :1]):
        return 1.0
    return float(stats.friedmanchisquare(*ranks.T).pvalue)
