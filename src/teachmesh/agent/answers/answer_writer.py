"""Turn decisions about images into predictions with names, authors and equivalent classes."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from teachmesh.agent.answers.prediction import Alternative, Answers, Prediction
from teachmesh.mapping.typicality import FALSE_ALARMS, images_needed
from teachmesh.reuse.equivalent_classes import EquivalentClasses

if TYPE_CHECKING:
    from teachmesh.mapping.decisions import Decisions
    from teachmesh.reuse.matching import SourceTask
    from teachmesh.reuse.source_skills import SourceSkill
    from teachmesh.reuse.text_encoders import NameComparer


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
        _marked(p, writer.same_as(p.skill_id, p.class_name)) for p in answers.predictions
    )
    return replace(answers, predictions=marked, encoder=comparer.name)


def _marked(prediction: Prediction, same_as: tuple[Alternative, ...]) -> Prediction:
    """Return a prediction with other equivalent classes, whose posteriors are not known here."""
    known = {(s.task, s.class_name) for s in same_as} == {
        (s.task, s.class_name) for s in prediction.same_as
    }
    together = prediction.probability_together if known else None
    return replace(prediction, same_as=same_as, probability_together=together)


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
        self._found: dict[tuple[str, str], tuple[tuple[SourceTask, int, float], ...]] = {}

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
        return tuple(
            Alternative(task.task, task.classes[label], similarity)
            for task, label, similarity in self._equivalent(skill_id, class_name)
        )

    def _equivalent(
        self, skill_id: str, class_name: str
    ) -> tuple[tuple[SourceTask, int, float], ...]:
        key = skill_id, class_name
        if key not in self._found:
            self._found[key] = self._equivalents.of(*key)
        return self._found[key]

    def _together(self, decisions: Decisions, i: int, skill_id: str, class_name: str) -> float:
        """Return the posterior of a class's equivalents in other tasks, all together."""
        total = 0.0
        for other, label, _ in self._equivalent(skill_id, class_name):
            task = bisect_left(decisions.skill_ids, other.skill_id)
            of_task = float(np.exp(decisions.task[i, task]))
            if of_task > 0:  # else the task is far behind, and its classes need not be scored
                total += of_task * float(np.exp(decisions.within[task][i, label]))
        return total

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
        together = None
        if decisions.given is None:
            log_posterior += float(decisions.task[i, task])
            others = self._together(decisions, i, skill_id, class_name)
            together = float(np.exp(log_posterior)) + others
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
            probability_together=together,
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
