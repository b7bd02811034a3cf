"""The student of an agent uses the skills that pass the screening."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from teachmesh.agent.skill_faults import MACHINE_FAULTS
from teachmesh.bank.verdict_file import Verdict, VerdictFile, Verdicts
from teachmesh.mapping.anchor_kinds import MomentsAnchor
from teachmesh.mapping.moments import MomentsMapper
from teachmesh.screening.screen_bank import BankScreen, Origin, holding
from teachmesh.screening.screen_skills import Candidate, Targets

if TYPE_CHECKING:
    from teachmesh.agent.answers.student import Student
    from teachmesh.bank.entry import BankEntry
    from teachmesh.packet.skill import Skill

_log = logging.getLogger(__name__)
Load = Callable[[str], "Skill"]
KeptOf = Callable[["Skill"], "np.ndarray | None"]
"""Function from a skill to the (N, D) points of its kept validation images; None without."""
RankOf = Callable[[str], int]
"""Function from an author to its precedence for this agent; 0 is the agent itself."""


@dataclass(frozen=True, eq=False)
class Screening:
    """The screening of an agent's skills, with the values that it keeps between updates.

    Attributes:
        file: verdicts of the bank.
        rank_of: precedence of authors.
        doubted: function that returns the skills that trusted agents keep in quarantine.
        kept_of: kept validation images of own skills.
        arrived_of: time at which a skill was stored, in nanoseconds.
        targets: prepared skills.
    """

    file: VerdictFile
    rank_of: RankOf
    doubted: Callable[[], Collection[str]]
    kept_of: KeptOf
    arrived_of: Callable[[str], int]
    targets: Targets = field(default_factory=Targets)

    def update(self, student: Student, entries: Mapping[str, BankEntry], load: Load) -> None:
        """Let a student of class moments use the skills that are not quarantined.

        Args:
            student: the student.
            entries: skills that can be used, also those in quarantine, by id.
            load: function that returns a skill.

        Raises:
            StorageError: the verdicts cannot be saved, or a skill is damaged.
        """
        ranks = self._ranks(entries)
        if not any(ranks.values()):  # nobody else taught anything
            student.sync(entries, load)
            return
        before = self.file.read()
        origins = {
            skill: Origin(rank, 0 if skill in before.by_id else self.arrived_of(skill))
            for skill, rank in ranks.items()
        }
        known = holding(before, origins)
        student.sync({i: entries[i] for i, verdict in known.items() if not verdict.code}, load)
        if known.keys() != entries.keys():
            skills = StudentSkills(student, entries, load, ranks, self.kept_of)
            screen = BankScreen(skills, origins, before, self.targets)
            screen.run()
            known = screen.found
            student.sync({i: entries[i] for i in student.skill_ids}, load)  # saves densities
        if known != before.by_id:
            _report(before, known)
            self.file.change(lambda now: _merged(now, before, known))

    def _ranks(self, entries: Mapping[str, BankEntry]) -> dict[str, int]:
        """Return the precedence of skills by id.

        It is that of their authors. Among skills by equal authors, those that a trusted agent keeps
        in quarantine come last. This agent's own skills have 0.
        """
        authors = {author: self.rank_of(author) for author in {e.author for e in entries.values()}}
        doubted = self.doubted()
        return {
            skill: 2 * authors[entry.author] + (authors[entry.author] > 0 and skill in doubted)
            for skill, entry in entries.items()
        }


class StudentSkills:
    """The skills of a student of class moments, as `screening` sees them.

    Args:
        student: the student.
        entries: entries of the skills that can be used, by id.
        load: function that returns a skill.
        ranks: their precedence by id.
        kept_of: kept validation images of own skills.
    """

    def __init__(
        self,
        student: Student,
        entries: Mapping[str, BankEntry],
        load: Load,
        ranks: Mapping[str, int],
        kept_of: KeptOf,
    ) -> None:
        self._student = student
        self._entries = entries
        self._load = load
        self._ranks = ranks
        self._kept_of = kept_of
        self._authors = Counter(entries[skill].author for skill in student.skill_ids)

    def keys(self) -> Sequence[str]:
        """Return the sorted ids of the skills that answers use."""
        return self._student.skill_ids

    def author(self, skill_id: str) -> str:
        """Return the public key of the author of a skill."""
        return self._entries[skill_id].author

    def has_others(self, author: str) -> bool:
        """Return whether another author taught one of the skills that answers use."""
        return self._authors.total() > self._authors[author]

    def anchor(self, skill_id: str) -> MomentsAnchor:
        """Return the class moments of a skill."""
        anchor = self._load(skill_id).anchor("moments")
        assert isinstance(anchor, MomentsAnchor)
        return anchor

    def nearest(self, points: np.ndarray, count: int) -> Collection[str]:
        """Return the skills with the most evidence at (N, D) points in the metric's space."""
        mapper = self._student.mapper
        assert isinstance(mapper, MomentsMapper)
        return mapper.nearest(points, count)

    def kept(self, skill_id: str) -> np.ndarray | None:
        """Return the (N, D) kept validation images of an own task; None if there are none."""
        own = self._ranks[skill_id] == 0
        return self._kept_of(self._load(skill_id)) if own else None

    def candidate(self, skill_id: str) -> Candidate | None:
        """Return a skill to be screened; None if its content fails, which the student reports."""
        author = self.author(skill_id)
        try:
            return Candidate(skill_id, author, self._ranks[skill_id], self.anchor(skill_id))
        except MACHINE_FAULTS:
            raise
        except Exception:  # noqa: BLE001 - a skill of a peer must not stop an agent
            self.use(skill_id)
            return None

    def use(self, skill_id: str) -> bool:
        """Let answers use a skill; return whether its content allows it."""
        usable = self._student.register(skill_id, self._entries[skill_id])
        self._authors[self.author(skill_id)] += usable
        return usable

    def stop_using(self, skill_id: str) -> None:
        """Let answers not use a skill any more."""
        self._student.forget(skill_id)
        self._authors[self.author(skill_id)] -= 1


def _report(before: Verdicts, known: Mapping[str, Verdict]) -> None:
    for skill, verdict in known.items():
        if verdict.code and skill not in before.by_id:
            _log.warning("the skill %s is quarantined: %s", skill[:12], verdict.text)


def _merged(now: Verdicts, before: Verdicts, known: Mapping[str, Verdict]) -> Verdicts:
    """Return new verdicts; those that another process added meanwhile stay."""
    added = {skill: verdict for skill, verdict in now.by_id.items() if skill not in before.by_id}
    return replace(now, by_id={**known, **added})
