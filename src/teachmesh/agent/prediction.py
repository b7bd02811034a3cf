"""Turn decisions about images into predictions with names, authors and equivalent classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from teachmesh.mapping.typicality import FALSE_ALARMS, images_needed
from teachmesh.reuse.equivalent_classes import EquivalentClasses
from teachmesh.trust.policy import known_as

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
        unknown: True if the image resembles `task` less than nearly all images that were held out
            in learning. `task` and `class_name` then name the nearest match. None if the task had
            too few images for the rate of false alarms.
        unknown_reason: why `unknown` is None, in one sentence; empty otherwise.
        familiarity: score that `unknown` is decided by, higher for images that resemble `task`
            more; 0 is typical with the default mapper, which makes scores of tasks comparable.
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
    unknown: bool | None
    skill_id: str
    author: str
    alias: str
    alternatives: tuple[Alternative, ...] = ()
    same_as: tuple[Alternative, ...] = ()
    unknown_reason: str = ""
    familiarity: float = 0.0

    def __str__(self) -> str:
        doubt = "unknown, nearest: " if self.unknown else ""
        return (
            f"{doubt}{self.task} / {self.class_name} {100 * self.probability:.1f} % "
            f"(taught by {known_as(self.alias, self.author)})"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the object that `teachmesh predict --json` prints for this image.

        The class has the key "class", and the id of the skill has the key "skill".
        """
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
            "predictions": [p.to_dict() for p in self.predictions],
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
        self._equivalents = EquivalentClasses(sources, comparer)
        self._same_as: dict[tuple[str, str], tuple[Alternative, ...]] = {}

    def describe(
        self,
        decisions: Decisions,
        images: Sequence[str],
        alternatives: int,
        false_alarms: float = FALSE_ALARMS,
    ) -> list[Prediction]:
        """Return one prediction per image.

        Args:
            decisions: decisions about N images, made with the skills in `sources`.
            images: names of the N images.
            alternatives: number of runners-up to list.
            false_alarms: fraction of known images that may be called unknown.
        """
        tasks, classes = _chosen(decisions)
        return [
            self._prediction(
                decisions,
                i,
                image,
                (int(tasks[i]), int(classes[i])),
                alternatives,
                false_alarms,
            )
            for i, image in enumerate(images)
        ]

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

    def _prediction(
        self,
        decisions: Decisions,
        i: int,
        image: str,
        answer: tuple[int, int],
        alternatives: int,
        false_alarms: float,
    ) -> Prediction:
        task, label = answer
        skill_id = decisions.skill_ids[task]
        source = self._sources[skill_id]
        class_name = source.classes[label]
        log_posterior = float(decisions.within[task][i, label])
        if decisions.given is None:
            log_posterior += float(decisions.task[i, task])
        unknown, reason = _judge(decisions, i, task, false_alarms)
        return Prediction(
            image=image,
            task=source.task,
            class_name=class_name,
            probability=float(np.exp(log_posterior)),
            unknown=unknown,
            skill_id=skill_id,
            author=source.author,
            alias=source.alias,
            alternatives=self._runners_up(decisions, i, answer, alternatives),
            same_as=self.same_as(skill_id, class_name),
            unknown_reason=reason,
            familiarity=float(decisions.familiarity[task][i]),
        )

    def _runners_up(
        self, decisions: Decisions, i: int, answer: tuple[int, int], count: int
    ) -> tuple[Alternative, ...]:
        """Return the next-best classes of an image, of its task only if the task is given."""
        if decisions.given is None:
            leading = decisions.leading(i, count + 1)
        else:
            row = decisions.within[decisions.given][i]
            labels = np.argsort(-row, kind="stable")[: count + 1].tolist()
            leading = [(decisions.given, label, float(row[label])) for label in labels]
        others = [found for found in leading if found[:2] != answer][:count]
        sources = [(self._sources[decisions.skill_ids[t]], c, p) for t, c, p in others]
        return tuple(
            Alternative(source.task, source.classes[label], float(np.exp(log_posterior)))
            for source, label, log_posterior in sources
        )


def _chosen(decisions: Decisions) -> tuple[np.ndarray, np.ndarray]:
    """Return (N,) tasks and (N,) classes of the answers."""
    if decisions.given is None:
        return decisions.answer()
    classes = decisions.class_given(decisions.given)
    return np.full(len(classes), decisions.given), classes


def _judge(
    decisions: Decisions, image: int, task: int, false_alarms: float
) -> tuple[bool | None, str]:
    """Return whether an image is unknown, or None with the reason if this cannot be said."""
    held_out = decisions.held_out[task]
    threshold = None if held_out is None else held_out.threshold(false_alarms)
    if threshold is None:
        n = 0 if held_out is None else held_out.images
        needed = images_needed(false_alarms)
        return None, f"{n} held-out images, {needed} are needed for {100 * false_alarms:g} %"
    return bool(decisions.familiarity[task][image] < threshold), ""
