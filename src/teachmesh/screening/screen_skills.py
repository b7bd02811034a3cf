"""The verdict about a skill, from the skills that are used already.

A skill is quarantined if one of these holds:

- DUPLICATE: one of its class means lies in the direction of one of another skill;
- CAPTURE: it is near images of another task, alone or together with skills before it;
- WIDE: its covariance is larger than that of any honest task;
- CLASSES: it has more classes than honest tasks.

An author's skills are not compared with each other. Two skills for one task harm nobody else, and
a new version resembles the old one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from teachmesh.bank.verdict_file import Verdict
from teachmesh.mapping.anchor_kinds import MomentsAnchor
from teachmesh.mapping.discriminant import TaskDensity
from teachmesh.screening.capture import (
    MOST_SYNTHETIC,
    NEAR,
    ScoredImages,
    takes_too_many_kept,
)
from teachmesh.screening.near_duplicates import LEAST_SINE, directions, least_sine
from teachmesh.screening.synthetic_images import N_DRAWS, synthetic_images

WIDEST = 4.0
"""Largest mean variance of a task in the metric's space; 36 real tasks have 0.4 to 2.3."""
MOST_CLASSES = 1000
"""Largest number of classes that is used without a person's release."""
MOST_PROBES = 256
"""Number of class means for which the nearest tasks of a large bank are searched."""
NEAREST = 2
"""Number of tasks that are searched for each of them."""
CAPTURE_TARGETS = 64
"""Number of tasks whose images are tested in a large bank: the nearest, and a sample of all."""
_SAMPLE = 16
_KEPT_TARGETS = 128


@dataclass(frozen=True, eq=False)
class Candidate:
    """A skill to be screened.

    Attributes:
        id: id of the skill.
        author: public key of its author.
        rank: precedence of the skill for this agent, 0 for its own ones.
        anchor: class moments of the skill.
    """

    id: str
    author: str
    rank: int
    anchor: MomentsAnchor


class KnownSkills(Protocol):
    """The skills that answers use."""

    def keys(self) -> Sequence[str]:
        """Return the sorted ids of the skills."""

    def author(self, skill_id: str) -> str:
        """Return the public key of the author of a skill."""

    def has_others(self, author: str) -> bool:
        """Return whether another author taught one of the skills."""

    def anchor(self, skill_id: str) -> MomentsAnchor:
        """Return the class moments of a skill."""

    def nearest(self, points: np.ndarray, count: int) -> Collection[str]:
        """Return the skills with the most evidence at (N, D) points, `count` for each or more."""

    def kept(self, skill_id: str) -> np.ndarray | None:
        """Return the (N, D) kept validation images of an own task; None if there are none."""


