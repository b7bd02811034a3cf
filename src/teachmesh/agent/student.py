"""What the skills of a bank amount to together: latents -> task, class, "unknown".

Everything here is derived from the set of skills in canonical order (sorted by id), so agents
that hold the same skills give the same answers, whatever the order of arrival.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from teachmesh.errors import DataError
from teachmesh.mapping.fusion import log_softmax
from teachmesh.mapping.methods import make_mapper

if TYPE_CHECKING:
    from teachmesh.mapping.mapper import MapperScores
    from teachmesh.model.backbone import Latents
    from teachmesh.packet.skill import Skill


@dataclass(frozen=True, eq=False)
class Decisions:
    """Scores of N images under T skills, in canonical order of the skills.

    Attributes:
        skill_ids: T ids, sorted.
        task: (N, T) float64, log posterior of each task.
        within: T arrays (N, C_t) float64, log posterior of each class given the task.
        direct: (N, sum of C_t) float64, log posterior over all classes of all tasks, tasks in
            the order of `skill_ids`; None where the mapper knows tasks only.
        typicality: (N, T) float64, below zero where an image is untypical of a task.
        answers_directly: the mapper's own answer is `direct`, not mapper-then-head.
    """

    skill_ids: tuple[str, ...]
    task: np.ndarray
    within: tuple[np.ndarray, ...]
    direct: np.ndarray | None
    typicality: np.ndarray | None
    answers_directly: bool

    def mapped(self) -> np.ndarray:
        """(N,) position of the task that the mapper chooses."""
        return np.asarray(self.task.argmax(axis=1))

    def class_given(self, task: int) -> np.ndarray:
        """(N,) class that is chosen when the task is known: the oracle's answer."""
        return np.asarray(self.within[task].argmax(axis=1))

    def final(self) -> tuple[np.ndarray, np.ndarray]:
        """(N,) task and (N,) class the paper's way: the mapper first, then that task's head."""
        tasks = self.mapped()
        classes = np.array(
            [self.within[t][i].argmax() for i, t in enumerate(tasks)], dtype=np.int64
        )
        return tasks, classes

    def best(self) -> tuple[np.ndarray, np.ndarray]:
        """(N,) task and (N,) class of the best of all class scores.

        Raises:
            DataError: the mapper has no scores of single classes.
        """
        if self.direct is None:
            raise DataError("this task mapper scores tasks only; use final() instead")
        return self.locate(self.direct.argmax(axis=1))

    def locate(self, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Columns of all classes -> (task, class within the task)."""
        ends = np.cumsum([w.shape[1] for w in self.within])
        tasks = np.searchsorted(ends, columns, side="right")
        starts = np.concatenate([[0], ends[:-1]])
        return tasks, columns - starts[tasks]

    def answer(self) -> tuple[np.ndarray, np.ndarray]:
        """(N,) task and (N,) class that the agent answers with."""
        return self.best() if self.answers_directly else self.final()

    def joint(self) -> np.ndarray:
        """(N, sum of C_t) log posterior over all classes that probabilities are taken from."""
        if self.answers_directly and self.direct is not None:
            return self.direct
        parts = [self.task[:, t : t + 1] + w for t, w in enumerate(self.within)]
        return np.concatenate(parts, axis=1)


class Student:
    """The skills of one backbone, consolidated for one task mapper.

    Args:
        method: the task mapper: `moments`, `gmmc` or `maha`.
    """

    def __init__(self, method: str) -> None:
        self.method = method
        self.mapper = make_mapper(method)
        self._skills: dict[str, Skill] = {}

    def sync(self, wanted: Collection[str], load: Callable[[str], Skill]) -> None:
        """Register what is new and drop what is gone; costs time for the difference only.

        Args:
            wanted: ids of the skills to know, all of which carry this mapper's anchor.
            load: id -> skill.
        """
        for skill_id in sorted(set(self._skills) - set(wanted)):
            self.mapper.remove(skill_id)
            del self._skills[skill_id]
        for skill_id in sorted(set(wanted) - set(self._skills)):
            skill = load(skill_id)
            anchor = skill.anchor(self.method)
            if anchor is None:
                raise DataError(f"the skill {skill_id[:12]} carries no {self.method} anchor")
            self.mapper.add(skill_id, anchor, skill.card.calibration)
            self._skills[skill_id] = skill
        self.mapper.prepare()

    @property
    def skill_ids(self) -> tuple[str, ...]:
        """Ids in canonical order."""
        return tuple(sorted(self._skills))

    def skill(self, skill_id: str) -> Skill:
        """The skill of an id that was registered."""
        return self._skills[skill_id]

    def biased(self) -> dict[str, Skill]:
        """Skills whose beneficial biases are of use here, by id.

        Biases were kept because they did better than the decision of the skill's own method: that
        by moments, or that of a trained head. Beside the other one they were never measured.
        """
        return {
            skill_id: skill
            for skill_id, skill in self._skills.items()
            if skill.biases() is not None
            and (skill.card.method == "moments") == (self.method == "moments")
        }

    def decide(self, latents: Latents) -> Decisions:
        """Score latents under everything known: the second half of an image's walk.

        Raises:
            DataError: no skill is known yet.
        """
        if not self._skills:
            raise DataError(
                "expected at least one skill that can be used, found none; "
                "learn one with `teachmesh learn FOLDER` or join other agents with `teachmesh up`"
            )
        multi = self.mapper.latent == "multi"
        scores = self.mapper.score(latents.multi if multi else latents.last)
        answers_directly = scores.classes is not None and self.method == "moments"
        return Decisions(
            skill_ids=scores.keys,
            task=log_softmax(scores.task),
            within=self._within(scores, latents, answers_directly),
            direct=None if scores.classes is None else log_softmax(np.hstack(scores.classes)),
            typicality=scores.typicality,
            answers_directly=answers_directly,
        )

    def _within(
        self, scores: MapperScores, latents: Latents, answers_directly: bool
    ) -> tuple[np.ndarray, ...]:
        if answers_directly and scores.classes is not None:
            return tuple(log_softmax(c) for c in scores.classes)
        logits = []
        for key in scores.keys:
            head = self._skills[key].head()
            if head is None:
                raise DataError(f"the skill {key[:12]} has no head, which {self.method} needs")
            logits.append(head.logits(latents.last))
        return tuple(log_softmax(values) for values in logits)
