"""Turn decisions about images into predictions with names, authors and equivalent classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from teachmesh.packet.signing import agent_id
from teachmesh.reuse.equivalent_classes import EquivalentClasses

if TYPE_CHECKING:
    from teachmesh.mapping.decisions import Decisions
    from teachmesh.reuse.source_skills import SourceSkill
    from teachmesh.reuse.text_encoders import NameComparer


@dataclass(frozen=True)
class Alternative:
    """A runner-up among the classes, or a class equivalent to the predicted one.

    Attributes:
        task: display name of the task.
        class_name: name of the class.
        probability: probability of a runner-up, or name similarity of an equivalent class.
    """

    task: str
    class_name: str
    probability: float


@dataclass(frozen=True)
class Prediction:
    """Predicted class of an image, with the author of the skill that decided.

    Attributes:
        image: path of the file, or a name such as "image 2".
        task: display name of the task (`flowers`, or `flowers@alias` if two authors use the name).
        class_name: name of the class.
        probability: posterior of this class over all candidate classes, from 0 to 1.
        unknown: True if the image is farther from `task` than nearly all validation images of
            that task; `task` and `class_name` then name the nearest match.
        skill_id: id of the skill that decided.
        author: agent id of the skill's author.
        alias: the author's alias.
        alternatives: the next-best classes, best first.
        same_as: equivalent classes of other tasks, with the similarity of their names as
            probability.
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
        """Return the prediction as a JSON object; the class is under the key "class"."""
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
        predictions: one prediction per readable image, in the order of the images.
        failed: one sentence per unreadable image.
        method: name of the task mapper.
        backbone: alias of the backbone.
        encoder: text encoder that compared names for `same_as`; "names" if none is used.
    """

    predictions: tuple[Prediction, ...]
    failed: tuple[str, ...]
    method: str
    backbone: str
    encoder: str = "names"

    def to_json(self) -> dict[str, Any]:
        """Return the document that `teachmesh predict --json` prints."""
        return {
            "schema": "teachmesh.predict/1",
            "method": self.method,
            "backbone": self.backbone,
            "encoder": self.encoder,
            "predictions": [p.to_json() for p in self.predictions],
            "skipped": list(self.failed),
        }


def mark_equivalent(
    answers: Answers, sources: Sequence[SourceSkill], comparer: NameComparer
) -> Answers:
    """Recompute `same_as` with another comparison of class names.

    Args:
        answers: answers of an agent.
        sources: skills of the same agent, with their display names.
        comparer: comparison of class names.
    """
    writer = AnswerWriter(sources, comparer)
    marked = tuple(
        replace(p, same_as=writer.same_as(p.skill_id, p.class_name)) for p in answers.predictions
    )
    return replace(answers, predictions=marked, encoder=comparer.name)


class AnswerWriter:
    """Converts an agent's decisions to predictions.

    Args:
        sources: the agent's skills with their display names, in canonical order.
        comparer: comparison of names for `same_as`; by default, names must be equal after
            cleaning.
    """

    def __init__(
        self, sources: Sequence[SourceSkill], comparer: NameComparer | None = None
    ) -> None:
        self._sources = {source.skill_id: source for source in sources}
        self._authors = {s.skill_id: agent_id(s.skill.card.author) for s in sources}
        self._equivalents = EquivalentClasses(sources, comparer)
        self._same_as: dict[tuple[str, str], tuple[Alternative, ...]] = {}

    def describe(
        self, decisions: Decisions, images: Sequence[str], alternatives: int
    ) -> list[Prediction]:
        """Return one prediction per image.

        Args:
            decisions: decisions about N images, made with the skills in `sources`.
            images: names of the N images.
            alternatives: number of runners-up to list.
        """
        if decisions.given is not None:
            return self._within(decisions, decisions.given, images, alternatives)
        return self._among_all(decisions, images, alternatives)

    def same_as(self, skill_id: str, class_name: str) -> tuple[Alternative, ...]:
        """Return the equivalent classes of other tasks, best first.

        Args:
            skill_id: id of one of the skills.
            class_name: name of one of its classes.
        """
        key = skill_id, class_name
        if key not in self._same_as:
            self._same_as[key] = tuple(
                Alternative(task.task, task.classes[label], similarity)
                for task, label, similarity in self._equivalents.of(*key)
            )
        return self._same_as[key]

    def _among_all(
        self, decisions: Decisions, images: Sequence[str], alternatives: int
    ) -> list[Prediction]:
        tasks, classes = decisions.answer()
        joint = np.exp(decisions.joint())  # (N, all classes)
        starts = np.cumsum([0, *(part.shape[1] for part in decisions.within)])
        columns = [
            (self._sources[skill_id].task, name)
            for skill_id in decisions.skill_ids
            for name in self._sources[skill_id].skill.card.classes
        ]
        best = np.argsort(-joint, axis=1, kind="stable")[:, : alternatives + 1].tolist()
        predictions = []
        for i, image in enumerate(images):
            answer = int(starts[tasks[i]] + classes[i])
            others = [column for column in best[i] if column != answer][:alternatives]
            runners_up = tuple(
                Alternative(columns[c][0], columns[c][1], float(joint[i, c])) for c in others
            )
            predictions.append(
                self._prediction(
                    image,
                    decisions.skill_ids[tasks[i]],
                    int(classes[i]),
                    float(joint[i, answer]),
                    _is_unknown(decisions, i, int(tasks[i])),
                    runners_up,
                )
            )
        return predictions

    def _within(
        self, decisions: Decisions, task: int, images: Sequence[str], alternatives: int
    ) -> list[Prediction]:
        skill_id = decisions.skill_ids[task]
        source = self._sources[skill_id]
        classes = source.skill.card.classes
        probabilities = np.exp(decisions.within[task])  # (N, C)
        predictions = []
        for i, image in enumerate(images):
            best, *others = np.argsort(-probabilities[i], kind="stable")[: alternatives + 1]
            runners_up = tuple(
                Alternative(source.task, classes[c], float(probabilities[i, c])) for c in others
            )
            probability = float(probabilities[i, best])
            unknown = _is_unknown(decisions, i, task)
            predictions.append(
                self._prediction(image, skill_id, int(best), probability, unknown, runners_up)
            )
        return predictions

    def _prediction(
        self,
        image: str,
        skill_id: str,
        label: int,
        probability: float,
        unknown: bool,
        alternatives: tuple[Alternative, ...],
    ) -> Prediction:
        source = self._sources[skill_id]
        class_name = source.skill.card.classes[label]
        return Prediction(
            image=image,
            task=source.task,
            class_name=class_name,
            probability=probability,
            unknown=unknown,
            skill_id=skill_id,
            author=self._authors[skill_id],
            alias=source.alias,
            alternatives=alternatives,
            same_as=self.same_as(skill_id, class_name),
        )


def _is_unknown(decisions: Decisions, image: int, task: int) -> bool:
    return decisions.typicality is not None and bool(decisions.typicality[image, task] < 0)
