"""Write docs/cli.md from the help of the commands.

python -m teachmesh_lab.cli.cli_reference FILE
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import typer
from typer.testing import CliRunner

from teachmesh.cli.main import app

TITLE = "# Commands\n\nWritten by `make docs` from the commands' own help; do not edit.\n"
WIDTH = "100"


def reference() -> str:
    """The help of every command, as Markdown."""
    return TITLE + "".join(_section(path) for path in _paths(app, ()))


def _paths(group: typer.Typer, above: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for info in group.registered_commands:
        yield (*above, str(info.name))
    for sub in group.registered_groups:
        if sub.typer_instance is not None:
            yield from _paths(sub.typer_instance, (*above, str(sub.name)))


def _section(path: tuple[str, ...]) -> str:
    environment = {"COLUMNS": WIDTH, "TERMINAL_WIDTH": WIDTH, "NO_COLOR": "1"}
    result = CliRunner().invoke(
        app, [*path, "--help"], prog_name="teachmesh", env=environment, terminal_width=int(WIDTH)
    )
    text = "\n".join(line.rstrip() for line in result.output.strip().splitlines())
    return f"\n## teachmesh {' '.join(path)}\n\n```text\n{text}\n```\n"


def main() -> None:
    """Write the reference to the file named on the command line."""
    os.umask(0o022)
    Path(sys.argv[1]).write_text(reference(), encoding="utf-8")


if __name__ == "__main__":
    main()
