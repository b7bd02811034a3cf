"""Verdicts about all skills of a bank, kept while skills come and go.

The verdicts depend on the skills, their precedence, the decisions of a person, and the verdicts
before. If two skills harm each other, the one with higher precedence is used. The author comes
first, then whether a trusted agent keeps the skill in quarantine. Among equals it is the one that
this agent had first. Nothing in a copy shows that it is one, so no other rule can tell them apart.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from teachmesh.bank.verdict_file import Verdict, Verdicts
from teachmesh.screening.screen_skills import Candidate, KnownSkills, Screener, Targets

_ROUNDS = 3


@dataclass(frozen=True)
class Origin:
    """Facts about a skill that need not be loaded.

    Attributes:
        rank: precedence of the skill for this agent, 0 for its own ones.
        arrived_ns: time at which this agent stored the skill.
    """

    rank: int
    arrived_ns: int


class AnsweringSkills(KnownSkills, Protocol):
    """The skills that answers use, and those that may be added to them."""

    def candidate(self, skill_id: str) -> Candidate | None:
        """Return a skill; None if its content fails."""

    def use(self, skill_id: str) -> bool:
        """Let answers use a skill; return whether its content allows it."""

    def stop_using(self, skill_id: str) -> None:
        """Let answers not use a skill any more."""


def holding(verdicts: Verdicts, origins: Mapping[str, Origin]) -> dict[str, Verdict]:
    """Return the verdicts that still hold, by id.

    A verdict ends if its skill is gone or was released, or if it has another precedence now. It
    also ends if the skill that was harmed is not used any more.

    Args:
        verdicts: the verdicts before.
        origins: the skills that can be used, by id.
    """
    known = {
        skill: verdict
        for skill, verdict in verdicts.by_id.items()
        if skill in origins
        and origins[skill].rank == verdict.rank
        and not (verdict.code and skill in verdicts.released)
    }
    used = {skill for skill, verdict in known.items() if not verdict.code}
    return {i: v for i, v in known.items() if not v.against or v.against in used}


class BankScreen:
    """Screens the skills of a bank that have no verdict.

    Args:
        skills: the skills of the bank.
        origins: facts about the skills that can be used, by id.
        before: the verdicts before.
        targets: prepared skills, which may be kept from one screening to the next.

    Attributes:
        found: verdict of each skill that was screened, by id.
    """

    def __init__(
        self,
        skills: AnsweringSkills,
        origins: Mapping[str, Origin],
        before: Verdicts,
        targets: Targets,
    ) -> None:
        self._skills = skills
        self._origins = origins
        self._released = before.released
        self._late = before.quarantined()
        self._screener = Screener(skills, targets)
        self._lowest = max((origin.rank for origin in origins.values()), default=0)
        self.found = holding(before, origins)

    def run(self) -> None:
        """Screen all skills without a verdict.

        A verdict can end others. Skills whose verdict ended are screened again, a few times at
        most; the next run screens what is left.
        """
        for _ in range(_ROUNDS):
            pending = self._origins.keys() - self.found.keys()
            for skill in self._in_turn(pending):
                self._screen(skill)
            before = self.found
            self.found = holding(Verdicts(before, self._released), self._origins)
            if self.found.keys() == before.keys():
                break

    def _in_turn(self, pending: Collection[str]) -> list[str]:
        """Return skills in the order in which they are judged.

        Those of higher precedence come first, then those that were not in quarantine before, then
        those that arrived before others. An id decides between skills that came at one time.
        """
        return sorted(
            pending,
            key=lambda skill: (
                self._origins[skill].rank,
                skill in self._late,
                self._origins[skill].arrived_ns,
                skill,
            ),
        )

    def _screen(self, skill: str) -> None:
        candidate = self._skills.candidate(skill)
        if candidate is None:
            return
        exempt = candidate.rank == 0 or skill in self._released
        verdict = Verdict(candidate.rank) if exempt else self._judge(candidate)
        if verdict.code:
            self.found[skill] = verdict
        elif self._skills.use(skill):
            self.found[skill] = verdict
            self._challenge(candidate)

    def _judge(self, candidate: Candidate) -> Verdict:
        return self._screener.judge(candidate, self.found)

    def _challenge(self, candidate: Candidate) -> None:
        """Quarantine used skills of lower precedence that harm a new one."""
        if candidate.rank == self._lowest:
            return
        for rival in self._screener.rivals(candidate, self.found):
            other = None if rival in self._released else self._skills.candidate(rival)
            if other is None:
                continue
            verdict = self._screener.challenge(other, candidate.id, self.found)
            if verdict.code:
                self.found[rival] = verdict
                self._skills.stop_using(rival)
