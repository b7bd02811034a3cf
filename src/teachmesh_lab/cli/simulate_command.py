"""`teachmesh bench simulate`: simulate many agents that learn and share, event by event."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from teachmesh.cli.command import command
from teachmesh.cli.output import emit, say, size, table
from teachmesh.cli.shared_options import HomeOption, JsonOption, integers, numbers, refuse_options

if TYPE_CHECKING:
    from collections.abc import Mapping


_SIMULATION_OPTIONS = ("agents", "tasks", "method", "bandwidth", "latency", "alpha", "speed")


def register_simulate(group: typer.Typer) -> None:
    """Add the command `simulate` to the group `bench`."""
    command(
        group,
        "simulate",
        "teachmesh bench simulate --agents 1,10,102",
        "teachmesh bench simulate --tasks tasks.csv --bandwidth 1e6 --latency 0.2 --json",
    )(simulate)


def simulate(
    context: typer.Context,
    agents: Annotated[
        str, typer.Option("--agents", help="Numbers of agents, comma-separated.")
    ] = "1,2,10,26,51,102",
    tasks: Annotated[
        Path | None,
        typer.Option(
            "--tasks",
            help="CSV: name,classes,train[,validation] or task,teacher_macs,skill_bytes. Default: "
            "the paper's 102 tasks.",
        ),
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(
            "--method",
            "-m",
            help="Method whose costs are estimated from task sizes; not one that trains the whole "
            "network. Default: moments.",
        ),
    ] = None,
    bandwidth: Annotated[
        float | None,
        typer.Option(
            "--bandwidth", help="Bytes per second of each agent. Default: derived from --alpha."
        ),
    ] = None,
    latency: Annotated[
        float, typer.Option("--latency", help="Seconds from a finished skill to its first byte.")
    ] = 0.1,
    alpha: Annotated[
        float | None,
        typer.Option(
            "--alpha",
            help="Multiply-accumulates per byte, if --bandwidth is not given. Default: 1000.",
        ),
    ] = None,
    speed: Annotated[
        str,
        typer.Option(
            "--speed",
            help="Multiply-accumulates per second; comma-separated for one value per agent.",
        ),
    ] = "1e12",
    replay: Annotated[
        Path | None,
        typer.Option(
            "--replay", help="Simulate the real agents of this run; not with other options."
        ),
    ] = None,
    home: HomeOption = None,
    json_output: JsonOption = False,
) -> None:
    """Simulate N agents that learn and share: makespan, speed-up, efficiency.

    Each number of agents is simulated with whole tasks, the longest first, and with whole tasks in
    the given order. Then large tasks are split into skills of their own. With class moments, the
    last row is for equal shares of all images as parts (`learn --part-of`). The home is not read.
    """
    from teachmesh_lab.simulation.simulate_grid import Setting, replay_run, run_simulation

    _ = home  # every command accepts --home, but this one does not need a home
    if replay is not None:
        refuse_options(context, _SIMULATION_OPTIONS, "with --replay")
        rows = replay_run(replay)
        if json_output:
            emit({"schema": "teachmesh.bench-replay/1", "rows": rows})
            return
        header = ["method", "agents", "measured s", "simulated s", "ratio"]
        say(table(header, [[str(value) for value in row.values()] for row in rows]))
        return
    setting = Setting(
        agents=integers(agents),
        tasks=tasks,
        method=method,
        bandwidth_bytes_per_s=bandwidth,
        latency_s=latency,
        alpha=alpha,
        speeds=numbers(speed),
    )
    document = run_simulation(setting)
    if json_output:
        emit(document)
        return
    rows_shown = [
        [
            row["tasks"],
            str(row["agents"]),
            f"{row['makespan_s'] / 3600:.3f}",
            f"{row['speedup']:.2f}",
            f"{row['efficiency']:.3f}",
            size(int(row["bytes_received"])),
        ]
        for row in document["rows"]
    ]
    costs = document["method"] or "costs as counted"
    say(f"{document['tasks']} tasks, {costs}, {_network(document)}")
    say(table(["tasks", "agents", "hours", "speed-up", "efficiency", "received"], rows_shown))


def _network(document: Mapping[str, Any]) -> str:
    if document["alpha"] is not None:
        return f"alpha {document['alpha']:g}"
    return f"{document['bandwidth_bytes_per_s']:g} bytes per second"
