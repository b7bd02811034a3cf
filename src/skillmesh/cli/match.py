"""`skillmesh match`: what the mesh already knows of a folder's classes, before learning."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from skillmesh.cli.command import command
from skillmesh.cli.options import (
    BackboneOption,
    DeviceOption,
    EncoderOption,
    HomeOption,
    JsonOption,
    SeedOption,
)
from skillmesh.cli.output import emit, plain, progress_bar, say

if TYPE_CHECKING:
    from skillmesh.agent.knowledge import MatchReport


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    command(
        app,
        "match",
        "skillmesh match photos/rooms",
        "skillmesh match photos/rooms --by text --json",
    )(match)


def match(
    path: Annotated[
        Path, typer.Argument(help="Folder, archive or CSV of a task.", show_default=False)
    ],
    by: Annotated[
        str,
        typer.Option("--by", help="auto (names that looks confirm), text (names), vision (looks)."),
    ] = "auto",
    encoder: EncoderOption = "auto",
    backbone: BackboneOption = None,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    home: HomeOption = None,
    json_output: JsonOption = False,
) -> None:
    """Say for every class what the bank already knows, who taught it and how sure that is.

    Nothing is learned or saved. With --by text no image is opened. `skillmesh learn --reuse auto`
    then learns from the classes that are listed here.
    """
    from skillmesh.agent import Agent
    from skillmesh.agent.looking_up import match_folder

    agent = Agent(home, backbone=backbone, device=device)
    with progress_bar("looking") as progress:
        report = match_folder(agent, path, mode=by, encoder=encoder, seed=seed, progress=progress)
    if json_output:
        emit(report.to_json())
    else:
        _show(report)


def _show(report: MatchReport) -> None:
    looks = "names and looks" if report.by_looks else "names only"
    say(f"{plain(report.task)} against {report.n_known} known tasks, by {looks}")
    if report.encoder == "names":
        say("no text encoder: names are equal after cleaning, or they are not")
    else:
        say(f"names compared by {report.encoder}")
    for name, matches in zip(report.classes, report.matches, strict=True):
        if not matches:
            say(f"  {plain(name)}: nothing known")
        for found in matches:
            say(
                f"  {plain(name)}: {plain(found.class_name)} in {plain(found.task)}, "
                f"taught by {plain(found.author)}, {found.score:.2f} by {found.by}"
            )
    total = len(report.classes)
    if report.n_matched:
        say(
            f"{report.n_matched} of {total} classes are known: their rows and means are a start "
            "for skillmesh learn --reuse auto"
        )
