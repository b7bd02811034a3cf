"""`teachmesh learn`: learn a skill from a folder of images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from teachmesh.bank.withheld import describe_withheld
from teachmesh.cli.command import command
from teachmesh.cli.output import (
    TAKES,
    describe_biases,
    describe_encoder,
    emit,
    note,
    percent,
    plain,
    progress_bar,
    say,
    size,
)
from teachmesh.cli.shared_options import (
    AllowFewOption,
    BackboneOption,
    BiasOption,
    ClustersOption,
    DeviceOption,
    DtypeOption,
    EncoderOption,
    EngineOption,
    ForceOption,
    HomeOption,
    JsonOption,
    MaxBytesOption,
    MethodOption,
    PassesOption,
    QualityOption,
    SamplesOption,
    SeedOption,
    VarianceFloorOption,
    percentages,
    samples_of,
)
from teachmesh.errors import EXIT_SKIPPED

if TYPE_CHECKING:
    from teachmesh.agent import LearnResult
    from teachmesh.agent.teaching.learn_task import Reuse


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    command(
        app,
        "learn",
        "teachmesh learn photos/screws",
        "teachmesh learn birds.tar --name birds --method maha --json",
        "teachmesh learn more_photos/ --add-to screws",
        "teachmesh learn my_photos/ --part-of screws@alice",
        "teachmesh learn traffic_signs/ --bb auto --bb-passes 8",
        "teachmesh learn photos/screws --max-bytes 16000",
    )(learn)


def learn(
    path: Annotated[
        Path,
        typer.Argument(
            help="root/<class>/*, root/{train,val,test}/<class>/*, a .tar or .zip of it, a CSV.",
            show_default=False,
        ),
    ],
    name: Annotated[
        str | None, typer.Option("--name", "-n", help="Name of the task.", show_default=False)
    ] = None,
    method: MethodOption = None,
    quality: QualityOption = None,
    bb: BiasOption = None,
    bb_passes: PassesOption = None,
    also: Annotated[
        list[str] | None,
        typer.Option(
            "--also",
            help="Further method whose anchor the skill also carries; may be repeated.",
            show_default=False,
        ),
    ] = None,
    clusters: ClustersOption = None,
    samples: SamplesOption = None,
    variance_floor: VarianceFloorOption = None,
    max_bytes: MaxBytesOption = None,
    backbone: BackboneOption = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace the skill of this name.")
    ] = False,
    force: ForceOption = False,
    add_to: Annotated[
        str | None,
        typer.Option(
            "--add-to",
            help="Add the images to this task, as if all had been learned at once.",
            show_default=False,
        ),
    ] = None,
    part_of: Annotated[
        str | None,
        typer.Option(
            "--part-of",
            help="Make the images a part of this task of another agent, such as screws@alice.",
            show_default=False,
        ),
    ] = None,
    no_statistics: Annotated[
        bool,
        typer.Option("--no-statistics", help="Keep no private statistics: the task cannot grow."),
    ] = False,
    private: Annotated[
        bool,
        typer.Option("--private", help="Send the skill to nobody; `skills share` can do it later."),
    ] = False,
    allow_few: AllowFewOption = False,
    reuse: Annotated[
        str,
        typer.Option(
            "--reuse",
            help="Transfer from matching classes of the bank: auto, text, vision or none.",
        ),
    ] = "none",
    encoder: EncoderOption = "auto",
    layout: Annotated[
        str,
        typer.Option(
            "--layout",
            help="Meaning of the top folders: auto, classes or splits (train, val, test).",
        ),
    ] = "auto",
    split: Annotated[
        str | None,
        typer.Option(
            "--split",
            help="Percent of the images for validation/test, of a source without splits. 0/0 "
            "trains on every image. Default: 10/10.",
            show_default=False,
        ),
    ] = None,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    engine: EngineOption = "torch",
    dtype: DtypeOption = "fp32",
    home: HomeOption = None,
    json_output: JsonOption = False,
) -> None:
    """Learn one task from a folder of images and save it as a skill.

    Learning takes one backbone pass over the training and validation images. Beneficial biases
    (--bb) take a few more, and are kept only if they help on validation images. Test images are
    never used. A task that this agent already learned is refused unless --replace is given. The new
    version must have all classes of the old one and be no worse on validation images.

    With --add-to, a task that was learned with moments gets more images of its classes, new
    classes, or both. Its earlier images are not needed: the agent keeps private sums in its home.

    With --part-of, the images become a part of a task of another agent, which must have invited
    this one (teachmesh skills invite). A part has exact sums of the images, which tell more than a
    skill. It goes only to agents with parts of the task. The owner publishes the skill of all
    parts.

    With --reuse, matching classes of the bank are used if they help on held-out images; the card
    lists every class that was used. Otherwise anchor and head are the same as without --reuse.
    """
    from teachmesh.agent import Agent

    agent = Agent(home, backbone=backbone, device=device, engine=engine, dtype=dtype)
    with progress_bar("learning") as progress:
        result = agent.learn(
            path,
            name=name,
            method=method,
            quality=quality,
            bb=bb,
            bb_passes=bb_passes,
            also=tuple(also or ()),
            replace=replace,
            force=force,
            add_to=add_to,
            part_of=part_of,
            statistics=not no_statistics,
            private=private,
            allow_few=allow_few,
            layout=layout,
            split=percentages(split),
            seed=seed,
            reuse=reuse,
            encoder=encoder,
            clusters=clusters,
            samples=samples_of(samples),
            variance_floor=variance_floor,
            max_bytes=max_bytes,
            progress=progress,
            on_understood=None if json_output else note,
        )
    if json_output:
        emit({**result.to_json(), **agent.backbone.arithmetic.to_json()})
    else:
        _show(result)
    if result.skipped:
        raise typer.Exit(EXIT_SKIPPED)


def _show(result: LearnResult) -> None:
    if result.skipped:
        say(f"{result.skipped} unreadable images skipped:")
        for line in result.skipped_reasons[:5]:
            say(f"  {plain(line)}")
    for warning in result.warnings:
        say(f"warning: {plain(warning)}")
    if not result.skill_id:
        _show_part(result)
        return
    images_per_s = result.n_images / max(result.wall_s, 1e-9)
    say(
        f"learned {plain(result.task)} in {result.wall_s:.1f} s ({images_per_s:.0f} images/s); "
        f"right on validation images: {percent(result.validation_accuracy)}"
    )
    if result.reuse is not None:
        say(_describe(result.reuse, len(result.classes), result.reused))
    if result.biases is not None:
        say(describe_biases(result.biases.to_json()))
    if result.packing is not None:
        say(f"made small: {result.packing}")
    saved = f"saved skill {result.skill_id[:12]} ({size(result.size_bytes)})"
    if result.withheld is None:
        say(f"{saved}, shares: {result.privacy}")
    else:
        say(saved)
        say(plain(describe_withheld(result.task, result.withheld)))


def _show_part(result: LearnResult) -> None:
    names = ", ".join(part[:12] for part in result.parts)
    say(
        f"made part {names} of {plain(result.task)} ({result.n_images} images, "
        f"{size(result.size_bytes)}), shares: exact sums"
    )
    say("agents with parts of this task get it when this agent runs: teachmesh up")


def _describe(reuse: Reuse, n_classes: int, n_parents: int) -> str:
    """Describe the matches and the transfer in one sentence."""
    known = f"{reuse.known} of {n_classes} classes known in {reuse.tasks} tasks"
    if reuse.takes == "nothing":
        taken = "took nothing, the skill is the same as without --reuse"
    else:
        taken = f"took {TAKES[reuse.takes]}"
    named = f", {n_parents} old classes named on the card" if n_parents else ""
    return f"reuse: {known}, {taken}{named}; {describe_encoder(reuse.encoder)}"
