"""Answers that name the same thing as a class of another task: "same as bicycle in task X"."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from teachmesh.agent.prediction import Alternative, Answers, Prediction
from teachmesh.reuse.matching import NAME_ALONE, SourceTask, confirmed
from teachmesh.reuse.source_skills import SourceSkill, SourceSkills
from teachmesh.reuse.text_encoders import NameComparer
from teachmesh.reuse.visual_similarity import compare

if TYPE_CHECKING:
    from teachmesh.agent.prediction import Taught
    from teachmesh.agent.student import Student


class EquivalentAnswers:
    """Finds the classes of other tasks that are the same thing; what it found is kept.

    Names propose; where both skills have class means, looks have to agree.

    Args:
        comparer: compares names; without one they are equal after cleaning, or not.
    """

    def __init__(self, comparer: NameComparer | None = None) -> None:
        self._comparer = comparer or NameComparer()
        self._sources: tuple[str, ...] = ()
        self._knowledge = SourceSkills((), self._comparer)
        self._known: dict[str, SourceTask] = {}
        self._found: dict[tuple[str, str], tuple[Alternative, ...]] = {}

    def mark(
        self, predictions: Sequence[Prediction], sources: Sequence[SourceSkill]
    ) -> tuple[Prediction, ...]:
        """The predictions, each with the classes of other tasks that are the same thing.

        Args:
            predictions: of an agent.
            sources: the skills of the same agent.
        """
        self._renew(sources)
        return tuple(dataclasses.replace(p, same_as=self._same_as(p)) for p in predictions)

    def _renew(self, sources: Sequence[SourceSkill]) -> None:
        """Forget what was found if the skills are others now."""
        ids = tuple(source.skill_id for source in sources)
        if ids != self._sources:
            self._sources = ids
            self._knowledge = SourceSkills(sources, self._comparer)
            self._known = {task.skill_id: task for task in self._knowledge.source_tasks()}
            self._found = {}

    def _same_as(self, prediction: Prediction) -> tuple[Alternative, ...]:
        key = prediction.skill_id, prediction.class_name
        if key not in self._found:
            task = self._known[prediction.skill_id]
            self._found[key] = _same(task, prediction, self._known, self._knowledge)
        return self._found[key]


def compare_again(
    answers: Answers, sources: Sequence[SourceSkill], comparer: NameComparer
) -> Answers:
    """The answers with "same as" by another way of comparing names than the agent's own.

    Args:
        answers: of an agent.
        sources: the skills of the same agent.
        comparer: compares names.
    """
    marked = EquivalentAnswers(comparer).mark(answers.predictions, sources)
    return dataclasses.replace(answers, predictions=marked, encoder=comparer.name)


def _same(
    task: SourceTask, prediction: Prediction, known: dict[str, SourceTask], knowledge: SourceSkills
) -> tuple[Alternative, ...]:
    label = task.classes.index(prediction.class_name)
    same = []
    for other in known.values():
        if other is task:
            continue
        names = knowledge.comparer.similarity([task.labels[label]], other.labels)[0]
        best = int(names.argmax())
        if names[best] >= NAME_ALONE and _look_alike(task, label, other, best, knowledge):
            same.append(Alternative(other.task, other.classes[best], float(names[best])))
    return tuple(sorted(same, key=lambda s: (-s.probability, s.task)))


def _look_alike(
    one: SourceTask, label: int, other: SourceTask, other_label: int, knowledge: SourceSkills
) -> bool:
    """Whether looks confirm the names of two classes, or nobody can look at them."""
    transform = knowledge.transform()
    if transform is None or one.means is None or other.means is None:
        return True
    names = knowledge.comparer.similarity(one.labels, other.labels)
    sure = confirmed(names, compare(one.means, other.means, transform), NAME_ALONE)
    return bool(sure[label, other_label] >= NAME_ALONE)


def sources_of(student: Student, taught: Mapping[str, Taught]) -> tuple[SourceSkill, ...]:
    """The skills of a student in canonical order, with their names for people.

    Args:
        student: what an agent knows.
        taught: of `answers.taught_by`, for the same skills.
    """
    return tuple(
        SourceSkill(
            skill_id, taught[skill_id].task, taught[skill_id].alias, student.skill(skill_id)
        )
        for skill_id in student.skill_ids
    )
