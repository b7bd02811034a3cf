"""Style of figures: colours that most people can tell apart, line styles and markers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from teachmesh.bank.output_file import write_file
from teachmesh_lab.bench.bench_methods import bench_methods
from teachmesh_lab.evaluation.html_page import new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette, without yellow, which is too light for lines. Further colours differ from
# it and from each other, and are visible on white and on black.
COLOURS = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#7f7f7f", "#9467bd",
    "#bcbd22", "#e6194b", "#8c564b", "#17becf", "#f032e6", "#66bb3a", "#fb9a99", "#5b5bd6",
    "#b2c4a0", "#c51b7d", "#4f7f3a", "#b39ddb", "#a0522d", "#00ccaa", "#d4a373", "#607d8b",
)  # fmt: skip
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


def look(method: str, methods: Sequence[str]) -> dict[str, Any]:
    """Return the colour, line style and marker that a method has in all figures of a scene.

    Args:
        method: one of the methods.
        methods: all methods of the scene; up to 24 of them have colours of their own.
    """
    number = sorted(dict.fromkeys(methods), key=_registered).index(method)
    return {
        "color": COLOURS[number % len(COLOURS)],
        "linestyle": _LINES[(number + number // len(COLOURS)) % len(_LINES)],
        "marker": _MARKS[number % len(_MARKS)],
        "markersize": 3.5,
        "linewidth": 1.4,
        "label": method,
    }


def _registered(method: str) -> tuple[int, str]:
    known = list(bench_methods())
    return (known.index(method) if method in known else len(known)), method


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
    """Label a logarithmic x axis with a few numbers instead of powers, and no minor ticks.

    Call this after everything is drawn, because the numbers depend on the limits of the axis.
    """
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    low, high = axes.get_xlim()
    axes.xaxis.set_major_locator(FixedLocator(few_numbers(low, high)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
    axes.xaxis.set_minor_locator(NullLocator())


def few_numbers(low: float, high: float) -> list[float]:
    """Return three or more round numbers within positive limits, as few as possible.

    Examples:
        >>> few_numbers(1.5, 300), few_numbers(1.8, 11)
        ([2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0], [2.0, 5.0, 10.0])
    """
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found: list[float] = []
    for steps in ((1,), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 7), tuple(n / 10 for n in range(10, 100))):
        every = [step * 10.0**power for power in powers for step in steps]
        found = [number for number in every if low <= number <= high]
        if len(found) >= 3:
            break
    return found if len(found) <= 12 else found[:: len(found) // 6]


def band(
    axes: Axes,
    places: Sequence[float],
    values: np.ndarray,
    style: dict[str, Any],
    *,
    filled: bool = True,
) -> None:
    """Draw the mean of (S, P) values over S seeds, and a band from the lowest to the highest seed.

    Args:
        axes: axes to draw on.
        places: P positions on the x axis.
        values: values of each seed; NaN where a seed has none.
        style: style of the line, from `look`.
        filled: whether to draw the band.
    """
    axes.plot(places, np.nanmean(values, axis=0), **style)
    if len(values) > 1 and filled:
        low, high = np.nanmin(values, axis=0), np.nanmax(values, axis=0)
        axes.fill_between(places, low, high, color=style["color"], alpha=0.12, linewidth=0)


_ENTRY_INCHES, _LETTER_INCHES, _LINE_INCHES = 0.65, 0.085, 0.19
"""Width of an entry of a legend without its name, of a letter of the name, and height of a line."""
MOST_BANDS = 8
"""With more methods in one figure, their bands would cover each other and the lines."""


def legend(figure: Figure, columns: int = 5) -> None:
    """Add one legend above all axes; it shows each name only once.

    The legend gets no more columns than fit, and the figure becomes higher for a legend of more
    than two lines.
    """
    entries: dict[str, Any] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    if entries:
        entry = _ENTRY_INCHES + _LETTER_INCHES * max(map(len, entries))
        fitting = max(1, int(figure.get_figwidth() / entry))
        columns = min(columns, fitting, len(entries))
        lines = -(-len(entries) // columns)
        figure.set_figheight(figure.get_figheight() + _LINE_INCHES * max(0, lines - 2))
        figure.legend(
            list(entries.values()),
            list(entries),
            loc="outside upper center",
            ncols=columns,
            frameon=False,
            fontsize="small",
        )


def save(drawing: Drawing, folder: Path, *, for_print: bool = False) -> list[Path]:
    """Write a drawing as SVG and PNG files, which are identical for equal results.

    Args:
        drawing: the figure.
        folder: folder of the files; created if it does not exist.
        for_print: also write a PDF file, and the PNG file with 300 instead of 110 dots per inch.

    Raises:
        StorageError: the folder cannot be written.
    """
    import io

    import matplotlib

    written = []
    settings: Any = {"svg.hashsalt": drawing.name, "svg.fonttype": "none"}
    with matplotlib.rc_context(settings):
        figure = drawing.draw()
        kinds: dict[str, Any] = {"svg": {"Date": None}, "png": {"Software": None}}
        if for_print:
            kinds["pdf"] = {"CreationDate": None}
        for kind, metadata in kinds.items():
            stream = io.BytesIO()
            dpi = 300 if for_print else 110
            figure.savefig(stream, format=kind, dpi=dpi, metadata=metadata)
            folder.mkdir(parents=True, exist_ok=True)
            written.append(folder / f"{drawing.name}.{kind}")
            write_file(written[-1], stream.getvalue())
    return written
