"""Results that can share a figure: one stream and backbone, with each method once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from teachmesh.learning.variants import NO_CONSTANTS
from teachmesh_lab.bench.bench_methods import Kind, check_bench_method, constants_of
from teachmesh_lab.bench.cell import Result
from teachmesh_lab.bench.grid_config import Grid
from teachmesh_lab.bench.run_folder import Run
from teachmesh_lab.figures.figure_style import look


@dataclass(frozen=True, eq=False)
class Scene:
    """Results for one stream and one backbone, with each method once.

    Attributes:
        stream: source of the tasks, for display.
        backbone: alias of the backbone.
        order: order of the tasks, as configured.
        options: text that describes options of baselines and constants of task mappers.
        grids: indices of the run's grids that this scene contains.
        alone: results of a single agent, by method; one result per seed.
        real: results of several real agents, by method.
    """

    stream: str
    backbone: str
    order: str
    options: tuple[str, ...]
    grids: tuple[int, ...]
    alone: dict[str, list[Result]]
    real: dict[str, list[Result]]

    @property
    def title(self) -> str:
        """Title with stream, number of tasks, backbone and options."""
        title = f"{self.stream}, {len(self.tasks())} tasks, backbone {self.backbone}"
        return title + (f"; {', '.join(self.options)}" if self.options else "")

    def methods(self, *kinds: Kind) -> list[str]:
        """Return the methods of the given kinds (all by default), in the order of the run."""
        wanted = kinds or tuple(Kind)
        return [method for method in self.alone if check_bench_method(method) in wanted]

    def tasks(self) -> list[str]:
        """Return the names of the tasks, in the order of the first cell."""
        return [str(task["name"]) for task in self._some()[0].values["tasks"]]

    def rows(self, rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """Return the rows of a summary's details that belong to the scene's grids."""
        return [row for row in rows if row["grid"] in self.grids]

    def first_tasks(self) -> list[str]:
        """Return the names of the tasks that were learned first, one per order of the tasks."""
        firsts = [str(r.values["tasks"][0]["name"]) for r in self._some()]
        return list(dict.fromkeys(firsts))

    def seeds(self) -> list[int]:
        """Return the sorted seeds of the one-agent cells."""
        return sorted({r.cell.seed for results in self.alone.values() for r in results})

    def look(self, method: str) -> dict[str, Any]:
        """Return the colour, line style and marker of a method, which no other method has here."""
        return look(method, [*self.alone, *self.real])

    def matrices(self, method: str, name: str) -> list[np.ndarray]:
        """Return one (T, T) array of accuracies per seed, in the order of learning of that seed.

        If the orders differ, rows and columns of two seeds belong to different tasks. So only
        curves over the number of learned tasks may be averaged.
        """
        return [m for r in self.alone.get(method, []) if (m := r.matrix(name)) is not None]

    def compared(self, method: str) -> list[np.ndarray]:
        """Return the (T, T) accuracies used to compare methods (see `compared_told`), per seed."""
        return self.matrices(method, "oracle" if compared_told(method) else "accuracy")

    def by_task(self, method: str, name: str) -> np.ndarray | None:
        """Return (S, T) final accuracies of S seeds, joined by the names of the tasks.

        Args:
            method: name of the method.
            name: kind of accuracy, one of `MEASURES`.

        Returns:
            The columns have the order of `tasks`; None if the accuracy was not measured.
        """
        found = [
            self.ordered(r, values)
            for r in self.alone.get(method, [])
            if (values := r.last(name)) is not None
        ]
        return np.array(found) if found else None

    def last(self, method: str, name: str) -> np.ndarray | None:
        """Return the (T,) means of `by_task` over seeds; None if they were not measured."""
        found = self.by_task(method, name)
        return None if found is None else np.asarray(found.mean(axis=0))

    def ordered(self, result: Result, values: Sequence[Any]) -> list[Any]:
        """Sort one value per task of a result into the order of `tasks`."""
        names = [str(task["name"]) for task in result.values["tasks"]]
        return [values[names.index(name)] for name in self.tasks()]

    def confusion(self, method: str) -> np.ndarray:
        """Return (T, T) shares of answered tasks, over all seeds; rows and columns as `tasks`."""
        counts = np.zeros((len(self.tasks()), len(self.tasks())))
        for result in self.alone[method]:
            places = self.ordered(result, range(len(counts)))
            counts += np.array(result.values["confusion"])[np.ix_(places, places)]
        return np.asarray(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1))

    def _some(self) -> list[Result]:
        return next(iter(self.alone.values()))


def compared_told(method: str) -> bool:
    """Return whether a method is told the task when methods are compared.

    The paper grants this oracle only to methods that train the whole network.
    """
    return check_bench_method(method) is Kind.TRAINED


def scenes(run: Run) -> list[Scene]:
    """Group the results of grids that share a stream and a backbone, but no method.

    If a method is in two grids, its options, seeds or packing differ. Two lines with the same
    name would be ambiguous, so the second grid gets its own figures. Two grids that set different
    constants of task mappers stay apart, too: their values would be paired arbitrarily.
    """
    groups: list[list[int]] = []
    for number, grid in enumerate(run.config.grids):
        fitting = (
            group for group in groups if all(_together(run.config.grids[n], grid) for n in group)
        )
        group = next(fitting, None)
        if group is None:
            groups.append([number])
        else:
            group.append(number)
    return [found for group in groups if (found := _scene(run, group)) is not None]


def _together(one: Grid, other: Grid) -> bool:
    same = (one.stream, one.backbone) == (other.stream, other.backbone)
    given = {constants_of(grid.options) for grid in (one, other)} - {NO_CONSTANTS}
    return same and len(given) < 2 and not set(one.methods) & set(other.methods)


def _scene(run: Run, numbers: Sequence[int]) -> Scene | None:
    """Build one scene from some grids; return None if they have no results."""
    grids = [run.config.grids[number] for number in numbers]
    pairs = [(run.inputs[number], run.config.grids[number]) for number in numbers]
    members = [r for r in run.results if any(found.belongs(r.cell, grid) for found, grid in pairs)]
    alone = [r for r in members if r.cell.agents == 1]
    if not alone:
        return None
    options = dict.fromkeys(f"{k} {v}" for grid in grids for k, v in grid.options.items())
    return Scene(
        run.inputs[numbers[0]].stream,
        grids[0].backbone,
        grids[0].stream.order,
        tuple(options),
        tuple(numbers),
        _by_method(alone),
        _by_method([r for r in members if r.cell.agents > 1]),
    )


def _by_method(results: Sequence[Result]) -> dict[str, list[Result]]:
    found: dict[str, list[Result]] = {}
    for result in results:
        found.setdefault(result.cell.method, []).append(result)
    return found
