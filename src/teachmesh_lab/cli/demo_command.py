"""`teachmesh demo`: four agents learn, share, lose one, and a fifth joins late."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from teachmesh.cli.command import command
from teachmesh.cli.output import emit, note, percent, plain, say, size, table
from teachmesh.cli.shared_options import BackboneOption, HomeOption, JsonOption, SeedOption

if TYPE_CHECKING:
    from collections.abc import Mapping


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    command(app, "demo", "teachmesh demo", "teachmesh demo --tasks my-tasks/ --agents 6 --json")(
        demo
    )


def demo(
    tasks: Annotated[
        Path | None,
        typer.Option("--tasks", help="Folder of tasks. Default: small real ones from packages."),
    ] = None,
    agents: Annotated[
        int, typer.Option("--agents", min=2, max=32, help="Agents that learn; one more joins late.")
    ] = 4,
    backbone: BackboneOption = None,
    seed: SeedOption = 0,
    report: Annotated[
        Path | None, typer.Option("--report", help="Where to write the HTML report.")
    ] = None,
    keep: Annotated[
        Path | None, typer.Option("--keep", help="Keep the homes of the agents in this folder.")
    ] = None,
    home: HomeOption = None,
    json_output: JsonOption = False,
) -> None:
    """Watch agents teach each other: processes, a real network, one killed, one late.

    Every agent is a process with a home of its own. They learn different tasks at the same time
    and share over Zenoh on loopback. One author is killed with SIGKILL; a late agent gets
    everything from the survivors; then every agent answers for every test image.
    """
    from teachmesh_lab.demo.run_demo import DemoOptions, run_demo

    options = DemoOptions(
        tasks=tasks,
        agents=agents,
        backbone=backbone,
        seed=seed,
        report=report,
        keep=keep,
        home=home,
    )
    document = run_demo(options, log=note)
    if json_output:
        emit(document)
    else:
        _show(document)
    if not (document["digests_equal"] and document["predictions_equal"]):
        raise typer.Exit(1)


def _show(document: Mapping[str, Any]) -> None:
    header = ["task", "learned by", "mapper", "with oracle", "without oracle"]
    rows = [
        [
            plain(t["name"]),
            plain(t["author"]),
            *(percent(t[k]) for k in ("mapper", "oracle", "direct")),
        ]
        for t in document["tasks"]
    ]
    say(table(header, rows))
    say("")
    rows = [
        [plain(a["alias"]), str(a["skills"]), a["digest"][:12], _fate(a)]
        for a in document["agents"]
    ]
    say(table(["agent", "skills", "digest", ""], rows))
    say("")
    say(f"all agents hold the same skills: {'yes' if document['digests_equal'] else 'NO'}")
    say(f"all agents give the same answers: {'yes' if document['predictions_equal'] else 'NO'}")
    say(f"{size(document['bytes_sent'])} travelled; report: {document['report']}")
    say(_speed(document))


def _fate(agent: Mapping[str, Any]) -> str:
    return "killed" if agent["killed"] else "joined late" if agent["late"] else ""


def _speed(document: Mapping[str, Any]) -> str:
    text = (
        f"{len(document['tasks'])} tasks learned and shared in {document['learn_s']:.1f} s, "
        f"the start of all processes included; everything took {document['wall_s']:.0f} s"
    )
    if document["alone_s"] is None:
        return text
    busiest = document["busiest_learning_s"]
    ratio = document["alone_learning_s"] / max(busiest, 1e-9)
    return (
        f"{text}\none agent alone: {document['alone_s']:.1f} s with its start; learning only, "
        f"{document['alone_learning_s']:.1f} s against {busiest:.1f} s of the busiest of "
        f"{len(document['agents']) - 1} ({ratio:.2f} times as fast on {os.cpu_count()} cores)"
    )
