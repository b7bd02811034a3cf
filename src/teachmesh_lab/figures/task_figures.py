"""Figures with one mark, bar or cell per task: Fig. 2a, 7 and the mapper's confusions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from teachmesh_lab.bench.bench_methods import Kind
from teachmesh_lab.evaluation.html_page import plot_text
from teachmesh_lab.figures.figure_scene import Scene
from teachmesh_lab.figures.figure_style import (
    COLOURS,
    Drawing,
    legend,
    look,
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
        found += [_confusion(scene, m) for m in ours if "confusion" in scene.alone[m][0].values]
    return found


def difficulty(scene: Scene) -> tuple[np.ndarray, str] | None:
    """Return the (T,) error rates of all tasks, and a text that names their source.

    The paper trains one network per task, for a fixed time. In a run, the
    closest result is the fine-tuned network's error on each task just after it learned the task.
    """
    for method, name in (("fine-tune", "oracle"), ("supsup", "oracle")):
        matrix = scene.matrix(method, name)
        if matrix is not None:
            return 1 - np.diag(matrix), f"{method}, just after the task"
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
        axes.scatter(
            [t["classes"] for t in sizes],
            100 * errors,
            s=12 + 240 * images / images.max(),
            color=COLOURS[0],
            alpha=0.55,
        )
        for task, error in zip(sizes, errors, strict=True):
            name = plot_text(task["name"])
            axes.annotate(
                name, (task["classes"], 100 * error), fontsize=5.5, color="#808080",
                xytext=(3, 3), textcoords="offset points",
            )  # fmt: skip
        axes.set_xscale("log")
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
                values = scene.last(method, measure)
                assert values is not None
                places = np.arange(len(names)) + (number - (len(methods) - 1) / 2) * width
                colour = look(method)["color"]
                axes.bar(places, 100 * values, width, color=colour, label=method)
            axes.set_ylim(0, 102)
            axes.set_ylabel(f"{what}, per cent", fontsize="small")
        bottom.set_xticks(range(len(names)), names, rotation=60, ha="right", fontsize="small")
        legend(figure)
        return figure

    return Drawing(
        "fig07-per-task",
        "Fig. 7: per task, the mapper alone (above) and the decision alone (below)",
        "After all tasks. Methods with the same head have equal bars below. In the paper, biases "
        "raise the lower bars most for images that are unlike photographs.",
        draw,
    )


def _confusion(scene: Scene, method: str) -> Drawing:
    counts = np.mean([r.values["confusion"] for r in scene.alone[method]], axis=0)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)

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

    off = shares - np.diag(np.diag(shares))
    row, column = np.unravel_index(int(off.argmax()), off.shape)
    tasks = scene.tasks()
    worst = f"most: {tasks[row]} taken for {tasks[column]}, {100 * off[row, column]:.0f} %"
    return Drawing(
        f"confusion-{method}",
        f"Confusions between tasks: {method}",
        f"After all tasks, as the agent answers; {worst}. Not in the paper.",
        draw,
    )
