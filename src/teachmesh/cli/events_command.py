"""`teachmesh events`: show the events of the running agent from a second process."""

from __future__ import annotations

import json
import time
from typing import Annotated

import typer

from teachmesh.cli.command import command
from teachmesh.cli.event_texts import line_of
from teachmesh.cli.output import note, say
from teachmesh.cli.shared_options import HomeOption, JsonOption

LAST = 20


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    command(app, "events", "teachmesh events", "teachmesh events --follow --json")(events)


def events(
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Wait for further events until Ctrl-C.")
    ] = False,
    last: Annotated[
        int, typer.Option("--last", min=0, help="Number of events from before to print.")
    ] = LAST,
    home: HomeOption = None,
    json_output: JsonOption = False,
) -> None:
    """Print the events of `teachmesh up` in this home, also while it runs.

    With --json, each event is one line of JSON. Old events are dropped: about 2 MB are kept.
    """
    from teachmesh.bank.event_file import EventFile
    from teachmesh.bank.home import open_to_read
    from teachmesh.bank.running import RunningLock

    opened = open_to_read(home)
    if not RunningLock(opened.path).is_held():
        note("no agent runs in this home; start it with: teachmesh up")

    def wait(seconds: float) -> bool:
        if follow:
            time.sleep(seconds)
        return not follow

    for event in EventFile(opened.path).follow(last, wait):
        line = json.dumps(event) if json_output else line_of(event)
        if line:
            say(line, flush=follow)
