"""One HTML page, readable offline, of a demo's or an evaluation's result."""

from __future__ import annotations

import html
import io
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skillmesh.errors import MissingExtraError, StorageError, UsageError
from skillmesh.experiments.report_corrective import corrective_section

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STYLE = """
:root { color-scheme: light dark; --line: #8884; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid var(--line); text-align: right; }
th:first-child, td:first-child { text-align: left; }
td { white-space: nowrap; }
td:first-child { white-space: normal; overflow-wrap: anywhere; min-width: 5rem; }
figure { margin: 1rem 0; } svg { max-width: 100%; height: auto; }
.yes { color: #1a8a5f; } .no { color: #c33; font-weight: bold; }
"""

_LABELS = {
    "mapper": "mapper",
    "oracle": "with oracle",
    "final": "mapper, then head",
    "direct": "without oracle",
    "plain": "plain",
    "names": "same name is right",
    "names_and_looks": "same name and looks are right",
}
_COLOURS = {"mapper": "#9aa5b1", "oracle": "#e8a33d", "final": "#5aa469", "direct": "#3b7dd8"}
_COLOURS |= {"plain": "#9aa5b1", "names": "#e8a33d", "names_and_looks": "#3b7dd8"}
_PAGE_COLOUR = "#010203"
"""Stands in a figure for the colour of the page's text, which the reader's browser knows."""


def write_report(result: Mapping[str, Any], path: Path) -> Path:
    """Write the page of a result.

    Args:
        result: a document of schema `skillmesh.demo/1` or `skillmesh.evaluate/1`.
        path: where to; replaced if it is there.

    Returns:
        The path, absolute.

    Raises:
        MissingExtraError: matplotlib is not installed.
        UsageError: another schema.
        StorageError: it cannot be written.
    """
    schema = result.get("schema")
    if schema == "skillmesh.demo/1":
        body = _demo(result)
    elif schema == "skillmesh.evaluate/1":
        body = _evaluation(result)
    else:
        raise UsageError(f"expected a result of the demo or an evaluation, got schema {schema!r}")
    page = (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>skillmesh</title><style>{_STYLE}</style></head><body>{body}</body></html>"
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise StorageError(f"could not write the report '{path}': {error.strerror}") from error
    return path.absolute()


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
        f"<p>{len(result['agents'])} agents, {len(tasks)} tasks, {result['test_images']} test "
        f"images. All agents hold the same skills: {_verdict(result['digests_equal'])}. All give "
        f"the same answers: {_verdict(result['predictions_equal'])}.</p>",
        f"<p>Learned and shared in {result['learn_s']:.1f} s{alone}. "
        f"{result['bytes_sent'] / 1e6:.2f} MB travelled.</p>",
        "<h2>Tasks</h2>",
        _table(["task", "learned by", "mapper", "with oracle", "without oracle"], rows),
        _image(_bars(tasks, _DEMO_BARS), "accuracy per task"),
        "<h2>Agents</h2>",
        _table(["agent", "id", "skills", "digest", ""], agents),
        "<h2>Which task was answered</h2>",
        _image(_matrix(result["confusion"], [t["name"] for t in tasks]), "confusion of tasks"),
    ]
    return "".join(parts)


def _evaluation(result: Mapping[str, Any]) -> str:
    tasks = result["tasks"]
    keys = [key for key in ("mapper", "oracle", "final", "direct") if tasks[0][key] is not None]
    rows = [
        [t["name"], str(t["classes"]), *(_percent(t[k]) for k in keys), f"{t['skill_bytes']:,}"]
        for t in [*tasks, {**result["mean"], "name": "mean", "classes": ""}]
    ]
    parts = [
        "<h1>Evaluation without a task oracle</h1>",
        f"<p>Method {_text(result['method'])}, backbone {_text(result['backbone'])}, "
        f"{len(tasks)} tasks.</p>",
        _table(["task", "classes", *keys, "bytes"], rows),
        _image(_bars(tasks, keys), "accuracy per task"),
    ]
    if "corrective" in result:
        parts.append(corrective_section(result["corrective"], _table, _corrected_bars))
    return "".join(parts)


