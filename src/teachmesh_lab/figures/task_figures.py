"""Figures with one mark, bar or cell per task: Fig. 2a, 7 and the mapper's confusions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from teachmesh_lab.bench.bench_methods import Kind
from teachmesh_lab.evaluation.html_page import plot_text
from teachmesh_lab.figures.figure_scene import Scene
from teachmesh_lab.figures.figure_style import (
    COLOURS,
    Drawing,
    legend,
    plain_numbers,
    plot,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def task_drawings(scene: Scene) -> list[Drawing]:
    """Return all per-task figures for which the scene has results."""
    found = []
    if difficulty(scene) is not None:
        found.append(_scatter(scene))
    ours = [
        m for m in scene.methods(Kind.OURS, Kind.ADAPTED) if scene.last(m, "mapper") is not None
    ]
    if ours:
        found.append(_bars(scene, ours))
        found += [_confusion(scene, m) for m in ours if _has_confusion(scene, m)]
    return found


def _has_confusion(scene: Scene, method: str) -> bool:
    return all("confusion" in result.values for result in scene.alone[method])


def difficulty(scene: Scene) -> tuple[np.ndarray, str] | None:
    """Return the (T,) error rates of all tasks, and a text that names their source.

    Rates are means over seeds, joined by the names of the tasks, in the order of `Scene.tasks`.

    The paper trains one network per task, for a fixed time. In a run, the
    closest result is the fine-tuned network's error on each task just after it learned the task.
    """
    for method, name in (("fine-tune", "oracle"), ("supsup", "oracle")):
        found = [
            scene.ordered(result, np.diag(matrix).tolist())
            for result in scene.alone.get(method, [])
            if (matrix := result.matrix(name)) is not None
        ]
        if found:
            return 1 - np.mean(found, axis=0), f"{method}, just after the task"
    for method in scene.methods():
        values = scene.last(method, "oracle")
        if values is not None:
            return 1 - values, f"{method}, task given"
    return None


def _scatter(scene: Scene) -> Drawing:
    found = difficulty(scene)
    assert found is not None
    errors, whose = found
    sizes = next(iter(scene.alone.values()))[0].values["tasks"]

    def draw() -> Figure:
        figure, axes = plot(7, 4.4)
        images = np.array([t["train"] + t["validation"] + t["test"] for t in sizes], dtype=float)
        areas = 12 + 240 * images / images.max()
        axes.scatter(
            [t["classes"] for t in sizes],
            100 * errors,
            s=areas,
            color=COLOURS[0],
            alpha=0.55,
        )
        heights = _apart(100 * errors, sizes)
        for task, height, area in zip(sizes, heights, areas, strict=True):
            axes.annotate(
                plot_text(task["name"]), (task["classes"], height), fontsize=6,
                xytext=(2 + np.sqrt(area) / 2, 0), textcoords="offset points", va="center",
            )  # fmt: skip
        axes.set_xscale("log")
        axes.margins(x=0.12)
        plain_numbers(axes)
        axes.set_xlabel("classes")
        axes.set_ylabel("difficulty: error, per cent")
        return figure

    return Drawing(
        "fig02a-tasks",
        "Fig. 2a: the tasks, by classes, difficulty and size",
        f"Area: images. Difficulty: error of {whose}; in the paper, of a ResNet-18 trained from "
        "scratch for a fixed number of epochs.",
        draw,
    )


def _apart(heights: np.ndarray, sizes: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """Move the names of tasks with nearly as many classes apart, so that they can be read."""
    moved = np.array(heights, dtype=np.float64)
    gap = max(float(np.ptp(heights)), 10.0) / 32
    order = np.argsort(heights, kind="stable")
    for number, task in enumerate(order):
        for other in order[:number]:
            near = abs(np.log(sizes[task]["classes"] / sizes[other]["classes"])) < 0.4
            if near and moved[task] - moved[other] < gap:
                moved[task] = moved[other] + gap
    return moved


def _bars(scene: Scene, methods: Sequence[str]) -> Drawing:
    def draw() -> Figure:
        names = [plot_text(name) for name in scene.tasks()]
        figure, top = plot(max(7.0, 1.5 + 0.3 * len(names)), 5.6)
        top.remove()
        top, bottom = figure.subplots(2, 1, sharex=True)
        width = 0.8 / len(methods)
        for axes, measure, what in (
            (top, "mapper", "right task"),
            (bottom, "oracle", "right class, task given"),
        ):
            axes.spines[["top", "right"]].set_visible(False)
            for number, method in enumerate(methods):
                values = scene.by_task(method, measure)
                assert values is not None
                places = np.arange(len(names)) + (number - (len(methods) - 1) / 2) * width
                colour = scene.look(method)["color"]
                means = 100 * values.mean(axis=0)
                axes.bar(places, means, width, color=colour, label=method)
                if len(values) > 1:
                    ends = 100 * np.array([values.min(axis=0), values.max(axis=0)])
                    axes.vlines(places, *ends, color="#808080", linewidth=0.8)
            axes.set_ylim(0, 102)
            axes.set_ylabel(f"{what}, per cent", fontsize="small")
        bottom.set_xticks(range(len(names)), names, rotation=60, ha="right", fontsize="small")
        legend(figure)
        return figure

    return Drawing(
        "fig07-per-task",
        "Fig. 7: per task, the mapper alone (above) and the decision alone (below)",
        "After all tasks, mean over seeds; thin lines: lowest to highest seed. Above: mapper. "
        "Below: oracle. Methods with the same head have equal bars below. In the paper, biases "
        "raise the lower bars most for images that are unlike photographs.",
        draw,
    )


def _confusion(scene: Scene, method: str) -> Drawing:
    shares = scene.confusion(method)

    def draw() -> Figure:
        names = [plot_text(name) for name in scene.tasks()]
        side = 2.4 + 0.24 * len(names)
        figure, axes = plot(side + 0.6, side)
        axes.grid(visible=False)
        axes.spines[["top", "right"]].set_visible(True)
        picture = axes.imshow(100 * shares, cmap="cividis", vmin=0, vmax=100)
        axes.set_xticks(range(len(names)), names, rotation=90, fontsize=7)
        axes.set_yticks(range(len(names)), names, fontsize=7)
        axes.set_xlabel("task answered")
        axes.set_ylabel("task of the image")
        bar = figure.colorbar(picture, ax=axes, shrink=0.6)
        bar.set_label("per cent of the task's images")
        return figure

    worst = worst_confusion(shares, scene.tasks())
    return Drawing(
        f"confusion-{method}",
        f"Confusions between tasks: {method}",
        f"After all tasks, as the agent answers, over all seeds. {worst} Not in the paper.",
        draw,
    )


def worst_confusion(shares: np.ndarray, tasks: Sequence[str]) -> str:
    """Return a sentence that names the most confused pair of tasks.

    Examples:
        >>> worst_confusion(np.eye(2), ["a", "b"])
        'No image is given to another task.'
    """
    off = shares - np.diag(np.diag(shares))
    if not off.any():
        return "No image is given to another task."
    row, column = divmod(int(off.argmax()), len(tasks))
    share = 100 * off[row, column]
    return f"Most often, {tasks[row]} is taken for {tasks[column]}: {share:.1f} % of its images."
