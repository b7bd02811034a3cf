"""Rosters: signed lists of the agents that may hold parts of a task, by the owner of the task.

A roster also names the parts from which the owner made the published skill. So every holder of the
parts can make the skill again and compare.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import InitVar, asdict, dataclass, field
from typing import Any, ClassVar

from teachmesh.data.splits import SplitRule
from teachmesh.errors import SkillRefused
from teachmesh.packet.part import check_task
from teachmesh.packet.signed_statement import (
    HEX_64,
    MADE_HERE,
    Statement,
    StatementKind,
    check_hex,
    check_whole,
)
from teachmesh.packet.signing import AgentKey

MAX_MEMBERS = 64
"""Maximum number of agents that an owner may invite to one task."""
MAX_PARTS = 1024
"""Maximum number of parts from which a skill is made."""
ROSTER_BYTES = 256 << 10
_KEYS = {"fingerprint", "members", "parts", "rule", "sequence", "skill", "task"}
_KIND = StatementKind("roster", frozenset(_KEYS), ROSTER_BYTES)
_MAX_SEED = 2**63


@dataclass(frozen=True)
class RosterFacts:
    """Content of a roster.

    Attributes:
        task: name of the task.
        fingerprint: fingerprint of the backbone that computes the latents.
        rule: rule of the splits of all parts whose sources have no splits.
        members: public keys of the invited agents, without the owner.
        sequence: number that grows with each roster of a task.
        parts: author of each part that the skill was made from, by the part's id.
        skill: id of the skill that was made from these parts; None if none was made yet.
    """

    task: str
    fingerprint: str
    rule: SplitRule
    members: frozenset[str]
    sequence: int
    parts: Mapping[str, str]
    skill: str | None = None


@dataclass(frozen=True)
class Roster(Statement):
    """A roster with a valid signature; created only by `sign_roster` and `read_roster`.

    Attributes:
        owner: Ed25519 public key of the signer, 64 hex digits.
        facts: the content.
        data: canonical bytes with the signature.
    """

    owner: str
    facts: RosterFacts
    data: bytes = field(repr=False)
    origin: InitVar[object]
    made_by: ClassVar[str] = "a roster from sign_roster or read_roster"

    @property
    def task(self) -> tuple[str, str]:
        """Owner and name of the task, which identify it."""
        return self.owner, self.facts.task

    @property
    def order(self) -> tuple[int, str]:
        """Key by which the newest roster of a task is the largest one, on all agents."""
        return self.facts.sequence, self.id

    def admits(self, author: str) -> bool:
        """Return whether an agent may contribute parts."""
        return author == self.owner or author in self.facts.members


def sign_roster(facts: RosterFacts, key: AgentKey) -> Roster:
    """Make a roster; equal facts and keys give equal bytes.

    Raises:
        SkillRefused: LIMIT for too many members or parts, NAME or VALUE for other invalid facts.
    """
    content = {**vars(facts), "members": sorted(facts.members), "parts": dict(facts.parts)}
    return read_roster(_KIND.sign({**content, "rule": asdict(facts.rule)}, key))


def read_roster(data: bytes) -> Roster:
    """Check untrusted bytes of a roster; equal rosters have exactly one spelling.

    Raises:
        SkillRefused: the bytes violate a rule, see `StatementKind.read`.
    """
    values = _KIND.read(data, _check_values)
    owner = values.pop("author")
    del values["schema"]
    values["rule"] = SplitRule(**values["rule"])
    values["members"] = frozenset(values["members"])
    return Roster(owner, RosterFacts(**values), data, MADE_HERE)


def _check_values(values: Mapping[str, Any]) -> None:
    check_hex(values, "fingerprint")
    if values["skill"] is not None:
        check_hex(values, "skill")
    check_whole(values, "sequence")
    check_task(values["task"])
    _check_rule(values["rule"])
    members, parts = values["members"], values["parts"]
    if not isinstance(members, list) or not isinstance(parts, dict):
        raise SkillRefused("VALUE", "expected a list of members and an object of parts")
    if len(members) > MAX_MEMBERS or len(parts) > MAX_PARTS:
        raise SkillRefused(
            "LIMIT",
            f"expected at most {MAX_MEMBERS} members and {MAX_PARTS} parts, got {len(members)} and "
            f"{len(parts)}",
        )
    keys = [*members, *parts, *parts.values()]
    if not all(isinstance(text, str) and HEX_64.fullmatch(text) for text in keys):
        raise SkillRefused("VALUE", "expected 64 hex digits for each member and part")
    if members != sorted(set(members)) or values["author"] in members:
        raise SkillRefused("VALUE", "expected sorted members, each once, without the owner")


def _check_rule(rule: object) -> None:
    if not isinstance(rule, dict) or set(rule) != {"seed", "test", "validation"}:
        raise SkillRefused("VALUE", "expected a seed and two fractions in 'rule'")
    fractions = [rule["validation"], rule["test"]]
    if type(rule["seed"]) is not int or not 0 <= rule["seed"] < _MAX_SEED:
        raise SkillRefused("VALUE", "expected a whole number as seed")
    if not all(type(x) is float and math.isfinite(x) and 0 <= x < 1 for x in fractions):
        raise SkillRefused("VALUE", "expected fractions from 0 to 1 in 'rule'")
    if sum(fractions) >= 1:
        raise SkillRefused("VALUE", "expected a fraction of training images in 'rule'")
