"""Print results to stdout, and everything else to stderr.

With `--json`, stdout holds exactly one JSON document. Progress bars are drawn on stderr, and only
if it is a terminal.
"""

from __future__ import annotations

import io
import json
import sys
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Literal

from teachmesh.cli.streams import message_stream, set_encoding, stdout_errors
from teachmesh.cli.verbosity import is_quiet

if TYPE_CHECKING:
    from collections.abc import Callable

    Progress = Callable[[int, int], None]

TAKES = {
    "covariance": "how images vary, from the whole bank",
    "classes": "the known classes and how images vary",
    "rows": "the known classes' rows as a start",
}
"""Phrase for each kind of transfer, to follow "took" in a message."""


def emit(document: Mapping[str, Any]) -> None:
    """Print one JSON document in UTF-8, whatever the encoding of stdout.

    Raises:
        ValueError: a float is not finite.
        StorageError: stdout cannot be written.
    """
    text = json.dumps(document, ensure_ascii=False, allow_nan=False)
    if not _is_utf8(text):  # a file name that is not UTF-8 becomes an escape such as \\udce9
        text = json.dumps(document, allow_nan=False)
    set_encoding("utf-8")
    say(text)


def _is_utf8(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def say(text: str, *, flush: bool = False) -> None:
    """Print a result as text to stdout, or to stderr if an output file is stdout itself.

    Raises:
        StorageError: stdout cannot be written.
    """
    with stdout_errors():
        print(text, flush=flush, file=message_stream())


def note(text: str) -> None:
    """Print a remark as text to stderr, unless the user gave --quiet."""
    if not is_quiet():
        complain(text)


def complain(text: str) -> None:
    """Print an error as text to stderr; it is lost if stderr cannot be written."""
    with suppress(OSError):
        print(text, file=sys.stderr)


def describe_encoder(encoder: str | None) -> str:
    """Describe how class names were compared; `encoder` is None if they were not compared."""
    if encoder is None:
        return "names were not compared"
    if encoder == "names":
        return "no text encoder: names are equal after cleaning, or they are not"
    return f"names compared by {encoder}"


def plain(text: str) -> str:
    """Replace control and text-direction characters to make untrusted text safe to print."""
    return "".join(c if unicodedata.category(c) not in {"Cc", "Cf"} else "?" for c in text)


def size(size_bytes: int) -> str:
    """Format a number of bytes in B, KB or MB, with powers of ten.

    >>> size(17_600), size(512), size(2_500_000)
    ('17.6 KB', '512 B', '2.5 MB')
    """
    if size_bytes < 1000:
        return f"{size_bytes} B"
    if size_bytes < 1_000_000:
        return f"{size_bytes / 1000:.1f} KB"
    return f"{size_bytes / 1_000_000:.1f} MB"


def percent(fraction: float | None) -> str:
    """Format a fraction as a percentage; None becomes a dash.

    >>> percent(0.875), percent(None)
    ('87.5 %', '-')
    """
    return "-" if fraction is None else f"{100 * fraction:.1f} %"


def lines(document: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    """Format a JSON object as text: one line per value, with nested objects indented.

    >>> list(lines({"size_px": 96, "taps": ["a", "b"], "card": {"data": "photos"}}))
    ['size_px: 96', 'taps: a, b', 'card:', '  data: photos']

    Each object in a list takes one line, or several if it contains objects.

    >>> list(lines({"runs": [{"seed": 0, "epochs": [{"epoch": 1, "px": 32}]}]}))
    ['runs:', '  seed: 0', '  epochs:', '    epoch: 1, px: 32']
    """
    for key, value in document.items():
        if isinstance(value, Mapping):
            yield f"{indent}{plain(str(key))}:"
            yield from lines(value, indent + "  ")
        elif _holds_objects(value):
            yield f"{indent}{plain(str(key))}:"
            for item in value:
                if any(isinstance(v, Mapping) or _holds_objects(v) for v in item.values()):
                    yield from lines(item, indent + "  ")
                else:
                    yield f"{indent}  " + ", ".join(lines(item))
        elif isinstance(value, list | tuple):
            yield f"{indent}{plain(str(key))}: {plain(', '.join(map(str, value)))}"
        else:
            yield f"{indent}{plain(str(key))}: {plain(str(value))}"


def _holds_objects(value: object) -> bool:
    return isinstance(value, list) and any(isinstance(item, Mapping) for item in value)


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, width: int | None = None) -> str:
    """Format a table with the first column left-aligned and the others right-aligned.

    Columns are as wide as their cells look on a terminal, where a Chinese character takes two
    columns. Cells that do not fit in a terminal's width continue on the next line.

    Args:
        header: names of the columns.
        rows: cells, as many in each row as there are columns.
        width: columns of the terminal; None takes those of stdout. Lines for a file or a pipe
            have no limit.

    >>> print(table(["task", "classes"], [["weather", "4"], ["猫", "12"]]))
    task     classes
    -------  -------
    weather        4
    猫            12
    """
    from rich.cells import cell_len  # rich is slow to import, and few commands show a table

    if width is None and sys.stdout.isatty():
        import shutil

        width = shutil.get_terminal_size().columns
    whole = _aligned(header, rows)
    if width is None or max(map(cell_len, whole)) <= width:
        return "\n".join(whole)
    return _folded(header, rows, width)


def _aligned(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table of any width, a hundred times as fast as rich."""
    from rich.cells import cell_len

    widths = [max(map(cell_len, column)) for column in zip(header, *rows, strict=True)]

    def line(row: Sequence[str]) -> str:
        gaps = [" " * (n - cell_len(cell)) for cell, n in zip(row, widths, strict=True)]
        cells = [f"{row[0]}{gaps[0]}", *map(str.__add__, gaps[1:], row[1:])]
        return "  ".join(cells).rstrip()

    return [line(header), "  ".join("-" * n for n in widths), *map(line, rows)]


def _folded(header: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> str:
    from rich.box import Box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    lines_of_box = "    \n    \n -  \n    \n    \n    \n    \n    \n"  # dashes below the header
    grid = Table(box=Box(lines_of_box), show_edge=False, pad_edge=False, collapse_padding=True)
    for i, name in enumerate(header):
        justify: Literal["left", "right"] = "left" if i == 0 else "right"
        grid.add_column(Text(name), justify=justify, overflow="fold")
    for row in rows:
        grid.add_row(*map(Text, row))
    console = Console(file=io.StringIO(), width=width, color_system=None, legacy_windows=False)
    with console.capture() as capture:
        console.print(grid)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def describe_biases(biases: Mapping[str, Any]) -> str:
    """Describe the beneficial biases of a card in one sentence."""
    gain = f"{percent(biases['accuracy_without'])} without, {percent(biases['accuracy_with'])} with"
    text = f"biases on {biases['layers']} layers"
    if biases["weight"] > 0:
        text += f" ({biases['floats']:,} floats), weight {biases['weight']:.2f}"
    elif biases["cost_macs"] > 0:
        text += ": learned, but dropped because they did not help"
    else:
        text += ": not learned, because almost all validation images are right without them"
    cost = f"{biases['passes']:.2f} forward passes ({biases['cost_macs'] / 1e9:.1f} GMAC)"
    return f"{text}; right on validation images: {gain}; cost: {cost}"


@contextmanager
def progress_bar(label: str, unit: str = "images") -> Iterator[Progress]:
    """Show a progress bar with rate and remaining time, but only on a terminal.

    Yields:
        A function to call with (done, total) after every step; the bar restarts if `done` is
        smaller than in the previous call.
    """
    if is_quiet() or not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        bar = bars.add_task(label, total=None, rate="")

        def update(done: int, total: int) -> None:
            speed = bars.tasks[0].speed
            rate = f"{speed:.0f} {unit}/s" if speed else ""
            bars.update(bar, completed=done, total=total, rate=rate)

        yield update
