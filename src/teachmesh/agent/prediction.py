"""What an agent answers when it is shown images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from teachmesh.agent.catalogue import SkillInfo
    from teachmesh.agent.student import Student
    from teachmesh.mapping.decisions import Decisions


@dataclass(frozen=True)
class Alternative:
    """A class that the image could show as well.

    Attributes:
        task: display name of the task.
        class_name: name of the class.
        probability: fraction of 1.
    """

    task: str
    class_name: str
    probability: float


@dataclass(frozen=True)
class Prediction:
    """What an image shows, and who taught it.

    Attributes:
        image: the file, or what stands for it.
        task: display name of the task (`flowers`, or `flowers@alias` where two authors use one).
        class_name: name of the class.
        probability: posterior of this class over all classes in question, fraction of 1.
        unknown: the image is farther from its task than nearly all of that task's own
            validation images; `task` and `class_name` then say what is nearest.
        skill_id: the skill that answers.
        author: agent id of its author.
        alias: the author's alias.
        alternatives: the next best classes, best first.
        same_as: classes of other tasks that are the same thing; their probability is the
            similarity of the names.
    """

    image: str
    task: str
    class_name: str
    probability: float
    unknown: bool
    skill_id: str
    author: str
    alias: str
    alternatives: tuple[Alternative, ...] = ()
    same_as: tuple[Alternative, ...] = ()

    def __str__(self) -> str:
        doubt = "unknown, nearest: " if self.unknown else ""
        return (
            f"{doubt}{self.task} / {self.class_name} {100 * self.probability:.1f} % "
            f"(taught by {self.alias})"
        )

    def to_json(self) -> dict[str, Any]:
        """The prediction as a JSON object; the class stands under "class"."""
        document = asdict(self)
        document["class"] = document.pop("class_name")
        document["skill"] = document.pop("skill_id")
        document["alternatives"] = [
            {"task": a.task, "class": a.class_name, "probability": a.probability}
            for a in self.alternatives
        ]
        document["same_as"] = [
            {"task": s.task, "class": s.class_name, "similarity": s.probability}
            for s in self.same_as
        ]
        return document


@dataclass(frozen=True)
class Answers:
    """Predictions for many images.

    Attributes:
        predictions: one per readable image, in the order asked.
        failed: one sentence per image that could not be read.
        method: the task mapper that answered.
        backbone: alias of the backbone that answered.
        encoder: how class names were compared for `same_as`: an encoder's name, or "names".
    """

    predictions: tuple[Prediction, ...]
    failed: tuple[str, ...]
    method: str
    backbone: str
    encoder: str = "names"

    def to_json(self) -> dict[str, Any]:
        """The document of `teachmesh predict --json`."""
        return {
            "schema": "teachmesh.predict/1",
            "method": self.method,
            "backbone": self.backbone,
            "encoder": self.encoder,
            "predictions": [p.to_json() for p in self.predictions],
            "skipped": list(self.failed),
        }


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
