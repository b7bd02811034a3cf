"""The application: every command, `--version`, shell completion."""

from __future__ import annotations

from typing import Annotated

import typer

from teachmesh.cli import (
    backbone,
    bench,
    combine,
    demo,
    doctor,
    evaluate,
    learn,
    match,
    predict,
    skills,
    status,
    up,
)
from teachmesh.cli.command import application
from teachmesh.version import __version__

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
    *(learn, match, combine, predict, evaluate, skills, backbone),
    *(up, status, demo, bench, doctor),
):
    _module.register(app)


def run() -> None:
    """Entry point of the `teachmesh` script."""
    app(prog_name="teachmesh")
