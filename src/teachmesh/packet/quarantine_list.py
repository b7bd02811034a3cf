"""Quarantine lists: signed lists of the skills that an agent keeps out of its answers.

The specification is in `docs/other_files.md`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import InitVar, dataclass, field
from typing import Any, ClassVar

from teachmesh.errors import SkillRefused
from teachmesh.packet.signed_statement import (
    HEX_64,
    MADE_HERE,
    Statement,
    StatementKind,
    check_whole,
)
from teachmesh.packet.signing import AgentKey

MAX_LISTED = 20_000
"""Maximum number of skills on a list: as many as a bank takes from peers."""
LIST_BYTES = 2 << 20
_KIND = StatementKind("quarantine-list", frozenset({"sequence", "skills"}), LIST_BYTES)


@dataclass(frozen=True)
class QuarantineList(Statement):
    """A list with a valid signature; created only by `sign_list` and `read_list`.

    Attributes:
        author: Ed25519 public key of the signer, 64 hex digits.
        skills: ids of the skills in its quarantine.
        sequence: number that grows with each list of the signer.
        data: canonical bytes with the signature.
    """

    author: str
    skills: frozenset[str]
    sequence: int
    data: bytes = field(repr=False)
    origin: InitVar[object]
    made_by: ClassVar[str] = "a list from sign_list or read_list"


def sign_list(skills: Collection[str], sequence: int, key: AgentKey) -> QuarantineList:
    """Make a list; equal ids, numbers and keys give equal bytes.

    Args:
        skills: ids of the skills in quarantine, 64 hex digits each.
        sequence: number that is larger than those of earlier lists.
        key: key of the agent.

    Raises:
        SkillRefused: LIMIT for too many ids, VALUE for other invalid values.
    """
    return read_list(_KIND.sign({"sequence": sequence, "skills": sorted(skills)}, key))


def read_list(data: bytes) -> QuarantineList:
    """Check untrusted bytes of a list; equal lists have exactly one spelling.

    Raises:
        SkillRefused: the bytes violate a rule, see `StatementKind.read`.
    """
    values = _KIND.read(data, _check_values)
    skills = frozenset(values["skills"])
    return QuarantineList(values["author"], skills, values["sequence"], data, MADE_HERE)


def _check_values(values: Mapping[str, Any]) -> None:
    skills = values["skills"]
    check_whole(values, "sequence")
    if not isinstance(skills, list) or len(skills) > MAX_LISTED:
        raise SkillRefused("LIMIT", f"expected a list of at most {MAX_LISTED:,} skills")
    if not all(isinstance(skill, str) and HEX_64.fullmatch(skill) for skill in skills):
        raise SkillRefused("VALUE", "expected 64 lower-case hex digits for each skill")
    if skills != sorted(set(skills)):
        raise SkillRefused("VALUE", "expected sorted skills, each once")
