"""Figures of costs: counted and measured speed-up, and accuracy against bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from teachmesh_lab.bench.cell import Result
from teachmesh_lab.bench.summary import account_of
from teachmesh_lab.evaluation.cost_ledger import EQUAL
from teachmesh_lab.figures.figure_scene import Scene, compared_told
from teachmesh_lab.figures.figure_style import (
    Drawing,
    legend,
    plain_numbers,
    plot,
    whole_numbers,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WAYS = (
    (EQUAL, "work divided by N (the paper's way)", ":"),
    ("longest-first", "whole tasks, longest first", "-"),
    ("given", "whole tasks, in the given order", "--"),
)


def cost_drawings(scene: Scene, alpha: float) -> list[Drawing]:
    """Return all cost figures for which the scene has results."""
    shared = [m for m, rs in scene.alone.items() if rs[0].values["parallel"] == "skills"]
    found = []
    if shared:
        found += [_speedup(scene, shared, alpha), _bytes(scene, shared)]
    if any("shared" in r.timing for results in scene.real.values() for r in results):
        found.append(_wall_clock(scene))
    return found


def _speedup(scene: Scene, methods: Sequence[str], alpha: float) -> Drawing:
    def draw() -> Figure:
        figure, axes = plot()
        method = methods[0]
        counts = range(1, len(scene.tasks()) + 1)
        for packing, label, line in _WAYS:
            values = _mean_speedups(scene.alone[method], counts, packing, alpha)
            colour = scene.look(method)["color"]
            axes.plot(counts, values, line, color=colour, label=f"{method}, {label}")
        for other in methods[1:]:
            values = _mean_speedups(scene.alone[other], counts, "longest-first", alpha)
            axes.plot(counts, values, **(scene.look(other) | {"marker": "", "linewidth": 0.9}))
        axes.plot(counts, counts, color="#b0b0b0", linewidth=0.8, label="N")
        axes.plot(counts, [n / 2 for n in counts], color="#b0b0b0", linewidth=0.8, linestyle=":",
                  label="0.5 N, the paper's goal")  # fmt: skip
        axes.set_xlabel("agents")
        whole_numbers(axes)
        axes.set_ylabel("times as fast as one agent")
        legend(figure, 3)
        return figure

    return Drawing(
        "speedup-counted",
        f"Speed-up over agents, from counted costs (alpha = {alpha:g} MAC per byte)",
        "Total of one agent divided by the total of the agent that finishes last. The paper "
        "divides the work by N. Whole tasks cannot be divided, so the largest task is the limit.",
        draw,
    )


def _mean_speedups(
    results: Sequence[Result], counts: Sequence[int], packing: str, alpha: float
) -> list[float]:
    """Return the mean speed-up over seeds for each number of agents."""
    return [
        float(np.mean([account_of(r, n, packing, alpha).speedup for r in results])) for n in counts
    ]


def _wall_clock(scene: Scene) -> Drawing:
    def draw() -> Figure:
        figure, axes = plot(5.5, 3.8)
        most = 1
        for method, results in scene.real.items():
            points = sorted(_measured(r) for r in results if "shared" in r.timing)
            most = max(most, *(n for n, _ in points))
            style = scene.look(method) | {"linestyle": "", "markersize": 7}
            axes.plot([n for n, _ in points], [s for _, s in points], **style)
        axes.plot([1, most], [1, most], color="#b0b0b0", linewidth=0.8, label="N")
        axes.set_xlim(0.8, most + 0.2)
        axes.set_ylim(0, most + 0.2)
        axes.set_xlabel("agents, each a process")
        whole_numbers(axes)
        axes.set_ylabel("times as fast, by the clock")
        legend(figure)
        return figure

    return Drawing(
        "speedup-measured",
        "Speed-up by the clock: real processes over a real network",
        "Seconds until one agent had all skills, divided by seconds until all N had them, both "
        "without the start of Python. All processes share one machine, so the speed-up cannot "
        "exceed its cores (env.json). Not in the paper, which reports no wall-clock time.",
        draw,
    )


def _measured(result: Result) -> tuple[int, float]:
    shared, alone = result.timing["shared"], result.timing["alone"]
    return result.cell.agents, alone["makespan_s"] / max(shared["makespan_s"], 1e-9)


def _bytes(scene: Scene, methods: Sequence[str]) -> Drawing:
    def draw() -> Figure:
        figure, axes = plot(6, 4)
        for method in methods:
            size = np.mean([c.skill_bytes for r in scene.alone[method] for c in r.costs()])
            told = compared_told(method)
            values = scene.by_task(method, "oracle" if told else "accuracy")
            assert values is not None
            style = scene.look(method) | {"linestyle": "", "markersize": 8}
            if told:
                style |= {"markerfacecolor": "none", "label": f"{method} (oracle)"}
            seeds = 100 * values.mean(axis=1)
            axes.plot([size / 1e3], [seeds.mean()], **style)
            axes.vlines(size / 1e3, seeds.min(), seeds.max(), color=style["color"], linewidth=1)
        axes.set_xscale("log")
        axes.margins(x=0.1)
        plain_numbers(axes)
        axes.set_xlabel("kilobytes per task, as encoded")
        axes.set_ylabel("right, mean over tasks, per cent")
        legend(figure)
        return figure

    return Drawing(
        "bytes-accuracy",
        "Bytes sent per task against accuracy",
        "Up and to the left is better. The paper: 814 KB per task (GMMC), 66.6 MB (MAHA with raw "
        "pixels). Not in the paper as a figure.",
        draw,
    )
