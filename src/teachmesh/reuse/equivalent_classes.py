"""Find the classes of other skills that mean the same as a given class ("bike" for "bicycle")."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from teachmesh.reuse.matching import NAME_ALONE, SourceTask, confirmed
from teachmesh.reuse.source_skills import SourceSkill, SourceSkills
from teachmesh.reuse.text_encoders import NameComparer
from teachmesh.reuse.visual_similarity import compare


class EquivalentClasses:
    """Finds equivalent classes in other skills.

    Equivalent classes have equal or similar names. If both skills have class means, visual
    similarity must confirm the names.

    Args:
        sources: skills to search, in canonical order.
        comparer: comparer for class names; by default, cleaned names must be equal.
    """

    def __init__(
        self, sources: Sequence[SourceSkill], comparer: NameComparer | None = None
    ) -> None:
        self._skills = SourceSkills(sources, comparer or NameComparer())

    def of(self, skill_id: str, class_name: str) -> tuple[tuple[SourceTask, int, float], ...]:
        """Return a (task, label, name similarity) tuple for each equivalent class, best first.

        Args:
            skill_id: id of one of the skills.
            class_name: name of one of its classes.
        """
        task = self._tasks[skill_id]
        label = task.classes.index(class_name)
        found = []
        for other in self._tasks.values():
            if other is task:
                continue
            names = self._skills.comparer.similarity([task.labels[label]], other.labels)[0]
            best = int(names.argmax())
            if names[best] >= NAME_ALONE and self._look_alike(task, label, other, best):
                found.append((other, best, float(names[best])))
        return tuple(sorted(found, key=lambda entry: (-entry[2], entry[0].task)))

    @cached_property
    def _tasks(self) -> dict[str, SourceTask]:
        return {task.skill_id: task for task in self._skills.source_tasks()}

    def _look_alike(self, one: SourceTask, label: int, other: SourceTask, other_label: int) -> bool:
        """Return False if the visual similarity of two classes contradicts their names."""
        transform = self._skills.transform()
        if transform is None or one.means is None or other.means is None:
            return True
        names = self._skills.comparer.similarity(one.labels, other.labels)
        kept = confirmed(names, compare(one.means, other.means, transform), NAME_ALONE)
        return bool(kept[label, other_label] >= NAME_ALONE)
