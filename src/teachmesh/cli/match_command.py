"""`teachmesh match`: list the classes of the bank that match those of a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from teachmesh.cli.command import command
from teachmesh.cli.output import (
    TAKES,
    describe_encoder,
    emit,
    note,
    percent,
    plain,
    progress_bar,
    say,
)
from teachmesh.cli.shared_options import (
    BackboneOption,
    DeviceOption,
    DtypeOption,
    EncoderOption,
    EngineOption,
    HomeOption,
    JsonOption,
    MethodOption,
    SeedOption,
    refuse_options,
)
from teachmesh.errors import EXIT_SKIPPED

if TYPE_CHECKING:
    from teachmesh.reuse.source_skills import MatchReport
    from teachmesh.reuse.transfer import TransferPreview


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    command(
        app,
        "match",
        "teachmesh match photos/rooms",
        "teachmesh match photos/rooms --by text --json",
    )(match)


def match(
    context: typer.Context,
    path: Annotated[
        Path, typer.Argument(help="Folder, archive or CSV of a task.", show_default=False)
    ],
    by: Annotated[
        str,
        typer.Option(
            "--by", help="auto (names confirmed by images), text (names), vision (images)."
        ),
    ] = "auto",
    encoder: EncoderOption = "auto",
    method: MethodOption = None,
    backbone: BackboneOption = None,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    engine: EngineOption = "torch",
    dtype: DtypeOption = "fp32",
    home: HomeOption = None,
    json_output: JsonOption = False,
) -> None:
    """List matching classes of the bank for every class, with author and score.

    Nothing is learned or saved. With --by text no image is opened. `teachmesh learn --reuse auto`
    uses the classes that are listed here; its gain is measured on held-out training images.
    Skills of other backbones are not compared. The anchors of a skill do not matter.
    """
    from teachmesh.agent import Agent

    if by == "text":
        refuse_options(context, ("engine", "dtype"), "with --by text")
    agent = Agent(home, backbone=backbone, device=device, engine=engine, dtype=dtype, reading=True)
    for reason in agent.catalogue().unmatchable_reasons():
        note(f"not used: {plain(reason)}")
    with progress_bar("matching") as progress:
        report = agent.match(
            path, mode=by, encoder=encoder, method=method, seed=seed, progress=progress
        )
    for failure in report.skipped_reasons:
        note(f"skipped: {plain(failure)}")
    if json_output:
        # Without images, no latents were computed.
        ways = {} if report.preview is None else agent.backbone.arithmetic.to_json()
        emit({**report.to_json(), **ways})
    else:
        _show(report)
    if report.skipped:
        raise typer.Exit(EXIT_SKIPPED)


def _show(report: MatchReport) -> None:
    if report.skipped:
        say(f"{report.skipped} unreadable images skipped")
    say(f"{plain(report.task)} against {report.n_known} known tasks, {_way(report)}")
    if report.encoder is not None:
        say(describe_encoder(report.encoder))
    for name, matches in zip(report.classes, report.matches, strict=True):
        if not matches:
            say(f"  {plain(name)}: nothing known")
        for found in matches:
            say(
                f"  {plain(name)}: {plain(found.class_name)} in {plain(found.task)}, "
                f"taught by {plain(found.author)}, {found.score:.2f} by {found.by}"
            )
    if report.n_matched:
        start = ": they are a start for teachmesh learn --reuse auto"
        if report.preview is not None and report.preview.takes == "nothing":
            start = ""
        say(f"{report.n_matched} of {len(report.classes)} classes are known{start}")
    if report.preview is not None:
        say(_describe(report.preview))


def _way(report: MatchReport) -> str:
    """Describe how classes were compared, which may differ from the requested mode."""
    if report.mode == "text":
        return "by names only"
    way = "by looks" if report.mode == "vision" else "by names and looks"
    if report.by_looks or not report.n_known:
        return way
    less = "nothing to match" if report.mode == "vision" else "by names only"
    return f"{less}: no known task has class moments to compare images with"


def _describe(preview: TransferPreview) -> str:
    """Describe the expected effect of `learn --reuse` in one sentence."""
    if preview.right_alone is None or preview.right_with is None:
        return (
            "learn --reuse would take nothing and try nothing: no matching class, a class "
            "with one image, or more than 20 images per class"
        )
    alone, helped = percent(preview.right_alone), percent(preview.right_with)
    if preview.takes == "nothing":
        return f"learn --reuse would take nothing: right on held-out images are {alone} anyway"
    return (
        f"learn --reuse would take {TAKES[preview.takes]}: right on held-out images are {helped}, "
        f"{alone} when learning alone"
    )
