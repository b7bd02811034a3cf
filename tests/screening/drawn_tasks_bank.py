"""A bank in memory with skills of drawn tasks, and the student that answers with them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from teachmesh.agent.answers.screened_student import StudentSkills
from teachmesh.agent.answers.student import Student
from teachmesh.bank.entry import BankEntry
from teachmesh.bank.verdict_file import Verdict, Verdicts
from teachmesh.mapping.anchor_kinds import MomentsAnchor
from teachmesh.mapping.metric import Metric
from teachmesh.mapping.quantise import quantise_rows
from teachmesh.packet.signing import AgentKey, VerifiedSkill, sign
from teachmesh.packet.skill import Skill
from teachmesh.screening.screen_bank import BankScreen, Origin, holding
from teachmesh.screening.screen_skills import Targets
from tests.packet.sample_skills import sample_card

DIM = 32
LENGTH = 20.0


def key_of(author: str) -> AgentKey:
    """Return the key of an author, always the same for a name."""
    return AgentKey(author.encode().ljust(32, b"."))


def drawn_anchor(seed: int, n_classes: int = 3) -> MomentsAnchor:
    """Return the moments of a task whose class means lie in random directions."""
    random = np.random.default_rng(seed)
    rows = random.normal(size=(n_classes, DIM))
    return with_means(LENGTH * rows / np.linalg.norm(rows, axis=1, keepdims=True))


def with_means(means: np.ndarray, **changes: np.ndarray) -> MomentsAnchor:
    """Return the moments of a task with these class means and unit variance."""
    levels, scales = quantise_rows(means.astype(np.float32))
    count = len(means)
    anchor = MomentsAnchor(
        means=levels,
        mean_scales=scales,
        directions=np.eye(2, DIM, dtype=np.int8) * np.int8(127),
        variances=np.array([2.0, 1.0], np.float32),
        rest=np.array([1.0], np.float32),
        degrees=np.array([200], np.uint32),
        head=levels,
        head_scales=np.full(count, 0.01, np.float32),
        head_bias=np.zeros(count, np.float32),
    )
    return dataclasses.replace(anchor, **changes)


def skill_of(
    task: str, anchor: MomentsAnchor, author: str, replaces: str | None = None
) -> VerifiedSkill:
    """Return a signed skill with these moments."""
    key, count = key_of(author), anchor.n_classes
    card = sample_card(
        count,
        task=task,
        author=key.public_key,
        alias=author,
        method="moments",
        anchors=("moments",),
        replaces=replaces,
    )
    return sign(Skill(card, {f"moments.{n}": a for n, a in anchor.tensors().items()}), key)


class DrawnBank:
    """Skills that answers may use, and what screening found about them.

    Args:
        own: author whose agent this is.
        dim: latent size.

    Attributes:
        kept: (N, D) kept validation images of the agent's own tasks; None for none.
        doubted: ids of skills that trusted agents keep in quarantine.
    """

    def __init__(self, own: str = "nobody", dim: int = DIM) -> None:
        self.own = key_of(own).public_key
        self.skills: dict[str, VerifiedSkill] = {}
        self.verdicts = Verdicts()
        self.student = Student("moments", Metric.identity(dim))
        self.kept: np.ndarray | None = None
        self.doubted: frozenset[str] = frozenset()

    def put(self, *skills: VerifiedSkill) -> None:
        """Add skills that arrive together, and screen them."""
        self.skills |= {skill.id: skill for skill in skills}
        self.screen()

    def remove(self, skill: VerifiedSkill) -> None:
        """Take a skill out of the bank."""
        del self.skills[skill.id]
        self.screen()

    def release(self, skill: VerifiedSkill) -> None:
        """Release a skill from quarantine."""
        released = self.verdicts.released | {skill.id}
        self.verdicts = dataclasses.replace(self.verdicts, released=released)
        self.screen()

    def screen(self) -> None:
        """Screen all skills without a verdict."""
        entries = {key: BankEntry.of(skill) for key, skill in self.skills.items()}
        ranks = {
            key: 0 if entry.author == self.own else 4 + (key in self.doubted)
            for key, entry in entries.items()
        }
        origins = {key: Origin(ranks[key], number) for number, key in enumerate(self.skills)}

        def load(skill_id: str) -> Skill:
            return self.skills[skill_id].skill

        known = holding(self.verdicts, origins)
        used = {key for key, verdict in known.items() if not verdict.code}
        self.student.sync({key: entries[key] for key in used}, load)
        skills = StudentSkills(self.student, entries, load, ranks, lambda _skill: self.kept)
        screen = BankScreen(skills, origins, self.verdicts, Targets())
        screen.run()
        self.verdicts = dataclasses.replace(self.verdicts, by_id=screen.found)

    def codes(self) -> dict[str, str]:
        """Return the code of each skill's verdict by the name of its task; empty if it is used."""
        held: Mapping[str, Verdict] = self.verdicts.quarantined()
        return {
            skill.skill.card.task: held[key].code if key in held else ""
            for key, skill in self.skills.items()
        }
