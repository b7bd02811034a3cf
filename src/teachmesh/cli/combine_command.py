"""`teachmesh combine`: make a new task from classes of the bank, without images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from teachmesh.cli.command import command
from teachmesh.cli.output import describe_encoder, emit, plain, say, size
from teachmesh.cli.shared_options import (
    BackboneOption,
    DeviceOption,
    EncoderOption,
    ForceOption,
    HomeOption,
    JsonOption,
)

if TYPE_CHECKING:
    from teachmesh.agent.teaching.combine_classes import Combination


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    command(
        app,
        "combine",
        "teachmesh combine pets dog cat horse",
        "teachmesh combine garage jaguar lada:niva --from cars --from lada --json",
        "teachmesh combine pets dog cat --rows inf                    # the paper's Fig. 13",
    )(combine)


def combine(
    name: Annotated[str, typer.Argument(help="Name of the new task.", show_default=False)],
    classes: Annotated[
        list[str],
        typer.Argument(
            help="Two or more classes of the bank; TASK:CLASS takes the class of one task only.",
            show_default=False,
        ),
    ],
    tasks: Annotated[
        list[str] | None,
        typer.Option(
            "--from", help="Take classes from this task; may be repeated. Default: all tasks."
        ),
    ] = None,
    encoder: EncoderOption = "auto",
    rows: Annotated[
        str | None,
        typer.Option(
            "--rows",
            help="Make the head of old head rows, divided by their p-norm, as in the paper: p is "
            "inf, 2 or none (undivided). Default: the discriminant of the class moments.",
            show_default=False,
        ),
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(
            "--method",
            "-m",
            help="Kind of skills to combine: moments, or maha with --rows. Default: the home's.",
            show_default=False,
        ),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace the skill of this name.")
    ] = False,
    force: ForceOption = False,
    backbone: BackboneOption = None,
    device: DeviceOption = "auto",
    home: HomeOption = None,
    json_output: JsonOption = False,
) -> None:
    """Make a task from classes of the bank; no image is needed.

    Each class is the mean of all classes of the bank with its name; the card lists them. No image
    tests the accuracy. If you have a few images, use `teachmesh learn --reuse auto` instead. Use
    the new task with `teachmesh predict --task NAME`, because the old tasks also answer without it.
    """
    from teachmesh.agent import Agent

    agent = Agent(home, backbone=backbone, mapper=method, device=device)
    result = agent.combine(
        name,
        classes,
        tasks=tuple(tasks or ()),
        encoder=encoder,
        rows=rows,
        replace=replace,
        force=force,
    )
    if json_output:
        emit(result.to_json())
    else:
        _show(result)


def _show(result: Combination) -> None:
    for name, row in zip(result.classes, result.parents, strict=True):
        old = (f"{plain(m.class_name)} in {plain(m.task)} ({plain(m.author)})" for m in row)
        say(f"  {plain(name)}: {', '.join(old)}")
    say(describe_encoder(result.encoder))
    say(
        f"put {plain(result.task)} together from {sum(map(len, result.parents))} classes, without "
        f"an image; saved skill {result.skill_id[:12]} ({size(result.size_bytes)})"
    )
