"""One HTML page, readable offline, of a demo's or an evaluation's result."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skillmesh.errors import MissingExtraError, StorageError, UsageError

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
img { max-width: 100%; background: #fff; border-radius: 4px; }
.yes { color: #2a7; } .no { color: #c33; font-weight: bold; }
"""


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
        ratio = result["alone_s"] / max(result["learn_s"], 1e-9)
        alone = f"; one agent alone needs {result['alone_s']:.1f} s, {ratio:.2f} times as long"
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
    return "".join(parts)


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
    figure = _figure(8, 1 + 0.16 * len(tasks) * (1 + len(keys)))
    axes = figure.subplots()
    for index, key in enumerate(keys):
        places = [row + (index - (len(keys) - 1) / 2) * height for row in range(len(tasks))]
        axes.barh(places, [100 * task[key] for task in tasks], height=height, label=key)
    axes.set_yticks(range(len(tasks)), [_plot_text(task["name"]) for task in tasks])
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.set_xlabel("right, per cent of test images")
    axes.legend(loc="lower left")
    return figure


def _matrix(counts: Sequence[Sequence[int]], names: Sequence[str]) -> Figure:
    """Tasks of the images against tasks answered."""
    side = 2.5 + 0.35 * len(names)
    figure = _figure(side, side)
    axes = figure.subplots()
    axes.imshow(counts, cmap="Blues")
    for row, values in enumerate(counts):
        top = max(max(values), 1)
        for column, value in enumerate(values):
            if value:
                color = "white" if value > top / 2 else "black"
                axes.text(column, row, str(value), ha="center", va="center", color=color)
    shown = [_plot_text(name) for name in names]
    axes.set_xticks(range(len(names)), shown, rotation=60, ha="right")
    axes.set_yticks(range(len(names)), shown)
    axes.set_xlabel("task answered")
    axes.set_ylabel("task of the image")
    return figure


def _plot_text(name: str) -> str:
    """Names are foreign: matplotlib would read dollar signs as formulas."""
    return name[:40].replace("$", r"\$")


def _image(figure: Figure, alternative: str) -> str:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=110)
    data = base64.b64encode(stream.getvalue()).decode("ascii")
    return f"<p><img alt='{_text(alternative)}' src='data:image/png;base64,{data}'></p>"
