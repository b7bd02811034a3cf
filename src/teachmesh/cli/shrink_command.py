"""`teachmesh skills shrink`: publish a smaller version of a task."""

from __future__ import annotations

from typing import Annotated

import typer

from teachmesh.cli.command import command
from teachmesh.cli.output import emit, percent, plain, say, size
from teachmesh.cli.shared_options import (
    BackboneOption,
    DeviceOption,
    HomeOption,
    JsonOption,
    SkillArgument,
)


def register(group: typer.Typer) -> None:
    """Add the command to the group `skills`."""
    command(
        group,
        "shrink",
        "teachmesh skills shrink screws --max-bytes 16000",
        "teachmesh skills shrink screws --max-bytes 8000 --json",
    )(shrink)


def shrink(
    skill: SkillArgument,
    max_bytes: Annotated[
        int,
        typer.Option(
            "--max-bytes", min=1, help="Largest size of the new version.", show_default=False
        ),
    ],
    backbone: BackboneOption = None,
    device: DeviceOption = "auto",
    home: HomeOption = None,
    json_output: JsonOption = False,
) -> None:
    """Replace the skill of your own task by a version with fewer bytes, on all agents.

    Class means, directions and head get fewer bits per number. The most accurate way that fits is
    chosen. `skills restore` makes the larger version active again.
    """
    from teachmesh.agent import Agent

    done = Agent(home, backbone=backbone, device=device).shrink(skill, max_bytes)
    if json_output:
        emit(done.to_json())
        return
    name, after = plain(done.task), size(done.size_bytes)
    if not done.changed:
        say(f"{name} has {after} already; nothing was changed")
        return
    say(f"made {name} small: {size(done.before_bytes)} -> {after}, {done.packing}")
    say(f"right on validation images: {percent(done.validation_accuracy)}")
    say(f"saved skill {done.skill_id[:12]}")
