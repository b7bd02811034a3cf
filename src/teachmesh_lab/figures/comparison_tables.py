"""Tables that compare methods: paired differences on the same images, and ranks over tasks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from teachmesh_lab.bench.cell import Result
from teachmesh_lab.evaluation.method_ranks import Ranks, rank_methods
from teachmesh_lab.evaluation.metrics import seed_deviation
from teachmesh_lab.evaluation.sampling_error import DRAWS, paired_difference
from teachmesh_lab.figures.figure_scene import Scene, compared_told
from teachmesh_lab.figures.table_files import Table

_SMALLEST = 0.0005
"""Smallest error that is not rounded to 0.0 points."""


def compared_methods(scene: Scene, measure: str) -> list[str]:
    """Return the methods to compare by a measure, the best first.

    Args:
        scene: results of one stream and backbone.
        measure: "oracle" or "accuracy"; methods that are compared with an oracle have no place in a
            comparison without one.
    """
    means = {
        method: float(np.mean(values))
        for method in scene.methods()
        if (values := scene.last(method, measure)) is not None
        and (measure == "oracle" or not compared_told(method))
    }
    return sorted(means, key=lambda method: -means[method])


def difference_table(scene: Scene, measure: str) -> Table | None:
    """Compare the best method with every other one, on the same images and seeds.

    Returns:
        The table; None for a single method, or if the cells do not keep the answers to each image.
    """
    best, *others = [*compared_methods(scene, measure), ""][:-1] or [""]
    rows = []
    for other in others:
        pairs = _same_seeds(scene.alone[best], scene.alone[other])
        strata = [[r.right(measure) for r in side] for side in zip(*pairs, strict=True)]
        found = paired_difference(*strata) if strata else None
        if found is None:
            continue
        per_seed = [one.last_mean(measure) - two.last_mean(measure) for one, two in pairs]
        rows.append(
            [
                f"{best} - {other}",
                _signed(found.mean),
                f"{_signed(found.low)} to {_signed(found.high)}",
                "yes" if found.low > 0 or found.high < 0 else "no",
                plus_minus(seed_deviation(per_seed)),
                str(len(pairs)),
                f"{sum(len(right) for right in strata[0][0].values()):,}",
            ]
        )
    header = ["difference", "points", "95 % interval (images)", "beyond 0", "± seeds", "seeds",
              "test images"]  # fmt: skip
    return (header, rows) if rows else None


DIFFERENCES = (
    "Best method minus every other one, in points of accuracy. Interval: paired bootstrap, "
    f"{DRAWS:,} samples of the test images of each task, the same images for both methods. "
    "± seeds: standard deviation of the difference over seeds."
)


def rank_table(scene: Scene, measure: str) -> tuple[Table, Ranks, int] | None:
    """Rank the methods on every task.

    Returns:
        The table, the ranks and the number of tasks; None for fewer than two methods or tasks.
    """
    methods = compared_methods(scene, measure)
    n_tasks = len(scene.tasks())
    if min(len(methods), n_tasks) < 2:
        return None
    columns = [scene.last(method, measure) for method in methods]
    ranks = rank_methods(np.round(np.array(columns, dtype=np.float64).T, 9))
    best = min(ranks.average)
    order = np.argsort(ranks.average, kind="stable")
    rows = [
        [
            methods[i],
            f"{ranks.average[i]:.2f}",
            "no" if ranks.average[i] - best < ranks.critical else "yes",
        ]
        for i in order
    ]
    return (["method", "average rank", "worse than the best"], rows), ranks, n_tasks


def rank_text(ranks: Ranks, n_tasks: int) -> str:
    """Return the caption of a table of ranks."""
    text = (
        f"Ranks of the mean accuracy over seeds on each of {n_tasks} tasks; 1 is best, equal "
        f"accuracies share a rank. Two methods differ at 5 % if their ranks differ by "
        f"{ranks.critical:.2f} or more (critical difference, Nemenyi)."
    )
    if ranks.p_value is None:
        return text
    return f"{text} Friedman's test of equal methods: p = {ranks.p_value:.2g}."


def plus_minus(value: float | None) -> str:
    """Return a deviation over seeds in points; a text for 0, and for a single seed."""
    if value is None:
        return "n = 1"
    return points(value) if value else "same for all seeds"


def points(value: float) -> str:
    """Return an error in points of accuracy; a small one is never shown as 0.0.

    Examples:
        >>> points(0.012), points(0.0002), points(0.0)
        ('± 1.2', '± < 0.05', '± 0')
    """
    if not value:
        return "± 0"
    return f"± {100 * value:.1f}" if value >= _SMALLEST else f"± < {100 * _SMALLEST:g}"


def _same_seeds(one: Sequence[Result], other: Sequence[Result]) -> list[tuple[Result, Result]]:
    by_seed = {result.cell.seed: result for result in other}
    return [(result, by_seed[result.cell.seed]) for result in one if result.cell.seed in by_seed]


def _signed(value: float) -> str:
    return f"{100 * value:+.1f}"
