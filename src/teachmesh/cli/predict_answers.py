"""The work of `teachmesh predict`: classify images and print the answers.

Nothing here is slow to import, so that a running agent's answer is printed within milliseconds.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from teachmesh.cli.output import describe_encoder, emit, note, percent, plain, progress_bar, say
from teachmesh.cli.which_agent import agent_of
from teachmesh.errors import EXIT_OK, EXIT_SKIPPED, UsageError
from teachmesh.trust.policy import known_as
from teachmesh.web.running_agent import NoRunningAgent, RunningAgent

if TYPE_CHECKING:
    from teachmesh.agent import Agent, Answers, Prediction
    from teachmesh.reuse.text_encoders import NameComparer


@dataclass(frozen=True)
class PredictOptions:
    """The options of `teachmesh predict`; see its help."""

    task: str | None = None
    method: str | None = None
    backbone: str | None = None
    alternatives: int = 3
    false_alarms: float = 0.05
    encoder: str = "names"
    doubtful: int | None = None
    csv_output: bool = False
    device: str = "auto"
    engine: str = "torch"
    dtype: str = "fp32"
    local: bool = False
    home: Path | None = None
    json_output: bool = False

    def agent(self, *, local: bool) -> RunningAgent | Agent:
        """Return the agent that these options choose."""
        return agent_of(
            self.home,
            backbone=self.backbone,
            method=self.method,
            device=self.device,
            arithmetic=(self.engine, self.dtype),
            local=self.local or local,
        )


def classify(paths: Sequence[str], options: PredictOptions) -> int:
    """Classify images, print the answers, and return the exit code.

    Args:
        paths: image files, folders of images, or - for one image on stdin.
        options: the options of the command.

    Raises:
        TeachmeshError: no image can be classified, or an option is wrong.
    """
    if options.json_output and options.csv_output:
        raise UsageError("expected --json or --csv, got both; leave one out")
    comparer = None if options.encoder == "names" else _comparer(options.encoder)
    agent = options.agent(local=comparer is not None)
    for reason in agent.unusable_reasons():
        note(f"not used: {plain(reason)}")
    asked = [sys.stdin.buffer.read() if path == "-" else path for path in paths]
    try:
        answers = _answers(agent, asked, options)
    except NoRunningAgent:
        agent = options.agent(local=True)
        answers = _answers(agent, asked, options)
    if comparer is not None:  # the agent has already compared names for equality
        answers = _marked(answers, agent, comparer)
    _print(answers, options)
    return EXIT_SKIPPED if answers.failed else EXIT_OK


def _answers(
    agent: RunningAgent | Agent, asked: list[str | bytes], options: PredictOptions
) -> Answers:
    with progress_bar("predicting") as progress:
        return agent.predict_many(
            asked,
            task=options.task,
            alternatives=options.alternatives,
            false_alarms=options.false_alarms,
            progress=progress,
        )


def _print(answers: Answers, options: PredictOptions) -> None:
    """Print the answers in the chosen format."""
    if options.doubtful is not None:
        from teachmesh.cli.prediction_table import most_doubtful

        answers = most_doubtful(answers, options.doubtful)
    for failure in answers.failed:
        note(f"skipped: {plain(failure)}")
    if options.json_output:
        emit(answers.to_json())
    elif options.csv_output:
        from teachmesh.cli.prediction_table import show_table

        show_table(answers.predictions)
    else:
        for prediction in answers.predictions:
            _show(prediction, answers.encoder)


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
