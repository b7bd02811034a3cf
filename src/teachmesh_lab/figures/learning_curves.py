"""Accuracy over the number of learned tasks: Fig. 4, 5, 6 and 8."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from teachmesh_lab.bench.bench_methods import Kind
from teachmesh_lab.evaluation.html_page import new_figure, plot_text
from teachmesh_lab.evaluation.metrics import learned_mean, normalised, regression_line, task_curve
from teachmesh_lab.figures.figure_scene import Scene, compared_told
from teachmesh_lab.figures.figure_style import (
    COLOURS,
    MOST_BANDS,
    Drawing,
    band,
    bare,
    legend,
    per_cent,
    plot,
    whole_numbers,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_OURS = (Kind.OURS, Kind.ADAPTED)
_FIRST_TASKS = 10
_FURTHER_TASKS = 20


def curve_drawings(scene: Scene) -> list[Drawing]:
    """Return all curves for which the scene has results."""
    ours = [m for m in scene.methods(*_OURS) if scene.compared(m)]
    theirs = [m for m in scene.methods(Kind.FROZEN, Kind.TRAINED) if scene.compared(m)]
    found = []
    if ours:
        found += [_first_task_ours(scene, ours), _mapper(scene, ours)]
    if theirs:
        found.append(_first_task_baselines(scene, [*_best(scene, ours), *theirs]))
    if ours or theirs:
        found += [_normalised(scene, [*ours, *theirs]), _absolute(scene, [*ours, *theirs])]
    return found


def _best(scene: Scene, methods: Sequence[str]) -> list[str]:
    """Return a list with only the best method by mean final accuracy, or an empty list."""
    means = {m: float(np.mean(a)) for m in methods if (a := scene.last(m, "accuracy")) is not None}
    return [max(means, key=lambda method: means[method])] if means else []


def _lines(
    axes: Axes, scene: Scene, methods: Sequence[str], curve_of: Callable[[np.ndarray], np.ndarray]
) -> None:
    """Draw one line per method, from the accuracies that `Scene.compared` returns."""
    for method in methods:
        curves = over_seeds(scene.compared(method), curve_of)
        filled = len(methods) <= MOST_BANDS
        band(axes, range(1, curves.shape[1] + 1), curves, scene.look(method), filled=filled)


def over_seeds(
    matrices: Sequence[np.ndarray], curve_of: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Return one curve per seed, in per cent: an (S, T) array."""
    return 100 * np.array([curve_of(matrix) for matrix in matrices])


def _over_tasks(axes: Axes, what: str) -> None:
    """Label the axes with per cent (y) and the number of learned tasks (x)."""
    per_cent(axes, what)
    axes.set_xlabel("tasks learned")
    whole_numbers(axes)


def _first(scene: Scene) -> str:
    """Return the name of the first task, or a text for several orders of the tasks."""
    firsts = scene.first_tasks()
    return plot_text(firsts[0]) if len(firsts) == 1 else "the first task of each order"


def _first_text(scene: Scene) -> str:
    firsts = scene.first_tasks()
    if len(firsts) == 1:
        return f"Task 1 is {firsts[0]}."
    return f"Mean over {len(firsts)} orders of the tasks; their first tasks: {', '.join(firsts)}."


def _seeds_text(scene: Scene, lines: int = 1) -> str:
    count = len(scene.seeds())
    if count > 1 and lines > MOST_BANDS:
        return f" Mean of {count} seeds; the table of results has their spread."
    return f" Band: lowest to highest of {count} seeds." if count > 1 else " One seed."


def normalised_curves(scene: Scene, method: str) -> dict[str, np.ndarray]:
    """Return Fig. 5's curve of each of the first tasks, joined by name and averaged over seeds.

    Returns:
        Task -> per cent of its first accuracy, after 0, 1, ... further tasks. A seed that learned
        the task late has fewer further tasks; the mean is over the seeds that have a value.
    """
    told = "oracle" if compared_told(method) else "accuracy"
    results = [r for r in scene.alone[method] if r.matrix(told) is not None]
    found: dict[str, np.ndarray] = {}
    ratios = [100 * normalised(matrix) for matrix in scene.compared(method)]
    for name in scene.tasks()[:_FIRST_TASKS]:
        curves = np.full((len(ratios), _FURTHER_TASKS + 1), np.nan)
        for seed, (result, ratio) in enumerate(zip(results, ratios, strict=True)):
            position = [task["name"] for task in result.values["tasks"]].index(name)
            curve = ratio[position : position + _FURTHER_TASKS + 1, position]
            curves[seed, : len(curve)] = curve
        known = ~np.isnan(curves).all(axis=0)
        found[name] = np.nanmean(curves[:, known], axis=0)
    return found


