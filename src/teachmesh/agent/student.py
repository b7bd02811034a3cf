"""What the skills of a bank amount to together: latents -> task, class, "unknown".

Everything here is derived from the set of skills in canonical order (sorted by id), so agents
that hold the same skills give the same answers, whatever the order of arrival.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

import numpy as np

from teachmesh.errors import DataError
from teachmesh.mapping.decisions import Decisions
from teachmesh.mapping.fusion import log_softmax
from teachmesh.mapping.mapper_kinds import make_mapper

if TYPE_CHECKING:
    from teachmesh.mapping.mapper import MapperScores
    from teachmesh.model.backbone import Latents
    from teachmesh.packet.skill import Skill


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
