"""Find the classes of other skills that mean the same as a given class ("bike" for "bicycle")."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np

from teachmesh.reuse.matching import NAME_ALONE, SourceTask, confirmed
from teachmesh.reuse.source_skills import SourceSkill, mean_covariance
from teachmesh.reuse.text_encoders import NameComparer
from teachmesh.reuse.visual_similarity import compare, whitening


class EquivalentClasses:
    """Finds equivalent classes in other skills.

    Equivalent classes have equal or similar names. If both skills have class means, visual
    similarity must confirm the names. It is judged by these two skills only, so that it costs the
    same in a bank of any size.

    Args:
        sources: skills to search, in canonical order.
        comparer: comparer for class names; by default, cleaned names must be equal.
    """

    def __init__(
        self, sources: Sequence[SourceSkill], comparer: NameComparer | None = None
    ) -> None:
        self._sources = {source.skill_id: source for source in sources}
        self._comparer = comparer or NameComparer()

    def of(self, skill_id: str, class_name: str) -> tuple[tuple[SourceTask, int, float], ...]:
        """Return a (task, label, name similarity) tuple for each equivalent class, best first.

        Args:
            skill_id: id of one of the skills.
            class_name: name of one of its classes.
        """
        task = self._tasks[skill_id]
        label = task.classes.index(class_name)
        found = []
        for other in self._candidates(task, label):
            names = self._comparer.similarity([task.labels[label]], other.labels)[0]
            best = int(names.argmax())
            if names[best] >= NAME_ALONE and self._look_alike(task, label, other, best):
                found.append((other, best, float(names[best])))
        return tuple(sorted(found, key=lambda entry: (-entry[2], entry[0].task)))

    @cached_property
    def _tasks(self) -> dict[str, SourceTask]:
        return {
            key: SourceTask(key, source.task, source.alias, source.classes)
            for key, source in self._sources.items()
        }

    @cached_property
    def _by_words(self) -> dict[str, dict[str, SourceTask]]:
        """Tasks by skill id, by the words of their classes and by their symbols."""
        found: dict[str, dict[str, SourceTask]] = {}
        for task in self._tasks.values():
            for label in task.labels:
                for word in {label.words, label.symbol} - {None, ""}:
                    found.setdefault(str(word), {})[task.skill_id] = task
        return found

    def _candidates(self, task: SourceTask, label: int) -> Iterable[SourceTask]:
        """Yield the other tasks that can have an equivalent class, in canonical order."""
        if self._comparer.name != NameComparer().name:
            yield from (other for other in self._tasks.values() if other is not task)
            return
        wanted = task.labels[label]
        named = self._by_words.get(wanted.words, {}) | self._by_words.get(wanted.symbol or "", {})
        yield from (self._tasks[key] for key in sorted(named) if key != task.skill_id)

    def _look_alike(self, one: SourceTask, label: int, other: SourceTask, other_label: int) -> bool:
        """Return False if the visual similarity of two classes contradicts their names."""
        key = one.skill_id, other.skill_id
        if key not in self._confirmed:
            self._confirmed[key] = self._confirm(one, other)
        kept = self._confirmed[key]
        return kept is None or bool(kept[label, other_label] >= NAME_ALONE)

    @cached_property
    def _confirmed(self) -> dict[tuple[str, str], np.ndarray | None]:
        return {}

    def _confirm(self, one: SourceTask, other: SourceTask) -> np.ndarray | None:
        """Return (C, C') name similarities that images confirm; None without class means."""
        first, second = (self._sources[task.skill_id].moments() for task in (one, other))
        if first is None or second is None:
            return None
        transform = whitening(mean_covariance([first, second]))
        looks = compare(first.class_means(), second.class_means(), transform)
        return confirmed(self._comparer.similarity(one.labels, other.labels), looks, NAME_ALONE)
