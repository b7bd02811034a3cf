"""`teachmesh predict`: classify images without knowing their task."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from teachmesh.cli.command import command
from teachmesh.cli.output import describe_encoder, emit, note, percent, plain, progress_bar, say
from teachmesh.cli.prediction_table import check_formats, most_doubtful, show_table
from teachmesh.cli.shared_options import (
    BackboneOption,
    DeviceOption,
    DtypeOption,
    EngineOption,
    HomeOption,
    JsonOption,
    LocalOption,
    MethodOption,
)
from teachmesh.cli.which_agent import agent_of
from teachmesh.errors import EXIT_SKIPPED
from teachmesh.trust.policy import known_as
from teachmesh.web.running_agent import NoRunningAgent

if TYPE_CHECKING:
    from teachmesh.agent import Answers, Prediction
    from teachmesh.reuse.text_encoders import NameComparer


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
    milliseconds.
    """
    check_formats(json_output=json_output, csv_output=csv_output)
    alone = partial(
        agent_of,
        home,
        backbone=backbone,
        method=method,
        device=device,
        arithmetic=(engine, dtype),
    )
    comparer = None if encoder == "names" else _comparer(encoder)
    agent = alone(local=local or comparer is not None)
    for reason in agent.unusable_reasons():
        note(f"not used: {plain(reason)}")
    asked = [sys.stdin.buffer.read() if path == "-" else path for path in paths]
    with progress_bar("predicting") as progress:
        options: dict[str, Any] = {
            "task": task,
            "alternatives": alternatives,
            "false_alarms": false_alarms,
            "progress": progress,
        }
        try:
            answers = agent.predict_many(asked, **options)
        except NoRunningAgent:
            agent = alone(local=True)
            answers = agent.predict_many(asked, **options)
    if comparer is not None:  # the agent has already compared names for equality
        answers = _marked(answers, agent, comparer)
    if doubtful is not None:
        answers = most_doubtful(answers, doubtful)
    for failure in answers.failed:
        note(f"skipped: {plain(failure)}")
    if json_output:
        emit(answers.to_json())
    elif csv_output:
        show_table(answers.predictions)
    else:
        for prediction in answers.predictions:
            _show(prediction, answers.encoder)
    if answers.failed:
        raise typer.Exit(EXIT_SKIPPED)


def _comparer(encoder: str) -> NameComparer:
    # Imported here because it is slow and rarely needed.
    from teachmesh.reuse.text_encoders import choose_encoder

    return choose_encoder(encoder)


def _marked(answers: Answers, agent: Any, comparer: NameComparer) -> Answers:
    from teachmesh.agent.answers.answer_writer import mark_equivalent

    return mark_equivalent(answers, agent.sources(), comparer)


def _show(prediction: Prediction, encoder: str) -> None:
    by = "" if encoder == "names" else f" ({describe_encoder(encoder)})"
    doubt = "unknown, nearest: " if prediction.unknown else ""
    say(
        f"{plain(prediction.image)}: {doubt}{plain(prediction.task)} / "
        f"{plain(prediction.class_name)} {percent(prediction.probability)} "
        f"(skill {prediction.skill_id[:12]} from {known_as(prediction.alias, prediction.author)})"
    )
    if prediction.unknown is None:
        say(f"    cannot say whether it is unknown: {prediction.unknown_reason}")
    for same in prediction.same_as:
        say(f"    same as {plain(same.class_name)} in task {plain(same.task)}{by}")
    if prediction.same_as and prediction.probability_together is not None:
        say(f"    together {percent(prediction.probability_together)}")
    for other in prediction.alternatives:
        say(f"    {plain(other.task)} / {plain(other.class_name)} {percent(other.probability)}")
