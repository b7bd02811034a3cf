"""`teachmesh up`: run the agent as a process that shares its skills."""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer

from teachmesh.bank.withheld import describe_withheld
from teachmesh.cli.command import command
from teachmesh.cli.config_commands import set_alias
from teachmesh.cli.output import note, plain, say, size
from teachmesh.cli.shared_options import (
    AllowFewOption,
    BackboneOption,
    DeviceOption,
    HomeOption,
    JsonOption,
    MethodOption,
    SeedOption,
)
from teachmesh.errors import EXIT_INTERRUPTED, StorageError
from teachmesh.sharing.endpoints import LOOPBACK
from teachmesh.trust.policy import known_as


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    command(
        app,
        "up",
        "teachmesh up --listen tls/0.0.0.0:7447",
        "teachmesh up --join TEACHMESH:...  # an invite, from `teachmesh invite` there",
        "teachmesh up --join tls/192.168.1.20:7447 --learn photos/screws",
    )(up)


def up(
    listen: Annotated[
        list[str] | None,
        typer.Option(
            "--listen",
            help="Endpoint to listen on; may be repeated. Default: 127.0.0.1:0 (a free port).",
        ),
    ] = None,
    join: Annotated[
        list[str] | None,
        typer.Option(
            "--join", help="Endpoint of any agent of the mesh, or an invite; may be repeated."
        ),
    ] = None,
    learn: Annotated[
        list[Path] | None,
        typer.Option("--learn", help="Learn this task while sharing; may be repeated."),
    ] = None,
    allow_few: AllowFewOption = False,
    transport: Annotated[
        str, typer.Option("--transport", help="zenoh, or a transport of an installed package.")
    ] = "zenoh",
    name: Annotated[
        str | None,
        typer.Option("--name", help="Alias of this agent from now on, as `config alias` sets it."),
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option(
            "--policy",
            help="Skills of strangers from now on: open (used), ask (wait for `peers trust`) or "
            "invited (refused). Default: open on loopback, otherwise ask.",
        ),
    ] = None,
    tls: Annotated[
        bool, typer.Option("--tls", help="Encrypt on 127.0.0.1, too; elsewhere it is always on.")
    ] = False,
    insecure: Annotated[
        bool,
        typer.Option(
            "--insecure", help="Allow plain connections from other machines, in a laboratory."
        ),
    ] = False,
    method: MethodOption = None,
    backbone: BackboneOption = None,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    home: HomeOption = None,
    json_output: JsonOption = False,
) -> None:
    """Run the agent until Ctrl-C: share its skills and collect those of all others.

    Skills that another command saves in the same home are shared within a second. Connections to
    other machines are encrypted, and only agents of the same mesh can connect. The first agent
    makes the mesh; others join it with an invite. With --json, each event is printed as one line
    of JSON.
    """
    from teachmesh.agent import Agent

    agent = Agent(home, backbone=backbone, device=device)
    if name is not None:
        set_alias(agent, name)
    if policy is not None:
        agent.trust.set_policy(policy)
    shared = agent.share(
        listen=listen or LOOPBACK,
        join=join or (),
        transport=transport,
        tls=tls,
        insecure=insecure,
        on_event=_print_json if json_output else _print_text,
    )
    if insecure:
        note("warning: --insecure: anybody in this network can read, change and forge the traffic")
    stop = threading.Event()
    _stop_on_signals(stop)
    try:
        with shared as node:
            node.run(tuple(learn or ()), stop, method=method, seed=seed, allow_few=allow_few)
    except BrokenPipeError as error:
        raise StorageError(
            "could not write the events: the reader closed the pipe; the agent has stopped"
        ) from error


def _stop_on_signals(stop: threading.Event) -> None:
    def handler(_number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            os._exit(EXIT_INTERRUPTED)  # the user does not want to wait; no file is half-written
        stop.set()

    signal.signal(signal.SIGTERM, handler)
    signal.signal(signal.SIGINT, handler)


def _print_json(event: dict[str, Any]) -> None:
    say(json.dumps({"schema": "teachmesh.event/1", **event}), flush=True)


def _print_text(event: dict[str, Any]) -> None:
    line = _TEXTS.get(event["event"], lambda _event: "")(event)
    if line:
        say(plain(line), flush=True)


_TEXTS = {
    "ready": lambda e: f"agent {e['alias']} listens on {', '.join(e['endpoints'])}",
    "understood": lambda e: f"learning {e['task']}: {e['summary']}",
    "saved": lambda e: (
        f"saved {e['task']} ({e['skill'][:12]}, {size(e['size_bytes'])})"
        + (f"; {describe_withheld(e['task'], e['withheld'])}" if e["withheld"] else "")
    ),
    "received": lambda e: (
        f"received {e['task']} ({e['skill'][:12]}) from {known_as(e['alias'], e['author'])}"
        + ("" if e["standing"] == "trusted" else f"; use it: teachmesh peers trust {e['author']}")
    ),
    "withdrawn": lambda e: (
        f"withdrawn {e['task']} ({e['skill'][:12]}) by {known_as(e['alias'], e['author'])}"
    ),
    "joined": lambda e: f"joined the mesh of {e['alias']} ({e['id']})",
    "invited": lambda e: f"{e['alias']} ({e['id']}) joined the mesh with an invite",
    "refused": lambda e: f"refused {e['skill'][:12]}: {e['message']}",
    "error": lambda e: f"error: {e['message']}",
    "synced": lambda e: (
        f"{e['count']} skills, digest {e['digest'][:12]}, in sync with {e['peers']}"
    ),
}
