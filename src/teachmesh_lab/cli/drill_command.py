"""`teachmesh drill`: attack an agent, and measure what honest tasks lose."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from teachmesh.cli.command import application, command
from teachmesh.cli.output import emit, note, percent, plain, say, table
from teachmesh.cli.shared_options import (
    BackboneOption,
    DtypeOption,
    EngineOption,
    HomeOption,
    JsonOption,
    SeedOption,
)
from teachmesh_lab.cli.packing_option import PackingOption

if TYPE_CHECKING:
    from collections.abc import Mapping


def register(app: typer.Typer) -> None:
    """Add the command group `drill` to the application."""
    group = application("Attack an agent, and measure what honest tasks lose.")
    app.add_typer(group, name="drill")
    command(
        group,
        "poison",
        "teachmesh drill poison",
        "teachmesh drill poison --tasks my-tasks/ --backbone mobilenetv2 --json",
    )(poison)


def poison(
    tasks: Annotated[
        Path | None,
        typer.Option(
            "--tasks", help="Folder of tasks. Default: small real tasks from installed packages."
        ),
    ] = None,
    backbone: BackboneOption = None,
    images: Annotated[
        int | None,
        typer.Option(
            "--images",
            min=1,
            help="Test images per task, at most. Default: all.",
        ),
    ] = None,
    packing: PackingOption = None,
    seed: SeedOption = 0,
    engine: EngineOption = "torch",
    dtype: DtypeOption = "fp32",
    home: HomeOption = None,
    json_output: JsonOption = False,
) -> None:
    """Send hostile skills to an agent that knows honest tasks, with defences off and on.

    Every task is taught by another author. Each attack comes as signed bytes through the checks for
    skills of peers. Without defences, answers use every skill that these checks admit.
    """
    from teachmesh_lab.drill.poison_drill import DrillOptions, run_drill
    from teachmesh_lab.evaluation.packing_text import read_packing

    wanted = read_packing(packing)
    options = DrillOptions(tasks, backbone, home, seed, images, wanted, engine, dtype)
    document = run_drill(options, log=note)
    if json_output:
        emit(document)
    else:
        _show(document)


def _show(document: Mapping[str, Any]) -> None:
    rows = [
        [
            plain(one["name"]),
            str(one["sent"]),
            percent(one["honest_undefended"]),
            percent(one["honest_defended"]),
            plain(one["stopped_by"]),
        ]
        for one in document["attacks"]
    ]
    say(table(["attack", "skills", "undefended", "defended", "stopped by"], rows))
    before = document["attacks"][0]["honest_before"]
    held, total = len(document["honest_quarantined"]), len(document["honest_tasks"])
    say(f"direct accuracy of {total} honest tasks without attack: {percent(before)}")
    say(f"honest skills in quarantine: {held} of {total}")
