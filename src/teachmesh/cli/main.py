"""The application: every command, `--version`, shell completion."""

from __future__ import annotations

import sys
from importlib.metadata import entry_points
from typing import Annotated

import typer

from teachmesh.cli import (
    backbone_commands,
    combine_command,
    learn_command,
    match_command,
    predict_command,
    skills_commands,
    status_commands,
    up_command,
)
from teachmesh.cli.command import application
from teachmesh.version import __version__

COMMANDS_GROUP = "teachmesh.commands"
"""Entry points: functions `register(app: typer.Typer)` that add commands (see `cli.command`)."""

app = application(
    "Lifelong-learning agents that teach each other.\n\n\b\n"
    "Examples:\n"
    "  teachmesh learn photos/screws       # one folder per class\n"
    "  teachmesh up --listen 0.0.0.0:7447  # share what was learned\n"
    "  teachmesh predict part.jpg          # any image of any task\n"
)


def _show_version(value: bool) -> None:
    if value:
        print(f"teachmesh {__version__}")
        raise typer.Exit


@app.callback()
def _application(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Options that stand before a command."""


for _module in (
    *(learn_command, match_command, combine_command, predict_command),
    *(skills_commands, backbone_commands, up_command, status_commands),
):
    _module.register(app)


def _add_commands_of_other_packages() -> None:
    """Call each entry point of `COMMANDS_GROUP` with the application, sorted by name."""
    for point in sorted(entry_points(group=COMMANDS_GROUP), key=lambda point: point.name):
        try:
            register = point.load()
        except ImportError as error:
            print(f"remark: the command {point.name!r} is left out: {error}", file=sys.stderr)
            continue
        register(app)


_add_commands_of_other_packages()


def run() -> None:
    """Entry point of the `teachmesh` script."""
    app(prog_name="teachmesh")
