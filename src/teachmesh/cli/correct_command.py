"""`teachmesh correct`: learn a photo that was answered wrongly."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from teachmesh.cli.command import command
from teachmesh.cli.output import emit, plain, say
from teachmesh.cli.shared_options import (
    BackboneOption,
    DeviceOption,
    DtypeOption,
    EngineOption,
    HomeOption,
    JsonOption,
)


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    command(
        app,
        "correct",
        "teachmesh correct part.jpg --task screws --class M4",
        "teachmesh correct part.jpg --task screws --class M5 --json",
    )(correct)


def correct(
    image: Annotated[Path, typer.Argument(help="The photo.", show_default=False)],
    task: Annotated[str, typer.Option("--task", help="Task of the photo.", show_default=False)],
    class_name: Annotated[
        str, typer.Option("--class", help="Its class, one of the task.", show_default=False)
    ],
    backbone: BackboneOption = None,
    device: DeviceOption = "auto",
    engine: EngineOption = "torch",
    dtype: DtypeOption = "fp32",
    home: HomeOption = None,
    json_output: JsonOption = False,
) -> None:
    """Learn a photo as a class of a task that this agent learned, or has a part of.

    If the photo was learned as another class before, it leaves that class first. It is recognised
    by its pixels, under any name. The new skill replaces the one before. Its exact sums need
    float32, so --dtype bf16 is refused.
    """
    from teachmesh.agent import Agent

    agent = Agent(home, backbone=backbone, device=device, engine=engine, dtype=dtype)
    found = agent.correct(image, task=task, class_name=class_name)
    if json_output:
        emit({**found.to_json(), **agent.backbone.arithmetic.to_json()})
        return
    before = f", no longer as {', '.join(map(plain, found.left))}" if found.left else ""
    again = " again; it was known" if found.known else ""
    say(f"learned as {plain(found.class_name)} of {plain(found.task)}{again}{before}")
    if found.skill_id:
        say(f"saved skill {found.skill_id[:12]}")
    elif found.part is not None:
        say(f"made part {found.part[:12]}; the owner makes the new skill when it has arrived")
