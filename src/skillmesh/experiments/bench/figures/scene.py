"""Results that may stand in one figure: those of one stream and one backbone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from skillmesh.experiments.bench.methods import Kind, check_bench_method
from skillmesh.experiments.bench.stored import Run
from skillmesh.experiments.bench.summary import Result


@dataclass(frozen=True, eq=False)
class Scene:
    """One stream and one backbone.

    Attributes:
        stream: for people: where the tasks come from.
        backbone: alias.
        alone: method -> cells of one agent, one per seed.
        real: method -> cells of N real agents.
    """

    stream: str
    backbone: str
    alone: dict[str, list[Result]]
    real: dict[str, list[Result]]

    @property
    def title(self) -> str:
        """Stream, number of tasks, backbone."""
        return f"{self.stream}, {len(self.tasks())} tasks, backbone {self.backbone}"

    def methods(self, *kinds: Kind) -> list[str]:
        """Methods of the kinds, in the order of the run; of all kinds by default."""
        wanted = kinds or tuple(Kind)
        return [method for method in self.alone if check_bench_method(method) in wanted]

    def tasks(self) -> list[str]:
        """Names of the tasks, in the order of the first cell."""
        first = next(iter(self.alone.values()))[0]
        return [str(task["name"]) for task in first.values["tasks"]]

    def rows(self, rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """Those rows of a summary that are of this stream and backbone."""
        mine = self.stream, len(self.tasks()), self.backbone
        return [row for row in rows if (row["stream"], row["tasks"], row["backbone"]) == mine]

    def matrix(self, method: str, name: str) -> np.ndarray | None:
        """(T, T) accuracies averaged over seeds; None where there are none."""
        found = [m for r in self.alone.get(method, []) if (m := r.matrix(name)) is not None]
        return np.asarray(np.mean(found, axis=0)) if found else None

    def compared(self, method: str) -> np.ndarray | None:
        """(T, T) accuracies by which a method is compared with others (`compared_told`)."""
        return self.matrix(method, "oracle" if compared_told(method) else "accuracy")

    def last(self, method: str, name: str) -> np.ndarray | None:
        """(T,) accuracies in the end, averaged over seeds."""
        found = [v for r in self.alone.get(method, []) if (v := r.last(name)) is not None]
        return np.asarray(np.mean(found, axis=0)) if found else None


def compared_told(method: str) -> bool:
    """Whether a method is told the task where methods are compared.

    The paper grants its oracle to all that train the whole network, and to nobody else.
    """
    return check_bench_method(method) is Kind.TRAINED


def scenes(run: Run) -> list[Scene]:
    """Group results; one scene per stream and backbone, in the order of the run."""
    grouped: dict[tuple[object, ...], list[Result]] = {}
    for result in run.results:
        cell = result.cell
        grouped.setdefault((cell.stream, cell.backbone), []).append(result)
    found = []
    for members in grouped.values():
        alone = [r for r in members if r.cell.agents == 1]
        if alone:
            found.append(
                Scene(
                    _short(alone[0].cell.stream.source),
                    alone[0].cell.backbone,
                    _by_method(alone),
                    _by_method([r for r in members if r.cell.agents > 1]),
                )
            )
    return found


def _by_method(results: Sequence[Result]) -> dict[str, list[Result]]:
    found: dict[str, list[Result]] = {}
    for result in results:
        found.setdefault(result.cell.method, []).append(result)
    return found


def _short(source: str) -> str:
    return source.rstrip("/").rsplit("/", 1)[-1] if ":" not in source else source.split(":")[0]