def _first_task_ours(scene: Scene, methods: Sequence[str]) -> Drawing:
    def draw() -> Figure:
        figure, axes = plot()
        for method in methods:
            curves = over_seeds(scene.matrices(method, "accuracy"), task_curve)
            places = range(1, curves.shape[1] + 1)
            band(axes, places, curves, scene.look(method))
            mapper = over_seeds(scene.matrices(method, "mapper"), task_curve)
            if len(mapper):
                style = scene.look(method) | {"linestyle": ":", "marker": "", "label": ""}
                axes.plot(places, mapper.mean(axis=0), **style)
        _over_tasks(axes, f"right on {_first(scene)}")
        legend(figure)
        return figure

    return Drawing(
        "fig04a-first-task-ours",
        "Fig. 4a: accuracy on task 1 while more tasks are learned, our methods",
        f"{_first_text(scene)} Not told the task (final). Dotted: the mapper alone. The paper "
        "shows its four variants on 102 flowers, all above 90 % of their initial accuracy after "
        "101 more tasks. Only the mapper can lose accuracy, because a head never changes."
        + _seeds_text(scene),
        draw,
    )


def _first_task_baselines(scene: Scene, methods: Sequence[str]) -> Drawing:
    def draw() -> Figure:
        figure, axes = plot(height=4.6)
        _lines(axes, scene, methods, task_curve)
        _over_tasks(axes, f"right on {_first(scene)}")
        legend(figure, 6)
        return figure

    return Drawing(
        "fig04b-first-task-rivals",
        "Fig. 4b: accuracy on task 1, our best method and the baselines",
        f"{_first_text(scene)} Methods that train the whole network are told the task (the "
        "paper's oracle); closed forms and ours are not. In the paper, the regularisers are near "
        "zero after ten more tasks and SUPSUP keeps its accuracy. The closed-form baselines are "
        "not in the paper." + _seeds_text(scene, len(methods)),
        draw,
    )


def _normalised(scene: Scene, methods: Sequence[str]) -> Drawing:
    curves = {method: normalised_curves(scene, method) for method in methods}
    highest = max(
        float(np.nanmax(c, initial=0)) for lines in curves.values() for c in lines.values()
    )
    top = max(125.0, 1.02 * highest)

    def draw() -> Figure:
        columns = min(4, len(methods))
        rows = -(-len(methods) // columns)
        figure = new_figure(2.3 * columns, 1.9 * rows + 0.3)
        grid = np.atleast_1d(figure.subplots(rows, columns, sharex=True, sharey=True)).ravel()
        for axes, method in zip(grid, methods, strict=False):
            bare(axes)
            for task, curve in enumerate(curves[method].values()):
                axes.plot(range(len(curve)), curve, color=COLOURS[task], linewidth=1)
            axes.set_title(method, fontsize="small")
            axes.set_ylim(0, top)
        whole_numbers(grid[0])
        for axes in grid[len(methods) :]:
            axes.set_visible(False)
        figure.supxlabel("further tasks learned", fontsize="small", color="#808080")
        figure.supylabel("per cent of the first accuracy", fontsize="small", color="#808080")
        return figure

    return Drawing(
        "fig05-normalised",
        "Fig. 5: accuracy of the first ten tasks, divided by that just after learning",
        "One line per task, averaged over seeds; up to twenty further tasks. As in the paper, a "
        "line may rise above 100 if later tasks help, as with ER. Tasks with no right answer just "
        "after learning are left out.",
        draw,
    )


def _mapper(scene: Scene, methods: Sequence[str]) -> Drawing:
    def curves() -> Iterable[tuple[str, np.ndarray]]:
        for method in methods:
            if matrices := scene.matrices(method, "mapper"):
                yield method, over_seeds(matrices, learned_mean)

    def draw() -> Figure:
        figure, axes = plot()
        for method, values in curves():
            line = regression_line(values.mean(axis=0))
            ends = np.array([1, values.shape[1]])
            style = scene.look(method)
            band(axes, range(1, ends[1] + 1), values, style)
            style |= {"linestyle": "--", "marker": "", "linewidth": 0.9, "label": ""}
            axes.plot(ends, line.slope * ends + line.intercept, **style)
        _over_tasks(axes, "right task, of all tasks so far")
        legend(figure)
        return figure

    parts = []
    for method, values in curves():
        line = regression_line(values.mean(axis=0) / 100)
        zero = "it never falls" if line.zero is None else f"zero at {line.zero:.0f} tasks"
        parts.append(f"{method}: y = {line.slope:+.4f} x {line.intercept:+.3f}, {zero}")
    return Drawing(
        "fig06-mapper",
        "Fig. 6: task mapper, mean over all tasks learned so far",
        f"Dashed: regression lines. {'; '.join(parts)}. The paper: 87.1 % (MAHA) and 84.9 % "
        "(GMMC, y = -0.0012 x + 0.952, zero at 800) with 102 tasks. The zero extrapolates a line "
        "although the curve saturates, so it understates the possible number of tasks."
        + _seeds_text(scene),
        draw,
    )


def _absolute(scene: Scene, methods: Sequence[str]) -> Drawing:
    def draw() -> Figure:
        figure, axes = plot(height=4.6)
        _lines(axes, scene, methods, learned_mean)
        _over_tasks(axes, "right, mean over tasks so far")
        legend(figure, 6)
        return figure

    return Drawing(
        "fig08-absolute",
        "Fig. 8: mean accuracy over all tasks learned so far",
        "Shows interference and the difficulty of tasks together. Methods that train the whole "
        "network are told the task, as in the paper." + _seeds_text(scene, len(methods)),
        draw,
    )
