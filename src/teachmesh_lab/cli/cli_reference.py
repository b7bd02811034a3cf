"""Write the help of all commands to a Markdown file such as `docs/cli.md`.

python -m teachmesh_lab.cli.cli_reference FILE
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from typer.testing import CliRunner

from teachmesh.cli.main import app

TITLE = "# Commands\n\nWritten by `make docs` from the help of the commands; do not edit.\n"
WIDTH = "100"


def reference() -> str:
    """Return the help of every command, as Markdown."""
    return TITLE + "".join(_section(path) for path in command_paths(typer.main.get_command(app)))


def command_paths(group: Any, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path of every command in a group and its subgroups.

    Args:
        group: a group of click commands.
        above: command path of the group; empty for the root.

    Examples:
        >>> ("skills", "list") in command_paths(typer.main.get_command(app))
        True
    """
    context = typer.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if hasattr(command, "list_commands"):
            yield from command_paths(command, (*above, name))
        else:
            yield (*above, name)


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
