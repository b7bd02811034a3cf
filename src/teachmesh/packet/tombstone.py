"""Tombstones: small signed statements with which authors withdraw their skills.

The specification is in `docs/skill_format.md`.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import InitVar, dataclass, field
from typing import Any

from teachmesh.errors import SkillRefused
from teachmesh.packet.canonical import dump_canonical, parse_strict
from teachmesh.packet.signing import AgentKey, is_signed

SCHEMA = "teachmesh.tombstone/1"
CONTEXT = b"teachmesh.tombstone/1\0"
TOMBSTONE_BYTES = 512
"""Maximum size of a tombstone; one of version 1 has 328 bytes."""
_KEYS = {"author", "schema", "signature", "skill"}
_NEWER = re.compile(r"teachmesh\.tombstone/[1-9][0-9]{0,8}")
_HEX_64 = re.compile(r"[0-9a-f]{64}")
_SIGNATURE = re.compile(r"[0-9a-f]{128}")
_BRACKETS = 16
_MADE_HERE = object()


@dataclass(frozen=True)
class Tombstone:
    """A statement with a valid signature; created only by `sign_tombstone` and `read_tombstone`.

    It has effect only on a skill of the same author. Anyone can sign one for any id, so the bank
    compares the authors (`bank.withdrawals`).

    Attributes:
        author: Ed25519 public key of the signer, 64 hex digits.
        skill: id of the skill that is withdrawn, 64 hex digits.
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
    """Make the tombstone of a skill; equal skills and keys give equal bytes.

    Args:
        skill: id of the skill, 64 hex digits.
        key: key of the skill's author.

    Raises:
        SkillRefused: VALUE if the id is not valid.
    """
    author = key.public_key
    signature = key.sign_message(_message(author, skill)).hex()
    text = dump_canonical({**_body(author, skill), "signature": signature})
    return read_tombstone(text.encode())


def read_tombstone(data: bytes) -> Tombstone:
    """Check untrusted bytes of a tombstone; equal statements have exactly one spelling.

    Raises:
        SkillRefused: the bytes violate a rule. LIMIT is for the size, FORMAT for text that is not
            canonical JSON, and VERSION for a newer schema. SCHEMA is for wrong keys, VALUE for
            wrong values, and SIGNATURE if the author did not sign it.
    """
    if len(data) > TOMBSTONE_BYTES:
        raise SkillRefused(
            "LIMIT", f"expected a tombstone of at most {TOMBSTONE_BYTES} bytes, got {len(data)}"
        )
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise SkillRefused("FORMAT", "the tombstone is not UTF-8") from error
    values = parse_strict(text, "tombstone", brackets=_BRACKETS)
    _check_values(values)
    if dump_canonical(values) != text:
        raise SkillRefused("FORMAT", "the tombstone is not canonical JSON")
    author, skill = values["author"], values["skill"]
    if not is_signed(_message(author, skill), values["signature"], author):
        raise SkillRefused("SIGNATURE", "the tombstone is not signed by the author that it names")
    return Tombstone(author, skill, data, _MADE_HERE)


def _check_values(values: Any) -> None:
    schema = values.get("schema") if isinstance(values, dict) else None
    if schema != SCHEMA:
        if isinstance(schema, str) and _NEWER.fullmatch(schema):
            raise SkillRefused("VERSION", "made by a newer teachmesh; update to read the tombstone")
        raise SkillRefused("SCHEMA", f"expected a tombstone of schema {SCHEMA!r}")
    if set(values) != _KEYS:
        raise SkillRefused("SCHEMA", f"expected exactly the keys {', '.join(sorted(_KEYS))}")
    for name, pattern in (("author", _HEX_64), ("skill", _HEX_64), ("signature", _SIGNATURE)):
        value = values[name]
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise SkillRefused("VALUE", f"expected lower-case hex digits in {name!r}")


def _body(author: str, skill: str) -> dict[str, str]:
    return {"author": author, "schema": SCHEMA, "skill": skill}


def _message(author: str, skill: str) -> bytes:
    return CONTEXT + dump_canonical(_body(author, skill)).encode()
