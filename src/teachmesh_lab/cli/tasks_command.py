"""`teachmesh bench tasks`: write built-in tasks to a folder, to try everything with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from teachmesh.cli.command import command
from teachmesh.cli.output import emit, plain, say
from teachmesh.cli.shared_options import HomeOption, JsonOption, SeedOption, words


def register_tasks(group: typer.Typer) -> None:
    """Add the command `tasks` to the group `bench`."""
    command(
        group,
        "tasks",
        "teachmesh bench tasks photos --only textures,travel",
        "teachmesh bench tasks photos --json",
    )(tasks)


def tasks(
    folder: Annotated[
        Path, typer.Argument(help="Folder for the tasks; created if missing.", show_default=False)
    ],
    only: Annotated[
        str | None, typer.Option("--only", help="Names of tasks, comma-separated. Default: all.")
    ] = None,
    seed: SeedOption = 0,
    home: HomeOption = None,
    json_output: JsonOption = False,
) -> None:
    """Write small built-in tasks to a folder, as pictures to try everything with.

    Nine tasks are parts of real pictures from installed packages (extra bench); twelve are drawn.
    Each has 24 training, 8 validation and 12 test images per class. Nothing is downloaded.
    """
    from teachmesh_lab.streams.builtin_stream import ORDER
    from teachmesh_lab.streams.written_tasks import write_tasks

    _ = home  # every command accepts --home, but this one does not need a home
    folders = write_tasks(folder, words(only) or ORDER, seed)
    if json_output:
        emit({"schema": "teachmesh.tasks/1", "tasks": [str(path) for path in folders]})
        return
    for path in folders:
        say(plain(str(path)))
