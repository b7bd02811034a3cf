"""Predictions as a table for spreadsheets, and the least sure ones first."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from teachmesh.cli.output import say

if TYPE_CHECKING:
    from teachmesh.agent import Prediction
    from teachmesh.agent.answers.prediction import Answers

COLUMNS = ("image", "task", "class", "probability", "unknown", "skill", "alias", "author")
RUNNER_UP = ("runner_up_task", "runner_up_class", "runner_up_probability")


def most_doubtful(answers: Answers, count: int) -> Answers:
    """Keep the least sure answers: images that are unknown, then those of low probability.

    Args:
        answers: answers about images.
        count: number of answers to keep.
    """
    ordered = sorted(answers.predictions, key=lambda p: (p.unknown is not True, p.probability))
    return replace(answers, predictions=tuple(ordered[:count]))


def show_table(predictions: Sequence[Prediction]) -> None:
    """Print one line of comma-separated values for each image, after a line of headings.

    Raises:
        StorageError: stdout cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*COLUMNS, *RUNNER_UP])
    writer.writerows(_row(prediction) for prediction in predictions)
    say(text.getvalue().removesuffix("\n"))


def _row(one: Prediction) -> list[object]:
    unknown = {True: "yes", False: "no", None: ""}[one.unknown]
    row = [_cell(one.image), _cell(one.task), _cell(one.class_name), f"{one.probability:.4f}"]
    row += [unknown, one.skill_id[:12], _cell(one.alias), one.author]
    if not one.alternatives:
        return [*row, "", "", ""]
    other = one.alternatives[0]
    return [*row, _cell(other.task), _cell(other.class_name), f"{other.probability:.4f}"]


def _cell(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
