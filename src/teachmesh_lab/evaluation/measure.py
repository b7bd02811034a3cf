"""Measure an agent's accuracies on test images: mapper, oracle, final and direct."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from teachmesh.agent.answers.second_passes import Known, second_passes
from teachmesh.errors import DataError
from teachmesh.mapping.accuracies import Given, choose
from teachmesh.mapping.typicality import FALSE_ALARMS
from teachmesh_lab.evaluation.image_answers import ImageAnswers

if TYPE_CHECKING:
    from teachmesh.agent import Agent
    from teachmesh.data.images import ImageRef
    from teachmesh.mapping.decisions import Decisions
    from teachmesh.model.embedding import LabelledLatents


@dataclass(frozen=True)
class TaskScore:
    """Accuracies on the test images of one task, as fractions of 1 (see `accuracies.Accuracies`).

    Attributes:
        name: name of the task.
        classes: number of classes.
        test_images: number of test images.
        mapper: fraction of images for which the task mapper chooses the right task.
        oracle: fraction of images with the right class if the task is given.
        final: fraction with the right task and class; the mapper chooses the task, as in the paper.
        direct: fraction with the right task and class; the best of all classes is chosen. None if
            the mapper does not score classes.
        skill_bytes: size of the encoded and signed skill.
        unknown: fraction of images that were called unknown, although their task is known.
        answers: answers to each image; not part of the JSON document.
    """

    name: str
    classes: int
    test_images: int
    mapper: float
    oracle: float
    final: float
    direct: float | None
    skill_bytes: int
    unknown: float
    answers: ImageAnswers | None = field(default=None, repr=False, compare=False)

    def to_json(self) -> dict[str, Any]:
        """Return the task's object in the evaluation document."""
        return {name: value for name, value in vars(self).items() if name != "answers"}


def measure(
    agent: Agent,
    classes: Mapping[str, Sequence[str]],
    tests: Mapping[str, LabelledLatents],
    images: Mapping[str, Sequence[ImageRef]] | None = None,
    known: Mapping[str, Known] | None = None,
) -> list[TaskScore]:
    """Classify the test images of every task with all skills of an agent, and score the answers.

    Args:
        agent: agent with one skill per task; the skill has the task's name.
        classes: task -> class names in label order.
        tests: task -> latents and labels of the test images.
        images: task -> the test images, for second passes; if None, biases are not used.
        known: task -> results of earlier second passes; new ones are added.

    Raises:
        DataError: the agent has no skill for a task, or that skill has different classes.
    """
    infos = {info.task: info for info in agent.infos() if info.usable}
    scores = []
    for name, test in tests.items():
        if name not in infos:
            raise DataError(f"expected a skill for the task {name!r}, found none in the bank")
        info = infos[name]
        decisions = agent.sync().decide(test.latents)
        task = decisions.skill_ids.index(info.id)
        learned = agent.sync().skill(info.id).card.classes
        if tuple(learned) != tuple(classes[name]):
            raise DataError(f"the skill of {name!r} knows other classes than its test images")
        earlier = known[name] if known else None
        given = second_passes(agent, decisions, images[name] if images else None, earlier)
        score = score_task(name, task, decisions, test.labels, info.size_bytes, given)
        scores.append(_in_order_of(list(tests), score, decisions, agent))
    return scores


def _in_order_of(
    names: Sequence[str], score: TaskScore, decisions: Decisions, agent: Agent
) -> TaskScore:
    """Number the answered tasks by their positions among the measured ones, others as the last."""
    assert score.answers is not None
    assert score.answers.tasks is not None
    cards = [agent.sync().skill(skill).card.task for skill in decisions.skill_ids]
    position = np.array([names.index(card) if card in names else len(names) for card in cards])
    answers = replace(score.answers, tasks=position[score.answers.tasks])
    return replace(score, answers=answers)


def score_task(
    name: str,
    task: int,
    decisions: Decisions,
    labels: np.ndarray,
    skill_bytes: int,
    given: Given | None = None,
) -> TaskScore:
    """Score the decisions for N images of one task.

    Args:
        name: name of the task.
        task: position of the task among the skills.
        decisions: decisions of the first pass.
        labels: (N,) int64 array of true classes.
        skill_bytes: size of the task's skill.
        given: function that runs second passes; None if skills have no biases.
    """
    answers = choose(decisions, np.full(len(labels), task), given)
    right = answers.score(task, labels)
    return TaskScore(
        name=name,
        classes=decisions.n_classes[task],
        test_images=len(labels),
        mapper=right.mapper,
        oracle=right.oracle,
        final=right.final,
        direct=right.direct,
        skill_bytes=skill_bytes,
        unknown=float(np.mean(is_unknown(decisions, answers.mapped))),
        answers=ImageAnswers.of(answers, labels),
    )


def is_unknown(
    decisions: Decisions, tasks: np.ndarray, false_alarms: float = FALSE_ALARMS
) -> np.ndarray:
    """Return an (N,) array of whether each image is called unknown.

    Args:
        decisions: decisions about N images.
        tasks: (N,) position of the task that was chosen for each image.
        false_alarms: fraction of known images that may be called unknown.
    """
    unknown = np.zeros(len(tasks), dtype=bool)
    for task in np.unique(tasks):
        held_out = decisions.held_out[task]
        threshold = None if held_out is None else held_out.threshold(false_alarms)
        if threshold is not None:
            rows = tasks == task
            unknown[rows] = decisions.familiarity[task][rows] < threshold
    return unknown


def mean_of(scores: Sequence[TaskScore]) -> dict[str, float | None]:
    """Return unweighted means over tasks; `direct` is None if a task has no such accuracy."""
    means: dict[str, float | None] = {
        key: float(np.mean([getattr(score, key) for score in scores]))
        for key in ("mapper", "oracle", "final", "skill_bytes")
    }
    direct = [score.direct for score in scores if score.direct is not None]
    means["direct"] = float(np.mean(direct)) if len(direct) == len(scores) else None
    return means
