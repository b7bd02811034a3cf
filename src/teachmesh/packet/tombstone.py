"""Tombstones: small signed statements with which authors withdraw their skills.

The specification is in `docs/other_files.md`.
"""

from __future__ import annotations

from dataclasses import InitVar, dataclass, field
from typing import ClassVar

from teachmesh.packet.signed_statement import MADE_HERE, Statement, StatementKind, check_hex
from teachmesh.packet.signing import AgentKey

TOMBSTONE_BYTES = 512
"""Maximum size of a tombstone; one of version 1 has 328 bytes."""
_KIND = StatementKind("tombstone", frozenset({"skill"}), TOMBSTONE_BYTES)


@dataclass(frozen=True)
class Tombstone(Statement):
    """A statement with a valid signature; created only by `sign_tombstone` and `read_tombstone`.

    It has effect only on a skill of the same author, and on a part (`packet.part`) of the same
    author or of its task's owner. Anyone can sign one for any id, so the bank compares the authors
    (`bank.withdrawals`, `bank.part_shelf`).

    Attributes:
        author: Ed25519 public key of the signer, 64 hex digits.
        skill: id of the skill or part that is withdrawn, 64 hex digits.
        data: canonical bytes with the signature.
    """

    author: str
    skill: str
    data: bytes = field(repr=False)
    origin: InitVar[object]
    made_by: ClassVar[str] = "a tombstone from sign_tombstone or read_tombstone"


def sign_tombstone(skill: str, key: AgentKey) -> Tombstone:
    """Make the tombstone of a skill or part; equal ids and keys give equal bytes.

    Args:
        skill: its id, 64 hex digits.
        key: key of its author.

    Raises:
        SkillRefused: VALUE if the id is not valid.
    """
    return read_tombstone(_KIND.sign({"skill": skill}, key))


def read_tombstone(data: bytes) -> Tombstone:
    """Check untrusted bytes of a tombstone; equal statements have exactly one spelling.

    Raises:
        SkillRefused: the bytes violate a rule, see `StatementKind.read`.
    """
    values = _KIND.read(data, lambda values: check_hex(values, "skill"))
    return Tombstone(values["author"], values["skill"], data, MADE_HERE)
