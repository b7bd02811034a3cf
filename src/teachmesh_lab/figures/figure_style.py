"""Style of figures: colours that most people can tell apart, line styles and markers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from teachmesh.bank.atomic import write_file
from teachmesh_lab.bench.bench_methods import bench_methods
from teachmesh_lab.evaluation.html_page import new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette, without yellow, which is too light for lines.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#666666")
_LINES = ("-", "--", ":", "-.")
_MARKS = ("o", "s", "^", "D", "v", "P", "X", "*")


@dataclass(frozen=True)
class Drawing:
    """A figure that can be drawn repeatedly.

    Attributes:
        name: name of the figure's files, without suffix.
        title: title of the figure's section.
        caption: description of the figure, and how it differs from the paper's figure.
        draw: function that creates the figure.
    """

    name: str
    title: str
    caption: str
    draw: Callable[[], Figure]


def look(method: str) -> dict[str, Any]:
    """Return the colour, line style and marker that a method has in all figures."""
    known = list(bench_methods())
    number = known.index(method) if method in known else len(known)
    return {
        "color": COLOURS[number % len(COLOURS)],
        "linestyle": _LINES[number // len(COLOURS) % len(_LINES)],
        "marker": _MARKS[number % len(_MARKS)],
        "markersize": 3.5,
        "linewidth": 1.4,
        "label": method,
    }


def plot(width: float = 7.0, height: float = 4.0) -> tuple[Figure, Axes]:
    """Make a figure with one pair of axes, without a frame."""
    figure = new_figure(width, height)
    axes = figure.subplots()
    bare(axes)
    return figure, axes


def bare(axes: Axes) -> None:
    """Hide the top and right lines and show a faint grid."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)


def per_cent(axes: Axes, what: str) -> None:
    """Show 0 to 100 per cent on the y axis."""
    axes.set_ylim(0, 102)
    axes.set_ylabel(f"{what}, per cent")


def whole_numbers(axes: Axes) -> None:
    """Show only whole numbers on the x axis."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def plain_numbers(axes: Axes) -> None:
    """Label a logarithmic x axis with numbers instead of powers."""
    from matplotlib.ticker import ScalarFormatter

    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_formatter(ScalarFormatter())


def legend(figure: Figure, columns: int = 5) -> None:
    """Add one legend above all axes; it shows each name only once."""
    entries: dict[str, Any] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    if entries:
        figure.legend(
            list(entries.values()),
            list(entries),
            loc="outside upper center",
            ncols=min(columns, len(entries)),
            frameon=False,
            fontsize="small",
        )


def save(drawing: Drawing, folder: Path) -> list[Path]:
    """Write a drawing as SVG and PNG files, which are identical for equal results.

    Raises:
        StorageError: the folder cannot be written.
    """
    import io

    import matplotlib

    written = []
    settings: Any = {"svg.hashsalt": drawing.name, "svg.fonttype": "none"}
    with matplotlib.rc_context(settings):
        figure = drawing.draw()
        for kind, metadata in (("svg", {"Date": None}), ("png", {"Software": None})):
            stream = io.BytesIO()
            figure.savefig(stream, format=kind, dpi=110, metadata=metadata)
            folder.mkdir(parents=True, exist_ok=True)
            written.append(folder / f"{drawing.name}.{kind}")
            write_file(written[-1], stream.getvalue())
    return written
