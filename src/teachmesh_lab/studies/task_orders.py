"""Study of task orders: how much the final accuracy of a method depends on the order of tasks.

Sums and sets of statistics do not depend on the order, except for rounding. The order decides only
which tasks choose the constants of a closed form. Two rules are compared:

- first: the validation images of the first three tasks, as in the bench;
- last: those of the last task alone. RanPAC and LayUP choose their ridge again on each task, so the
  last choice counts.

Random orders show the usual spread. The worst order is searched by swaps from random starts.
`moments` has no constants to choose, so the bits of its scores are compared instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from teachmesh.mapping.moments import MomentsMapper
from teachmesh_lab.baselines.baseline_registry import BASELINES
from teachmesh_lab.baselines.choose_hyperparameters import CHOICE_TASKS, points
from teachmesh_lab.baselines.closed_forms import MULTI, choose_frozen, final_accuracy
from teachmesh_lab.baselines.image_stream import LatentSplit, LatentTask
from teachmesh_lab.studies.reuse_tasks import ReusePlan, StudyTask
from teachmesh_lab.studies.study_cells import (
    Study,
    StudyCell,
    StudyResult,
    Values,
    markdown,
    select,
    select_names,
)

RULES = {"first": CHOICE_TASKS, "last": 1}
"""Rule -> number of tasks that choose the constants."""
STARTS = 3
SWAPS = 12
"""Number of swaps that are tried from each start of the search."""
OURS = "moments"
Deciders = frozenset[int]
"""Positions of the tasks that choose the constants."""


@dataclass(frozen=True)
class OrderSpread:
    """Final accuracies over orders of tasks.

    Attributes:
        random: accuracy of each random order.
        worst: lowest accuracy that was found.
        deciders: the tasks that chose the constants in the worst order.
        tried: number of different sets of deciding tasks that were tried.
    """

    random: tuple[float, ...]
    worst: float
    deciders: Deciders
    tried: int


def search_orders(
    n_tasks: int, n_deciders: int, accuracy: Callable[[Deciders], float], orders: int
) -> OrderSpread:
    """Draw random orders, and search for the worst one by swaps of deciding tasks.

    Args:
        n_tasks: number of tasks.
        n_deciders: number of tasks that choose the constants.
        accuracy: function from the deciding tasks to the final accuracy.
        orders: number of random orders; the search starts from the worst of them.
    """
    random, known = np.random.default_rng(0), cache(accuracy)
    drawn = [_draw(random, n_tasks, n_deciders) for _ in range(orders)]
    accuracies = tuple(known(deciders) for deciders in drawn)
    found = set(drawn)
    for start in sorted(set(drawn), key=lambda deciders: (known(deciders), *sorted(deciders)))[
        :STARTS
    ]:
        deciders = start
        for _ in range(SWAPS):
            swapped = _swap(random, n_tasks, deciders)
            found.add(swapped)
            if known(swapped) <= known(deciders):
                deciders = swapped
    worst = min(sorted(found, key=sorted), key=known)
    return OrderSpread(accuracies, known(worst), worst, len(found))


def _draw(random: np.random.Generator, n_tasks: int, n_deciders: int) -> Deciders:
    return frozenset(random.permutation(n_tasks)[:n_deciders].tolist())


def _swap(random: np.random.Generator, n_tasks: int, deciders: Deciders) -> Deciders:
    """Replace one deciding task by another task; return the same set if there is no other."""
    others = sorted(set(range(n_tasks)) - deciders)
    if not others:
        return deciders
    out = sorted(deciders)[random.integers(len(deciders))]
    return deciders - {out} | {others[random.integers(len(others))]}


def tuned_methods() -> list[str]:
    """Return the closed forms that choose a constant."""
    return [
        name
        for name, info in BASELINES.items()
        if info.kind == "frozen" and len(points(info.grid)) > 1
    ]


def orders(plan: ReusePlan, methods: Sequence[str] | None = None) -> Study:
    """Return the study of task orders, one cell per method and rule.

    Args:
        plan: tasks, and as `seeds` the number of random orders.
        methods: closed forms to measure, and `moments`; by default all that choose a constant.

    Raises:
        UsageError: a method chooses no constant.
    """
    names, tasks = tuple(plan.tasks), list(plan.tasks.values())
    cells = [
        plan.inputs.cell("orders", (name, rule), names, method=name, rule=rule, orders=plan.seeds)
        for name in select_names(methods, (OURS, *tuned_methods()), "--methods")
        for rule in (RULES if name != OURS else ("bits",))
    ]

    def measure(cell: StudyCell) -> Values:
        method, count = cell.arguments["method"], cell.arguments["orders"]
        if method == OURS:
            return {"orders": count, "changed": changed_scores(tasks, count)}
        return measure_orders(method, cell.arguments["rule"], latent_stream(method, tasks), count)

    return Study(cells, measure)


def measure_orders(method: str, rule: str, stream: Sequence[LatentTask], orders: int) -> Values:
    """Measure the final accuracy of a closed form over orders of tasks.

    Args:
        method: name of the closed form.
        rule: "first" or "last".
        stream: tasks with the latents that the method reads.
        orders: number of random orders.
    """
    final = cache(lambda values: final_accuracy(method, stream, dict(values)))

    def accuracy(deciders: Deciders) -> float:
        choice = choose_frozen(method, [stream[index] for index in sorted(deciders)])
        return float(final(tuple(choice.hyper.items())))

    n_deciders = min(RULES[rule], len(stream))
    spread = search_orders(len(stream), n_deciders, accuracy, orders)
    return {
        "random": list(spread.random),
        "worst": spread.worst,
        "deciders": [stream[index].name for index in sorted(spread.deciders)],
        "tried": spread.tried,
    }


def changed_scores(tasks: Sequence[StudyTask], orders: int) -> int:
    """Return the number of scores of `moments` that change a bit if tasks arrive in other orders.

    Args:
        tasks: tasks of which the test images are scored.
        orders: number of random orders, compared with the given one.
    """
    random = np.random.default_rng(0)
    latents = np.concatenate([task.test.latents.multi for task in tasks])
    given = _scores(tasks, range(len(tasks)), latents)
    changed = 0
    for _ in range(orders):
        other = _scores(tasks, random.permutation(len(tasks)), latents)
        changed += int((given.view(np.uint64) != other.view(np.uint64)).sum())
    return changed


def _scores(
    tasks: Sequence[StudyTask], order: Sequence[int] | np.ndarray, latents: np.ndarray
) -> np.ndarray:
    mapper = MomentsMapper(tasks[0].metric)
    for index in order:
        mapper.add(f"{index:04}", tasks[index].anchor)
    scores = mapper.score(latents)
    return np.ascontiguousarray(scores.task, dtype=np.float64)


def latent_stream(method: str, tasks: Sequence[StudyTask]) -> list[LatentTask]:
    """Return the tasks with the latents that a closed form reads."""
    kind = "multi" if method.endswith(MULTI) else "last"
    return [
        LatentTask(
            task.name,
            task.classes,
            *(
                LatentSplit(getattr(part.latents, kind), part.labels)
                for part in (task.train, task.validation, task.test)
            ),
        )
        for task in tasks
    ]


def orders_table(results: Sequence[StudyResult]) -> Iterator[str]:
    """Yield the table of the study: accuracies in per cent."""
    rows = [["method", "chosen on", "mean", "deviation", "best", "worst found", "sets tried"]]
    for result in select(results, "orders"):
        values, rule = result.values, result.cell.arguments["rule"]
        if "changed" in values:
            yield f"{OURS}: {values['changed']} scores changed in {values['orders']} orders\n"
            continue
        random = 100 * np.array(values["random"])
        numbers = (random.mean(), random.std(ddof=1), random.max(), 100 * values["worst"])
        texts = [f"{number:.1f}" for number in numbers]
        chosen = f"{rule} {RULES[rule]}"
        rows.append([f"`{result.cell.arguments['method']}`", chosen, *texts, str(values["tried"])])
    yield markdown(rows)
