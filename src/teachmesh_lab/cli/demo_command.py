"""`teachmesh demo`: four agents learn and share, one is killed, and a fifth joins late."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from teachmesh.cli.command import command
from teachmesh.cli.output import emit, note, percent, plain, say, size, table
from teachmesh.cli.shared_options import (
    BackboneOption,
    DtypeOption,
    EngineOption,
    HomeOption,
    JsonOption,
    SeedOption,
    output_option,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


def register(app: typer.Typer) -> None:
    """Add the command `demo` to the application."""
    command(
        app,
        "demo",
        "teachmesh demo",
        "teachmesh demo --web",
        "teachmesh demo --tasks my-tasks/ --agents 6 --json",
    )(demo)


def demo(
    tasks: Annotated[
        Path | None,
        typer.Option(
            "--tasks", help="Folder of tasks. Default: small real tasks from installed packages."
        ),
    ] = None,
    agents: Annotated[
        int,
        typer.Option(
            "--agents", min=2, max=32, help="Number of agents that learn; one more joins late."
        ),
    ] = 4,
    backbone: BackboneOption = None,
    seed: SeedOption = 0,
    report: Annotated[
        Path | None,
        output_option("--report", "--out", text="File for the HTML report."),
    ] = None,
    keep: Annotated[
        Path | None, typer.Option("--keep", help="Keep the homes of the agents in this folder.")
    ] = None,
    web: Annotated[
        bool,
        typer.Option(
            "--web", help="Open the page of an agent, and go on after Ctrl-C; needs the extra web."
        ),
    ] = False,
    engine: EngineOption = "torch",
    dtype: DtypeOption = "fp32",
    home: HomeOption = None,
    json_output: JsonOption = False,
) -> None:
    """Watch agents teach each other over a real network; one is killed, one joins late.

    Every agent is a process with its own home. The agents learn different tasks at the same time
    and share skills over Zenoh on loopback. One of them is killed with SIGKILL. A late agent then
    receives all skills from the others. At the end every agent classifies all test images.
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
        web=web,
        engine=engine,
        dtype=dtype,
    )
    document = run_demo(options, log=note)
    if json_output:
        emit(document)
    else:
        _show(document)
    if not (document["digests_equal"] and document["predictions_equal"]):
        raise typer.Exit(1)


def _show(document: Mapping[str, Any]) -> None:
    header = ["task", "learned by", "mapper", "oracle", "final"]
    rows = [
        [
            plain(t["name"]),
            plain(t["author"]),
            *(percent(t[k]) for k in ("mapper", "oracle", "final")),
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
    say(f"{size(document['bytes_sent'])} sent; report: {document['report']}")
    say(_speed(document))


def _fate(agent: Mapping[str, Any]) -> str:
    return "killed" if agent["killed"] else "joined late" if agent["late"] else ""


def _speed(document: Mapping[str, Any]) -> str:
    text = (
        f"{len(document['tasks'])} tasks learned and shared in {document['learn_s']:.1f} s, "
        f"including the start of all processes; the demo took {document['wall_s']:.0f} s"
    )
    if document["alone_s"] is None:
        return text
    busiest = document["busiest_learning_s"]
    ratio = document["alone_learning_s"] / max(busiest, 1e-9)
    return (
        f"{text}\none agent alone: {document['alone_s']:.1f} s including its start; learning took "
        f"{document['alone_learning_s']:.1f} s, and {busiest:.1f} s on the busiest of "
        f"{len(document['agents']) - 1} agents: {ratio:.2f} times as fast on {os.cpu_count()} cores"
    )