def _corrected_bars(tasks: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> str:
    return _image(_bars(tasks, keys), "accuracy per task with equivalent classes as right")


_DEMO_BARS = ("mapper", "oracle", "direct")


def _fate(agent: Mapping[str, Any]) -> str:
    return "killed" if agent["killed"] else "joined late" if agent["late"] else ""


def _verdict(value: bool) -> str:
    return f"<span class='{'yes' if value else 'no'}'>{'yes' if value else 'NO'}</span>"


def _percent(fraction: float | None) -> str:
    return "-" if fraction is None else f"{100 * fraction:.1f} %"


def _text(value: object) -> str:
    return html.escape(str(value))


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{_text(cell)}</th>" for cell in header)
    body = "".join(
        "<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<div class='scroll'><table><thead><tr>{head}</tr></thead>{body}</table></div>"


def _figure(width: float, height: float) -> Figure:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("matplotlib", "bench") from error
    return Figure(figsize=(width, height), layout="constrained")


def _bars(tasks: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> Figure:
    """Grouped horizontal bars, one group per task."""
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
    axes.set_xlabel("right, per cent of test images")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper center", ncols=len(keys), frameon=False)
    return figure


def _matrix(counts: Sequence[Sequence[int]], names: Sequence[str]) -> Figure:
    """Tasks of the images against tasks answered; shades are shares of a row."""
    shown = [_plot_text(name) for name in names]
    # Room for the names beside the cells: wide letters take 0.14 inches.
    side = 1.5 + 0.38 * len(names) + 0.14 * max(len(name) for name in shown)
    figure = _figure(side, side)
    axes = figure.subplots()
    totals = [max(sum(row), 1) for row in counts]
    shares = [[value / total for value in row] for row, total in zip(counts, totals, strict=True)]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, values in enumerate(counts):
        for column, value in enumerate(values):
            if value:
                color = "white" if shares[row][column] > 0.5 else "black"
                axes.text(column, row, str(value), ha="center", va="center", color=color)
    axes.set_xticks(range(len(names)), shown, rotation=60, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), shown)
    axes.set_xlabel("task answered")
    axes.set_ylabel("task of the image")
    return figure


def _plot_text(name: str) -> str:
    """Names are foreign: long ones are cut, and matplotlib would read dollar signs as formulas."""
    short = name if len(name) <= 28 else name[:27] + "…"
    return short.replace("$", r"\$")


def _image(figure: Figure, alternative: str) -> str:
    """The figure as SVG inside the page, in the colours of the page.

    Text stays text: it is drawn in the reader's fonts, whatever the script, and can be searched.
    """
    import matplotlib

    stream = io.StringIO()
    settings: Any = {"svg.fonttype": "none", "svg.hashsalt": alternative}
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        # Only the space that text takes is guessed with matplotlib's own font.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        _take_page_colours(figure)
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
    drawn = stream.getvalue()
    drawn = drawn[drawn.index("<svg") :].replace(_PAGE_COLOUR, "currentColor")
    # Inside HTML an SVG needs no name spaces; without them the page holds no address at all.
    drawn = re.sub(r"<metadata>.*?</metadata>", "", drawn, flags=re.DOTALL)
    drawn = re.sub(r' xmlns(:\w+)?="[^"]*"', "", drawn)
    return f"<figure role='img' aria-label='{_text(alternative)}'>{drawn}</figure>"


def _take_page_colours(figure: Figure) -> None:
    for axes in figure.axes:
        axes.tick_params(colors=_PAGE_COLOUR)
        axes.xaxis.label.set_color(_PAGE_COLOUR)
        axes.yaxis.label.set_color(_PAGE_COLOUR)
        for spine in axes.spines.values():
            spine.set_edgecolor(_PAGE_COLOUR)
    for legend in figure.legends:
        for text in legend.get_texts():
            text.set_color(_PAGE_COLOUR)
