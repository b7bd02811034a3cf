"""`teachmesh predict`: classify images without knowing their task."""

from __future__ import annotations

from typing import Annotated

import typer

from teachmesh.cli.command import command
from teachmesh.cli.predict_answers import PredictOptions, classify
from teachmesh.cli.shared_options import (
    BackboneOption,
    DeviceOption,
    DtypeOption,
    EngineOption,
    HomeOption,
    JsonOption,
    LocalOption,
    MethodOption,
    options_given,
)


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    command(
        app,
        "predict",
        "teachmesh predict part.jpg",
        "teachmesh predict photos/ --json",
        "teachmesh predict photos/ --false-alarms 0.01",
        "teachmesh predict photos/ --doubtful 20 --csv",
        "cat part.jpg | teachmesh predict -",
    )(predict)


def predict(
    context: typer.Context,
    paths: Annotated[
        list[str],
        typer.Argument(help="Image files, folders of images, or - for one image on stdin."),
    ],
    task: Annotated[
        str | None,
        typer.Option(
            "--task",
            help="Choose among the classes of this task only: its name (your own first) or "
            "task@alias.",
        ),
    ] = None,
    method: MethodOption = None,
    backbone: BackboneOption = None,
    alternatives: Annotated[
        int,
        typer.Option("--alternatives", "-k", min=0, max=50, help="Number of runners-up to show."),
    ] = 3,
    false_alarms: Annotated[
        float,
        typer.Option(
            "--false-alarms",
            help="Fraction of known images that may be called unknown, up to 0.25.",
        ),
    ] = 0.05,
    encoder: Annotated[
        str,
        typer.Option(
            "--encoder",
            help='How class names are compared for "same as": names (equal after cleaning), auto, '
            "minilm (offline), clip.",
        ),
    ] = "names",
    doubtful: Annotated[
        int | None,
        typer.Option(
            "--doubtful",
            min=1,
            help="Show this many of the least sure answers only, the least sure first.",
            show_default=False,
        ),
    ] = None,
    csv_output: Annotated[
        bool, typer.Option("--csv", help="Print a table with one line per image.")
    ] = False,
    device: DeviceOption = "auto",
    engine: EngineOption = "torch",
    dtype: DtypeOption = "fp32",
    local: LocalOption = False,
    home: HomeOption = None,
    json_output: JsonOption = False,
) -> None:
    """Classify images: task, class, probability, and author of the skill.

    All tasks are scored in one backbone pass. The best one chooses the class. Images that resemble
    no known task are marked unknown. If `teachmesh up` runs in this home, it answers in
    milliseconds, with its own engine. With --engine or --dtype, this command answers itself. If a
    skill has biases, all images then still pass through torch with fp32.
    """
    chosen = {"engine", "dtype"} & options_given(context).keys()
    options = PredictOptions(
        task=task,
        method=method,
        backbone=backbone,
        alternatives=alternatives,
        false_alarms=false_alarms,
        encoder=encoder,
        doubtful=doubtful,
        csv_output=csv_output,
        device=device,
        engine=engine,
        dtype=dtype,
        local=local or bool(chosen),
        home=home,
        json_output=json_output,
    )
    if code := classify(paths, options):
        raise typer.Exit(code)
