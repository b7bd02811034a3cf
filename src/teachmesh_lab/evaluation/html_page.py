"""HTML pages that are readable offline: tables, and figures as embedded SVG."""

from __future__ import annotations

import html
import io
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from teachmesh.bank.atomic import storage_errors
from teachmesh.bank.output_file import check_output, write_file
from teachmesh.errors import MissingExtraError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STYLE = """
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
.mistakes { display: flex; flex-wrap: wrap; gap: 1rem; }
.mistakes figure { width: 9rem; margin: 0; font-size: .8rem; }
.mistakes img { width: 6rem; image-rendering: pixelated; }
.yes { color: #1a8a5f; } .no { color: #c33; font-weight: bold; }
"""

_PAGE_COLOUR = "#010203"
"""Placeholder in figures for the text colour of the page, which depends on the browser."""
_BLACK_BY_DEFAULT = (
    "text.color", "axes.labelcolor", "axes.edgecolor", "axes.titlecolor", "xtick.color",
    "ytick.color", "xtick.labelcolor", "ytick.labelcolor", "legend.labelcolor",
)  # fmt: skip


def write_page(body: str, path: Path) -> Path:
    """Write a page with a given body.

    Args:
        body: HTML of the page body, with all external text escaped.
        path: file of the page; replaced if it exists.

    Returns:
        Absolute path of the page.

    Raises:
        StorageError: the page cannot be written.
    """
    page = (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>teachmesh</title><style>{STYLE}</style></head><body>{body}</body></html>"
    )
    check_page(path)
    write_file(path, page.encode())
    return path.absolute()


def check_page(path: Path) -> None:
    """Make the folder of a page and check that the page can probably be written.

    Raises:
        StorageError: the folder cannot be made, or the path is not that of a file.
    """
    with storage_errors(f"could not make the folder of {path}"):
        path.parent.mkdir(parents=True, exist_ok=True)
    check_output(path)


def text(value: object) -> str:
    """Escape external text for use in HTML."""
    return html.escape(str(value))


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return an HTML table of the given texts; the first column is left-aligned."""
    head = "".join(f"<th>{text(cell)}</th>" for cell in header)
    body = "".join(
        "<tr>" + "".join(f"<td>{text(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<div class='scroll'><table><thead><tr>{head}</tr></thead>{body}</table></div>"


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure, with width and height in inches.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("matplotlib", "bench") from error
    return Figure(figsize=(width, height), layout="constrained")


def plot_text(name: str) -> str:
    """Shorten long names, and escape dollar signs, which matplotlib would read as formulas."""
    short = name if len(name) <= 28 else name[:27] + "…"
    return short.replace("$", r"\$")


def mistake_pictures(mistakes: Sequence[Mapping[str, Any]]) -> str:
    """Return pictures of wrong answers, each with its class, the answer and the probability.

    Args:
        mistakes: values from `class_level.describe_mistakes`.
    """
    return "<div class='mistakes'>" + "".join(map(_mistake, mistakes)) + "</div>"


def _mistake(item: Mapping[str, Any]) -> str:
    caption = (
        f"{item['class']} ({item['task']}) answered as {item['answered_class']} "
        f"({item['answered_task']}), {100 * item['probability']:.1f} %"
    )
    picture = f"data:image/jpeg;base64,{item['picture']}"
    return (
        f"<figure><img src='{text(picture)}' alt='{text(item['class'])}'>"
        f"<figcaption>{text(caption)}</figcaption></figure>"
    )


def image(draw: Callable[[], Figure], alternative: str) -> str:
    """Return a figure as embedded SVG in the colours of the page.

    Everything that is black by default has the page's text colour, which is white in dark mode.
    Text is not converted to shapes, so it uses the reader's fonts and can be searched.
    """
    import matplotlib

    stream = io.StringIO()
    settings: Any = {"svg.fonttype": "none", "svg.hashsalt": alternative}
    settings |= dict.fromkeys(_BLACK_BY_DEFAULT, _PAGE_COLOUR)
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        # matplotlib's own font may lack glyphs, but it is only used to estimate text sizes.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure = draw()
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
    drawn = stream.getvalue()
    drawn = drawn[drawn.index("<svg") :].replace(_PAGE_COLOUR, "currentColor")
    # Embedded SVG needs no namespaces; without them, the page contains no URL at all.
    drawn = re.sub(r"<metadata>.*?</metadata>", "", drawn, flags=re.DOTALL)
    drawn = re.sub(r' xmlns(:\w+)?="[^"]*"', "", drawn)
    return f"<figure role='img' aria-label='{text(alternative)}'>{drawn}</figure>"
