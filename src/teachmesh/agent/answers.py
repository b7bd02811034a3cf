"""From decisions to answers: probabilities, runners-up, who taught it, "unknown"."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from teachmesh.agent.prediction import Alternative, Prediction

if TYPE_CHECKING:
    from teachmesh.agent.catalogue import SkillInfo
    from teachmesh.agent.student import Student
    from teachmesh.mapping.decisions import Decisions


@dataclass(frozen=True)
class Taught:
    """What an answer says about the skill that gave it.

    Attributes:
        skill_id: id of the skill.
        task: display name of its task.
        classes: names of its classes.
        author: agent id of its author.
        alias: the author's alias.
    """

    skill_id: str
    task: str
    classes: tuple[str, ...]
    author: str
    alias: str


def taught_by(student: Student, infos: Iterable[SkillInfo]) -> dict[str, Taught]:
    """By id, what answers say about each skill that a student knows.

    Args:
        student: of these skills.
        infos: about the skills of the bank.
    """
    by_id = {info.id: info for info in infos}
    return {
        skill_id: Taught(
            skill_id,
            by_id[skill_id].display_name,
            student.skill(skill_id).card.classes,
            by_id[skill_id].author,
            by_id[skill_id].alias,
        )
        for skill_id in student.skill_ids
    }


def answer_all(
    decisions: Decisions, images: Sequence[str], taught: Mapping[str, Taught], alternatives: int
) -> tuple[Prediction, ...]:
    """Answer without being told the task.

    Args:
        decisions: scores of N images.
        images: N names.
        taught: by skill id.
        alternatives: how many runners-up to list.
    """
    tasks, classes = decisions.answer()
    joint = np.exp(decisions.joint())  # (N, all classes)
    starts = _starts(decisions)
    skills = [taught[skill_id] for skill_id in decisions.skill_ids]
    columns = [(skill.task, name) for skill in skills for name in skill.classes]
    best = np.argsort(-joint, axis=1, kind="stable")[:, : alternatives + 1].tolist()
    answers = []
    for i, image in enumerate(images):
        column = starts[tasks[i]] + classes[i]
        order = [c for c in best[i] if c != column]
        others = tuple(
            Alternative(columns[c][0], columns[c][1], float(joint[i, c]))
            for c in order[:alternatives]
        )
        skill = skills[tasks[i]]
        answers.append(
            _prediction(
                image,
                skill,
                int(classes[i]),
                float(joint[i, column]),
                _is_unknown(decisions, i, int(tasks[i])),
                others,
            )
        )
    return tuple(answers)


def answer_within(
    decisions: Decisions, images: Sequence[str], skill: Taught, alternatives: int
) -> tuple[Prediction, ...]:
    """Answer with the task given: the oracle.

    Args:
        decisions: scores of N images.
        images: N names.
        skill: of the task that is given.
        alternatives: how many runners-up to list.
    """
    task = decisions.skill_ids.index(skill.skill_id)
    probabilities = np.exp(decisions.within[task])  # (N, C)
    answers = []
    for i, image in enumerate(images):
        best, *others = np.argsort(-probabilities[i], kind="stable")[: alternatives + 1]
        runners_up = tuple(
            Alternative(skill.task, skill.classes[c], float(probabilities[i, c])) for c in others
        )
        probability = float(probabilities[i, best])
        unknown = _is_unknown(decisions, i, task)
        answers.append(_prediction(image, skill, int(best), probability, unknown, runners_up))
    return tuple(answers)


def _prediction(
    image: str,
    skill: Taught,
    label: int,
    probability: float,
    unknown: bool,
    alternatives: tuple[Alternative, ...],
) -> Prediction:
    return Prediction(
        image=image,
        task=skill.task,
        class_name=skill.classes[label],
        probability=probability,
        unknown=unknown,
        skill_id=skill.skill_id,
        author=skill.author,
        alias=skill.alias,
        alternatives=alternatives,
    )


def _starts(decisions: Decisions) -> np.ndarray:
    sizes = [w.shape[1] for w in decisions.within]
    return np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)


def _is_unknown(decisions: Decisions, image: int, task: int) -> bool:
    return decisions.typicality is not None and bool(decisions.typicality[image, task] < 0)
