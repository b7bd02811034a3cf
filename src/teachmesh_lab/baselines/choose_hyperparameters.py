"""Grid search for hyper-parameters on validation images.

Every candidate learns the first tasks of the stream. After these tasks, the candidate with the best
mean validation accuracy is chosen. Grids list values from weak to strong regularisation, and among
equally good candidates the most strongly regularised one is chosen. Later tasks are not used,
because a lifelong learner has not seen them when it must choose. Test images are not used either.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from teachmesh.errors import DataError, UsageError
from teachmesh_lab.baselines.baseline import Grid, Hyper
from teachmesh_lab.baselines.stream_result import Choice

CHOICE_TASKS = 3
"""Number of tasks, from the start of the stream, used to tune hyper-parameters."""
_ROUNDING = 1e-9
"""Accuracies that differ by less are equal; means of equal accuracies may differ by rounding."""


@dataclass(frozen=True)
class Trial:
    """Result of one candidate.

    Attributes:
        accuracy: mean accuracy over tasks on validation images; NaN without validation images.
        macs: multiply-accumulates spent on learning and answering.
    """

    accuracy: float
    macs: int


def choose(grid: Grid, attempt: Callable[[Hyper], Trial], n_tasks: int) -> Choice:
    """Try every point of a grid and choose the best.

    Args:
        grid: candidate values of each hyper-parameter, from weak to strong regularisation.
        attempt: function that learns the first `n_tasks` tasks with given hyper-parameters.
        n_tasks: number of tasks that each attempt learns.

    Raises:
        DataError: there are no validation images.

    Examples:
        >>> found = choose({"x": (1.0, 2.0)}, lambda hyper: Trial(hyper["x"] / 2, 10), 1)
        >>> found.hyper, found.macs
        ({'x': 2.0}, 20)
    """
    candidates = points(grid)
    if len(candidates) == 1:
        return Choice(candidates[0])
    started_s = time.perf_counter()
    trials = [attempt(candidate) for candidate in candidates]
    if any(math.isnan(trial.accuracy) for trial in trials):
        raise DataError(
            f"expected validation images in the first {n_tasks} tasks to choose hyper-parameters "
            "by, found none; add some, or give the hyper-parameters"
        )
    highest = max(trial.accuracy for trial in trials)
    best = max(i for i, trial in enumerate(trials) if trial.accuracy >= highest - _ROUNDING)
    return Choice(
        candidates[best],
        tuple((c, trial.accuracy) for c, trial in zip(candidates, trials, strict=True)),
        n_tasks,
        sum(trial.macs for trial in trials),
        time.perf_counter() - started_s,
    )


def points(grid: Grid) -> list[dict[str, float]]:
    """Return all combinations of the values of a grid.

    Examples:
        >>> points({"a": (1.0, 2.0), "b": (3.0,)})
        [{'a': 1.0, 'b': 3.0}, {'a': 2.0, 'b': 3.0}]
        >>> points({})
        [{}]
    """
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def narrow(grid: Grid, given: Mapping[str, float], name: str) -> dict[str, tuple[float, ...]]:
    """Return the grid with some hyper-parameters set to given values.

    Raises:
        UsageError: the baseline does not have one of the given hyper-parameters.
    """
    unknown = sorted(set(given) - set(grid))
    if unknown:
        raise UsageError(
            f"expected hyper-parameters of {name!r} out of {', '.join(grid) or 'none'}, got "
            f"{unknown[0]!r}"
        )
    return {key: (float(given[key]),) if key in given else values for key, values in grid.items()}
