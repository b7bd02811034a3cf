"""HTML page for the result of a demo or an evaluation, readable offline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from teachmesh.errors import UsageError
from teachmesh_lab.evaluation.class_level_page import class_level_sections
from teachmesh_lab.evaluation.corrective_report import corrective_section
from teachmesh_lab.evaluation.html_page import image as _image
from teachmesh_lab.evaluation.html_page import new_figure as _figure
from teachmesh_lab.evaluation.html_page import plot_text as _plot_text
from teachmesh_lab.evaluation.html_page import table as _table
from teachmesh_lab.evaluation.html_page import text as _text
from teachmesh_lab.evaluation.html_page import write_page
from teachmesh_lab.evaluation.page_origin import origin_rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LABELS = {
    "mapper": "mapper",
    "oracle": "oracle",
    "final": "final",
    "direct": "direct",
    "plain": "plain",
    "names": "equivalent by name is right",
    "names_and_looks": "equivalent by name and looks is right",
}
_COLOURS = {"mapper": "#9aa5b1", "oracle": "#e8a33d", "final": "#5aa469", "direct": "#3b7dd8"}
_COLOURS |= {"plain": "#9aa5b1", "names": "#e8a33d", "names_and_looks": "#3b7dd8"}


_NO_TASK = {"name": "mean", "classes": ""}
_WORDS = (
    "mapper: right task. oracle: right class, given the task. final: right task and class; the "
    "mapper chooses the task. direct: right task and class; the best of all classes is chosen "
    "(docs/bench.md, Words)."
)


def write_report(result: Mapping[str, Any], path: Path) -> Path:
    """Write the HTML page for a result.

    Args:
        result: document of schema `teachmesh.demo/1` or `teachmesh.evaluate/1`.
        path: file of the page; replaced if it exists.

    Returns:
        Absolute path of the page.

    Raises:
        MissingExtraError: matplotlib is not installed.
        UsageError: the document has another schema.
        StorageError: the page cannot be written.
    """
    schema = result.get("schema")
    if schema == "teachmesh.demo/1":
        body = _demo(result)
    elif schema == "teachmesh.evaluate/1":
        body = _evaluation(result)
    else:
        raise UsageError(f"expected a result of the demo or an evaluation, got schema {schema!r}")
    return write_page(body, path)


def _demo(result: Mapping[str, Any]) -> str:
    tasks = result["tasks"]
    rows = [[t["name"], t["author"], *(_percent(t[k]) for k in _DEMO_BARS)] for t in tasks]
    agents = [
        [a["alias"], a["id"], str(a["skills"]), a["digest"][:12], _fate(a)]
        for a in result["agents"]
    ]
    alone = ""
    if result["alone_s"] is not None:
        ratio = result["alone_learning_s"] / max(result["busiest_learning_s"], 1e-9)
        alone = (
            f", the start of all processes included; one agent alone needs "
            f"{result['alone_s']:.1f} s with its start. Learning only: "
            f"{result['alone_learning_s']:.1f} s alone against "
            f"{result['busiest_learning_s']:.1f} s of the busiest agent, {ratio:.2f} times as fast"
        )
    parts = [
        "<h1>Agents that teach each other</h1>",
        f"<p>{len(result['agents'])} agents, {len(tasks)} tasks, {_arithmetic(result)}"
        f"{result['test_images']} test images. All agents hold the same skills: "
        f"{_verdict(result['digests_equal'])}. All give the same answers: "
        f"{_verdict(result['predictions_equal'])}.</p>",
        f"<p>Learned and shared in {result['learn_s']:.1f} s{alone}. "
        f"{result['bytes_sent'] / 1e6:.2f} MB travelled.</p>",
        "<h2>Tasks</h2>",
        _table(["task", "learned by", *_DEMO_BARS], rows),
        f"<p>{_WORDS}</p>",
        _image(lambda: _bars(tasks, _DEMO_BARS), "accuracy per task"),
        "<h2>Agents</h2>",
        _table(["agent", "id", "skills", "digest", ""], agents),
        "<h2>Which task was answered</h2>",
        _image(lambda: _matrix(result["confusion"], [t["name"] for t in tasks]), "tasks"),
    ]
    return "".join(parts)


def _evaluation(result: Mapping[str, Any]) -> str:
    tasks = result["tasks"]
    keys = [key for key in ("mapper", "oracle", "final", "direct") if tasks[0][key] is not None]
    images = sum(t["test_images"] for t in tasks)
    rows = [
        [
            t["name"],
            str(t["classes"]),
            f"{t['test_images']:,}",
            *(_percent(t[k]) for k in keys),
            f"{t['skill_bytes']:,}",
        ]
        for t in [*tasks, {**_NO_TASK, **result["mean"], "test_images": images}]
    ]
    parts = [
        "<h1>Evaluation without a task oracle</h1>",
        f"<p>Method {_text(result['method'])}, backbone {_text(result['backbone'])}, "
        f"{_arithmetic(result)}one seed "
        f"({result.get('seed', 0)}), {len(tasks)} tasks, {images:,} "
        f"{result.get('images', 'test')} images. {_WORDS}</p>",
        _table(["task", "classes", "images", *keys, "bytes"], rows),
        _image(lambda: _bars(tasks, keys), "accuracy per task"),
    ]
    if "corrective" in result:
        parts.append(corrective_section(result["corrective"], _table, _corrected_bars))
    if "class_level" in result:
        error = 100 * result["class_level"]["standard_error"]
        parts.append(f"<p>Standard error of the mean of final, over images: {error:.1f} "
                     "points (bootstrap within each task).</p>")  # fmt: skip
        parts.append(class_level_sections(result["class_level"]))
    if "origin" in result:
        parts += ["<h2>Origin</h2>", _table(["", "computed with"], origin_rows(result["origin"]))]
    return "".join(parts)


def _arithmetic(result: Mapping[str, Any]) -> str:
    """Name engine and number type of the latents; nothing if they are the usual ones."""
    if "engine" not in result:
        return ""
    return f"engine {_text(result['engine'])} with {_text(result['dtype'])}, "


def _corrected_bars(tasks: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> str:
    return _image(lambda: _bars(tasks, keys), "accuracy per task with equivalent classes as right")


_DEMO_BARS = ("mapper", "oracle", "final")


def _fate(agent: Mapping[str, Any]) -> str:
    return "killed" if agent["killed"] else "joined late" if agent["late"] else ""


def _verdict(value: bool) -> str:
    return f"<span class='{'yes' if value else 'no'}'>{'yes' if value else 'NO'}</span>"


def _percent(fraction: float | None) -> str:
    return "-" if fraction is None else f"{100 * fraction:.1f} %"


def _bars(tasks: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> Figure:
    """Draw grouped horizontal bars, one group per task."""
    height = 0.8 / len(keys)
    figure = _figure(7, 1.6 + 0.16 * len(tasks) * (1 + len(keys)))
    axes = figure.subplots()
    for index, key in enumerate(keys):
        places = [row + (index - (len(keys) - 1) / 2) * height for row in range(len(tasks))]
        values = [100 * task[key] for task in tasks]
        axes.barh(places, values, height=height, label=_LABELS[key], color=_COLOURS[key])
    axes.set_yticks(range(len(tasks)), [_plot_text(task["name"]) for task in tasks])
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.set_xlabel("right, per cent of images")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper center", ncols=len(keys), frameon=False)
    return figure


def _matrix(counts: Sequence[Sequence[int]], names: Sequence[str]) -> Figure:
    """Draw a confusion matrix: rows are tasks of images, columns tasks of answers."""
    shown = [_plot_text(name) for name in names]
    # Space for the names next to the cells: wide letters take 0.14 inches.
    side = 1.5 + 0.38 * len(names) + 0.14 * max(len(name) for name in shown)
    figure = _figure(side, side)
    axes = figure.subplots()
    totals = [max(sum(row), 1) for row in counts]
    shares = [[value / total for value in row] for row, total in zip(counts, totals, strict=True)]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, values in enumerate(counts):
        for column, value in enumerate(values):
            if value:
                color = "white" if shares[row][column] > 0.5 else "#111111"
                axes.text(column, row, str(value), ha="center", va="center", color=color)
    axes.set_xticks(range(len(names)), shown, rotation=60, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), shown)
    axes.set_xlabel("task answered")
    axes.set_ylabel("task of the image")
    return figure
