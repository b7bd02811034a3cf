"""Right answers of an agent on test images: mapper, oracle, final, direct."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from teachmesh.biases.bias_task import decode_rows
from teachmesh.errors import DataError
from teachmesh_lab.evaluation.metrics import Given, answer

if TYPE_CHECKING:
    import torch

    from teachmesh.agent import Agent
    from teachmesh.data.images import ImageRef
    from teachmesh.mapping.decisions import Decisions
    from teachmesh.model.embedding import LabelledLatents


@dataclass(frozen=True)
class TaskScore:
    """Accuracy on the test images of one task, fractions of 1.

    Attributes:
        name: the task.
        classes: number of classes.
        test_images: number of test images.
        mapper: right task, found without being told.
        oracle: right class when the task is given.
        final: right class without oracle, the paper's way: mapper, then that task's decision.
        direct: right class without oracle, best of all classes of all tasks; None where the
            mapper has no scores of classes.
        skill_bytes: size of the skill as it travels.
        unknown: share of these images (all of a known task) that were called unknown.
        accuracy: right class without oracle, as the agent answers: `direct` or `final`. Not in the
            document, which has both.
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
    accuracy: float

    def to_json(self) -> dict[str, Any]:
        """The task's object in the evaluation document."""
        return {key: value for key, value in asdict(self).items() if key != "accuracy"}


def second_passes(agent: Agent, decisions: Decisions, images: Sequence[ImageRef] | None) -> Given:
    """Second passes of images whose latents were computed before.

    Args:
        agent: whose skills have biases, or none has.
        decisions: about the images.
        images: where they are; None runs no second pass.
    """
    second = agent.second_pass()
    if second is None or images is None:
        return lambda _: decisions
    from teachmesh.biases.second_pass import Refiner

    def kept(rows: np.ndarray) -> tuple[torch.Tensor, ...]:
        return second.kept(decode_rows(images, rows, agent.backbone.size))

    return Refiner(second, decisions, kept).given


def measure(
    agent: Agent,
    classes: Mapping[str, Sequence[str]],
    tests: Mapping[str, LabelledLatents],
    images: Mapping[str, Sequence[ImageRef]] | None = None,
) -> list[TaskScore]:
    """Answer for the test images of every task with everything the agent knows.

    Args:
        agent: knows a skill for each of the tasks, under the task's name.
        classes: by task, class names in label order.
        tests: by task, latents and labels of the test images.
        images: by task, where these images are, for second passes; without them biases are not
            used.

    Raises:
        DataError: the agent has no skill of a task, or one with other classes.
    """
    infos = {info.task: info for info in agent.skills() if info.usable}
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
        given = second_passes(agent, decisions, images[name] if images else None)
        scores.append(score_task(name, task, decisions, test.labels, info.size_bytes, given))
    return scores


def score_task(
    name: str,
    task: int,
    decisions: Decisions,
    labels: np.ndarray,
    skill_bytes: int,
    given: Given | None = None,
) -> TaskScore:
    """Score the decisions about images of one task.

    Args:
        name: the task.
        task: its position among the skills.
        decisions: about N images of this task, after the first pass.
        labels: (N,) int64 true classes.
        skill_bytes: size of its skill.
        given: runs second passes; None for skills without biases.
    """
    answers = answer(decisions, np.full(len(labels), task), given)
    right = answers.score(task, labels)
    unknown = 0.0
    if decisions.typicality is not None:
        chosen = decisions.typicality[np.arange(len(labels)), answers.task]
        unknown = float(np.mean(chosen < 0))
    return TaskScore(
        name=name,
        classes=decisions.within[task].shape[1],
        test_images=len(labels),
        mapper=right.mapper,
        oracle=right.oracle,
        final=right.final,
        direct=right.direct,
        skill_bytes=skill_bytes,
        unknown=unknown,
        accuracy=right.accuracy,
    )


def mean_of(scores: Sequence[TaskScore]) -> dict[str, float | None]:
    """Unweighted means over tasks; None where the method has no such figure."""
    means: dict[str, float | None] = {
        key: float(np.mean([getattr(score, key) for score in scores]))
        for key in ("mapper", "oracle", "final", "skill_bytes")
    }
    direct = [score.direct for score in scores if score.direct is not None]
    means["direct"] = float(np.mean(direct)) if len(direct) == len(scores) else None
    return means