class Screener:
    """Judges skills one after another; each depends on those that are used before it.

    Args:
        known: the skills that answers use.
        targets: their images, which may be kept from one screener to the next.
    """

    def __init__(self, known: KnownSkills, targets: Targets) -> None:
        self._known = known
        self._targets = targets

    def judge(self, candidate: Candidate, verdicts: Mapping[str, Verdict]) -> Verdict:
        """Return the verdict about a skill that is not used yet.

        It is not compared with skills of lower precedence: see `rivals`.

        Args:
            candidate: the skill.
            verdicts: verdicts about the used skills, by id.
        """
        lower = {i for i, verdict in verdicts.items() if verdict.rank > candidate.rank}
        near = [i for i in self._near(candidate) if i not in lower]
        return self._judge(candidate, near, verdicts)

    def rivals(self, candidate: Candidate, verdicts: Mapping[str, Verdict]) -> list[str]:
        """Return the used skills of lower precedence to which a skill may be compared.

        Args:
            candidate: a skill that is used.
            verdicts: verdicts about the used skills, by id.
        """
        near = self._near(candidate)
        return [i for i in near if i in verdicts and verdicts[i].rank > candidate.rank]

    def challenge(
        self, rival: Candidate, skill_id: str, verdicts: Mapping[str, Verdict]
    ) -> Verdict:
        """Return the verdict about a used skill, compared with one of higher precedence.

        Args:
            rival: the used skill.
            skill_id: id of the skill of higher precedence.
            verdicts: verdicts about the used skills, by id.
        """
        return self._judge(rival, [skill_id], verdicts)

    def _judge(
        self, candidate: Candidate, near: Sequence[str], verdicts: Mapping[str, Verdict]
    ) -> Verdict:
        rank = candidate.rank
        if alone := judge_alone(candidate.anchor):
            return Verdict(rank, *alone)
        if not near:
            return Verdict(rank)
        towards = directions(candidate.anchor.class_means())
        sines = {i: least_sine(self._target(i).directions, towards) for i in near}
        ordered = sorted(sines, key=lambda i: (sines[i], i))
        if sines[ordered[0]] < LEAST_SINE:
            text = f"a class is nearly that of another skill (sine {sines[ordered[0]]:.2f})"
            return Verdict(rank, "DUPLICATE", text, ordered[0])
        density = TaskDensity.of(candidate.anchor.moments())
        takes: dict[str, int] = {}
        for skill_id in ordered[:CAPTURE_TARGETS]:
            count, text = self._captured(candidate.id, density, skill_id, verdicts)
            if text:
                return Verdict(rank, "CAPTURE", text, skill_id)
            takes |= {skill_id: count} if count else {}
        return Verdict(rank, takes=takes)

    def _captured(
        self, newcomer: str, density: TaskDensity, skill_id: str, verdicts: Mapping[str, Verdict]
    ) -> tuple[int, str]:
        """Return the number of synthetic images that are near, and why that is too many."""
        target = self._target(skill_id)
        count = int(target.drawn(newcomer).taken(density, less=NEAR).sum())
        before = (v.takes.get(skill_id, 0) for i, v in verdicts.items() if i != newcomer)
        near = count + (sum(before) if count else 0)
        if near > MOST_SYNTHETIC:
            return count, f"is near images of another task ({near} of {N_DRAWS} drawn)"
        flags = None if target.kept is None else target.kept.taken(density)
        if flags is not None and takes_too_many_kept(flags):
            return count, f"takes {int(flags.sum())} of {len(flags)} images of an own task"
        return count, ""

    def _near(self, candidate: Candidate) -> list[str]:
        """Return the skills of other authors that are compared with a skill, sorted."""
        if not self._known.has_others(candidate.author):
            return []
        means, keys = candidate.anchor.class_means(), self._known.keys()
        probes = means[:: -(-len(means) // MOST_PROBES)]
        found = {*self._known.nearest(probes, NEAREST), *keys[:: -(-len(keys) // _SAMPLE)]}
        author = candidate.author
        return sorted(i for i in found - {candidate.id} if self._known.author(i) != author)

    def _target(self, skill_id: str) -> Target:
        return self._targets.get(skill_id, self._known)


def judge_alone(anchor: MomentsAnchor) -> tuple[str, str] | None:
    """Return code and text of a reason that does not depend on other skills, or None."""
    if (spread := anchor.spread()) > WIDEST:
        return "WIDE", f"expected a mean variance of at most {WIDEST:g}, got {spread:.1f}"
    if (count := anchor.n_classes) > MOST_CLASSES:
        return "CLASSES", f"expected at most {MOST_CLASSES:,} classes, got {count:,}"
    return None


@dataclass(frozen=True, eq=False)
class Target:
    """A used skill, prepared for comparisons.

    Attributes:
        id: id of the skill.
        anchor: its class moments.
        density: density of its task.
        directions: (C, D) unit vectors from the metric's centre to the class means.
        kept: kept validation images of an own task; None without.
    """

    id: str
    anchor: MomentsAnchor
    density: TaskDensity
    directions: np.ndarray
    kept: ScoredImages | None

    def drawn(self, newcomer: str) -> ScoredImages:
        """Return synthetic images of the task for the screening of a newcomer, by its id."""
        return ScoredImages.of(synthetic_images(self.anchor, self.id, newcomer), self.density)


class Targets:
    """Prepared skills by id; the ones that were used last stay in memory."""

    def __init__(self) -> None:
        self._prepared: dict[str, Target] = {}

    def get(self, skill_id: str, known: KnownSkills) -> Target:
        """Return a skill, prepared if it is not in memory.

        Args:
            skill_id: id of a used skill.
            known: the used skills.
        """
        target = self._prepared.pop(skill_id, None) or _prepared(skill_id, known)
        self._prepared[skill_id] = target  # now the last one
        if len(self._prepared) > _KEPT_TARGETS:
            del self._prepared[next(iter(self._prepared))]
        return target


def _prepared(skill_id: str, known: KnownSkills) -> Target:
    anchor, kept = known.anchor(skill_id), known.kept(skill_id)
    density = TaskDensity.of(anchor.moments())
    return Target(
        skill_id,
        anchor,
        density,
        directions(anchor.class_means()),
        None if kept is None else ScoredImages.of(kept, density),
    )
