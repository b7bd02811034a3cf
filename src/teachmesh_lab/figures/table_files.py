"""Tables as files: booktabs LaTeX and CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path

from teachmesh.bank.output_file import write_file

Table = tuple[list[str], list[list[str]]]
"""Header and rows, as texts."""

_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "±": r"$\pm$", "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
}  # fmt: skip


def write_table(
    folder: Path, name: str, table: Table, caption: str, *, latex: bool, as_csv: bool
) -> list[Path]:
    """Write a table as `NAME.tex`, `NAME.csv` or both.

    Args:
        folder: folder of the files; created if it does not exist.
        name: name of the files, without suffix.
        table: header and rows.
        caption: caption of the LaTeX table.
        latex: whether to write LaTeX.
        as_csv: whether to write CSV.

    Returns:
        The paths of the written files.

    Raises:
        StorageError: a file cannot be written.
    """
    texts = {}
    if latex:
        texts[f"{name}.tex"] = to_latex(table, caption, name)
    if as_csv:
        texts[f"{name}.csv"] = to_csv(table)
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in texts.items():
        write_file(folder / file, text.encode())
    return [folder / file for file in texts]


def to_latex(table: Table, caption: str, label: str) -> str:
    """Return a LaTeX table with the rules of the package booktabs; all texts are escaped."""
    header, rows = table
    lines = [
        r"% Needs \usepackage{booktabs}.",
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escape_latex(caption)}}}",
        rf"\label{{tab:{label}}}",
        rf"\begin{{tabular}}{{l{'r' * (len(header) - 1)}}}",
        r"\toprule",
        _latex_row(header),
        r"\midrule",
        *map(_latex_row, rows),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def to_csv(table: Table) -> str:
    """Return a table as CSV; the first line is the header."""
    header, rows = table
    stream = io.StringIO(newline="")
    csv.writer(stream, lineterminator="\n").writerows([header, *rows])
    return stream.getvalue()


def escape_latex(text: str) -> str:
    r"""Escape the special characters of LaTeX.

    Examples:
        >>> escape_latex("50 % of shapes_filled ± 1")
        '50 \\% of shapes\\_filled $\\pm$ 1'
    """
    return "".join(_LATEX.get(character, character) for character in text)


def file_name(title: str) -> str:
    """Return a title as the name of a file.

    Examples:
        >>> file_name("Fig. 10: 4 agents")
        'fig-10-4-agents'
    """
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def _latex_row(cells: Sequence[str]) -> str:
    return " & ".join(map(escape_latex, cells)) + r" \\"
