"""Tombstones: small signed statements with which authors withdraw their skills.

The specification is in `docs/other_files.md`.
"""

from __future__ import annotations

import hashlib
from dataclasses import InitVar, dataclass, field

from teachmesh.packet.signed_statement import StatementKind, check_hex
from teachmesh.packet.signing import AgentKey

TOMBSTONE_BYTES = 512
"""Maximum size of a tombstone; one of version 1 has 328 bytes."""
_KIND = StatementKind("tombstone", frozenset({"skill"}), TOMBSTONE_BYTES)
_MADE_HERE = object()


@dataclass(frozen=True)
class Tombstone:
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

    def __post_init__(self, origin: object) -> None:
        if origin is not _MADE_HERE:
            raise TypeError("expected a tombstone from sign_tombstone or read_tombstone")

    @property
    def id(self) -> str:
        """SHA-256 of the bytes, 64 hex digits."""
        return hashlib.sha256(self.data).hexdigest()


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
    return Tombstone(values["author"], values["skill"], data, _MADE_HERE)
