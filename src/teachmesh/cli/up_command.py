"""`teachmesh up`: run the agent as a process that shares its skills."""

from __future__ import annotations

import json
import sys
import threading
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from teachmesh.cli.command import command
from teachmesh.cli.config_commands import set_alias
from teachmesh.cli.event_texts import PROBLEMS, line_of
from teachmesh.cli.output import note, say
from teachmesh.cli.shared_options import (
    AllowFewOption,
    BackboneOption,
    DeviceOption,
    DtypeOption,
    EngineOption,
    HomeOption,
    JsonOption,
    MethodOption,
    SeedOption,
)
from teachmesh.cli.stop_signals import end_process, stop_on_signals
from teachmesh.cli.verbosity import is_quiet
from teachmesh.errors import EXIT_OK, StorageError
from teachmesh.sharing.endpoints import LOOPBACK


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
    discovery: Annotated[
        bool,
        typer.Option(
            "--discovery/--no-discovery",
            help="Find agents on the local network if --listen is reachable from there, and try "
            "those of earlier runs again; or join only --join.",
        ),
    ] = True,
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
    no_web: Annotated[
        bool, typer.Option("--no-web", help="Serve neither the page nor the HTTP API.")
    ] = False,
    web_host: Annotated[
        str,
        typer.Option(
            "--web-host",
            help="Address of page and API. One that other machines reach needs a token in "
            "$TEACHMESH_WEB_TOKEN.",
        ),
    ] = "127.0.0.1",
    web_port: Annotated[
        int | None,
        typer.Option(
            "--web-port",
            min=0,
            max=65535,
            show_default=False,
            help="Port of page and API. Default: 8765, or a free one if that is taken.",
        ),
    ] = None,
    device: DeviceOption = "auto",
    engine: EngineOption = "torch",
    dtype: DtypeOption = "fp32",
    home: HomeOption = None,
    json_output: JsonOption = False,
) -> None:
    """Run the agent until Ctrl-C or SIGTERM: share its skills and collect those of all others.

    Skills that another command saves in the same home are shared within a second. Each event is
    printed as one line with its time, or as one line of JSON with --json. With --quiet, only
    problems are printed. `teachmesh events` and `teachmesh status` show the same from another
    terminal. Connections to other machines are encrypted, and only agents of the same mesh can
    connect. The first agent makes the mesh; others join it with an invite. The page is for this
    machine only; its link has a secret, which lets you teach.
    """
    from teachmesh.agent import Agent
    from teachmesh.agent.on_mesh.mesh_session import MeshSession
    from teachmesh.web.agent_page import AgentPage

    agent = Agent(home, backbone=backbone, device=device, engine=engine, dtype=dtype)
    if name is not None:
        set_alias(agent, name)
    if policy is not None:
        agent.trust.set_policy(policy)
    stop = threading.Event()
    with closing(AgentPage(_print_json if json_output else _print_text)) as page:
        if not no_web:
            page.prepare(agent, host=web_host, port=web_port, device=device)
        share = partial(
            agent.share,
            listen=listen or LOOPBACK,
            transport=transport,
            tls=tls,
            insecure=insecure,
            on_event=page.report,
            discover=discovery,
        )
        session = MeshSession(agent, join or (), lambda found: share(join=found), page.report)
        page.let_join(session)
        if insecure:
            note("warning: --insecure: anybody here can read, change and forge the traffic")
        stop_on_signals(stop)
        try:
            with session, page:
                session.run(tuple(learn or ()), stop, method=method, seed=seed, allow_few=allow_few)
        except BrokenPipeError as error:
            raise StorageError(
                "could not write the events: the reader closed the pipe; the agent has stopped"
            ) from error
    if stop.is_set():
        end_process(EXIT_OK)


def _print_json(event: dict[str, Any]) -> None:
    say(json.dumps({"schema": "teachmesh.event/1", **event}), flush=True)


def _sign_in(event: dict[str, Any]) -> str:
    """Return the part of the link with the token, which only a person at a terminal gets."""
    if "token_file" not in event or not sys.stdout.isatty():
        return ""
    return f"#token={Path(event['token_file']).read_text()}"


def _print_text(event: dict[str, Any]) -> None:
    line = line_of(event)
    if event["event"] == "web":
        line += _sign_in(event)
    if line and (event["event"] in PROBLEMS or not is_quiet()):
        say(line, flush=True)
