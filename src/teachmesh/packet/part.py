"""Parts: the exact sums of some images of a task, by one of several agents that learn it together.

A file is a signed statement in canonical JSON, a line feed, and the statistics of the images as
bytes. The specification is in `docs/other_files.md`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import InitVar, dataclass, field
from typing import Any, ClassVar

from teachmesh.errors import SkillRefused
from teachmesh.packet.card_rules import check_labels
from teachmesh.packet.limits import MIB
from teachmesh.packet.signed_statement import (
    MADE_HERE,
    Statement,
    StatementKind,
    check_hex,
    check_whole,
)
from teachmesh.packet.signing import AgentKey

PART_BYTES = 15 * MIB
"""Maximum size of a part; sealed, it fits into one answer."""
_HEADER_BYTES = 4096
_KEYS = {"fingerprint", "images", "owner", "payload", "replaces", "sequence", "size_bytes", "task"}
_KIND = StatementKind("part", frozenset(_KEYS), _HEADER_BYTES)


@dataclass(frozen=True)
class PartFacts:
    """Facts that a part is signed with.

    Attributes:
        task: name of the task.
        owner: public key of the agent that learned the task first and publishes its skill.
        fingerprint: fingerprint of the backbone that computed the latents.
        images: number of training and validation images.
        sequence: number that grows with each part of an author.
        replaces: id of the part by the same author that this one takes the place of, or None.
    """

    task: str
    owner: str
    fingerprint: str
    images: int
    sequence: int
    replaces: str | None = None


@dataclass(frozen=True)
class Part(Statement):
    """A part with a valid signature; created only by `sign_part` and `read_part`.

    Attributes:
        author: Ed25519 public key of the signer, 64 hex digits.
        facts: the signed facts.
        payload: statistics of the images, see `learning.statistics_file`; not checked here.
        data: bytes of the file.
    """

    author: str
    facts: PartFacts
    payload: bytes = field(repr=False)
    data: bytes = field(repr=False)
    origin: InitVar[object]
    made_by: ClassVar[str] = "a part from sign_part or read_part"


def sign_part(facts: PartFacts, payload: bytes, key: AgentKey) -> Part:
    """Make a part; equal facts, statistics and keys give equal bytes.

    Args:
        facts: the facts to sign.
        payload: statistics of the images.
        key: key of the author.

    Raises:
        SkillRefused: LIMIT if the part is too large, NAME or VALUE for invalid facts.
    """
    content = {
        **vars(facts),
        "payload": hashlib.sha256(payload).hexdigest(),
        "size_bytes": len(payload),
    }
    return read_part(_KIND.sign(content, key) + b"\n" + payload)


def read_part(data: bytes) -> Part:
    """Check untrusted bytes of a part, except the statistics in it.

    Raises:
        SkillRefused: the bytes violate a rule, see `StatementKind.read`; HASH if the statistics are
            not those that were signed.
    """
    if len(data) > PART_BYTES:
        raise SkillRefused(
            "LIMIT",
            f"expected a part of at most {PART_BYTES // MIB} MiB, got {len(data) / MIB:.1f} MiB; "
            "divide the images among several parts",
        )
    end = data.find(b"\n", 0, _HEADER_BYTES + 1)
    if end < 0:
        raise SkillRefused("FORMAT", "the part has no header")
    values, payload = _KIND.read(data[:end], _check_values), data[end + 1 :]
    size_bytes, digest = values.pop("size_bytes"), values.pop("payload")
    if len(payload) != size_bytes or hashlib.sha256(payload).hexdigest() != digest:
        raise SkillRefused("HASH", "the statistics are not those that the part was signed with")
    author = values.pop("author")
    del values["schema"]
    return Part(author, PartFacts(**values), payload, data, MADE_HERE)


def _check_values(values: Mapping[str, Any]) -> None:
    for name in ("fingerprint", "owner", "payload"):
        check_hex(values, name)
    if values["replaces"] is not None:
        check_hex(values, "replaces")
    for name in ("images", "sequence", "size_bytes"):
        check_whole(values, name)
    check_task(values["task"])


def check_task(name: object) -> None:
    """Check the name of a task in a statement.

    Raises:
        SkillRefused: VALUE if it is no text, NAME if it is no valid name.
    """
    if not isinstance(name, str):
        raise SkillRefused("VALUE", "expected text in 'task'")
    check_labels(name, ["class"])
