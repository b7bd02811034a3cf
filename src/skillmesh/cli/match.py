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
    MethodOption,
    SeedOption,
)
from skillmesh.cli.output import emit, percent, plain, progress_bar, say

if TYPE_CHECKING:
    from skillmesh.agent.knowledge import MatchReport
    from skillmesh.training.savings import Saving

_TAKES = {
    "covariance": "how images vary, from the whole bank",
    "classes": "the known classes and how images vary",
    "rows": "the known classes' rows as a start",
}


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
    method: MethodOption = None,
    backbone: BackboneOption = None,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    home: HomeOption = None,
    json_output: JsonOption = False,
) -> None:
    """Say for every class what the bank already knows, who taught it and how sure that is.

    Nothing is learned or saved. With --by text no image is opened. `skillmesh learn --reuse auto`
    then learns from the classes that are listed here; what that would bring with a --method is
    tried on training images that are held out.
    """
    from skillmesh.agent import Agent
    from skillmesh.agent.looking_up import match_folder

    agent = Agent(home, backbone=backbone, device=device)
    with progress_bar("looking") as progress:
        report = match_folder(
            agent, path, mode=by, encoder=encoder, method=method, seed=seed, progress=progress
        )
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
    if report.n_matched:
        say(
            f"{report.n_matched} of {len(report.classes)} classes are known: their rows and means "
            "are a start for skillmesh learn --reuse auto"
        )
    if report.saving is not None:
        say(_describe(report.saving))


def _describe(saving: Saving) -> str:
    """What `learn --reuse` would bring, in one sentence."""
    if saving.right_alone is None or saving.right_with is None:
        return "learn --reuse would take nothing: there is nothing to try, or images enough"
    alone, helped = percent(saving.right_alone), percent(saving.right_with)
    if saving.takes == "nothing":
        return f"learn --reuse would take nothing: right on held-out images are {alone} anyway"
    return (
        f"learn --reuse would take {_TAKES[saving.takes]}: right on held-out images are {helped}, "
        f"{alone} when learning alone"
    )
