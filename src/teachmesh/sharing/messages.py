"""Signed announcements of a bank's digest."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from teachmesh.packet.signing import AgentKey, agent_id, is_signed
from teachmesh.sharing.transport import MAX_ANNOUNCEMENT_BYTES

SCHEMA = "teachmesh.announcement/1"
CONTEXT = b"teachmesh.announcement/1\0"
_HEX_64 = re.compile(r"[0-9a-f]{64}")
_SIGNATURE = re.compile(r"[0-9a-f]{128}")
_MAX_ALIAS = 64
_MAX_COUNT = 2**53


@dataclass(frozen=True)
class Announcement:
    """Summary of an agent's bank, for its peers.

    Attributes:
        author: Ed25519 public key of the agent, 64 hex digits.
        alias: display name of the agent.
        digest: hash of the sorted ids of the skills in the agent's bank.
        count: number of skills in the agent's bank.
        sequence: number that grows with each announcement of the agent, even across restarts.
    """

    author: str
    alias: str
    digest: str
    count: int
    sequence: int

    @property
    def agent_id(self) -> str:
        """Short id of the agent, used as its network address."""
        return agent_id(self.author)


def encode_announcement(announcement: Announcement, key: AgentKey) -> bytes:
    """Return the signed bytes of an announcement, at most 2 KiB."""
    body = _body(announcement)
    signature = key.sign_message(CONTEXT + _canonical(body)).hex()
    return _canonical({**body, "signature": signature})


def decode_announcement(data: bytes) -> Announcement | None:
    """Read a broadcast. Invalid bytes raise no error, because anyone may send garbage.

    Returns:
        The announcement, or None if the bytes do not match the schema exactly or the signature is
        not the author's.
    """
    if len(data) > MAX_ANNOUNCEMENT_BYTES:
        return None
    try:
        values = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(values, dict) or values.get("schema") != SCHEMA:
        return None
    signature = values.pop("signature", None)
    announcement = _checked(values)
    if announcement is None or not isinstance(signature, str):
        return None
    if not _SIGNATURE.fullmatch(signature):
        return None
    message = CONTEXT + _canonical(_body(announcement))
    return announcement if is_signed(message, signature, announcement.author) else None


def _checked(values: dict[str, object]) -> Announcement | None:
    if set(values) != {"schema", "author", "alias", "digest", "count", "sequence"}:
        return None
    author, digest = values["author"], values["digest"]
    alias, count, sequence = values["alias"], values["count"], values["sequence"]
    if not all(isinstance(v, str) and _HEX_64.fullmatch(v) for v in (author, digest)):
        return None
    if not isinstance(alias, str) or len(alias) > _MAX_ALIAS or not alias.isprintable():
        return None
    if type(count) is not int or type(sequence) is not int:
        return None
    if not 0 <= count < _MAX_COUNT or not 0 <= sequence < _MAX_COUNT:
        return None
    return Announcement(str(author), alias, str(digest), count, sequence)


def _body(announcement: Announcement) -> dict[str, object]:
    return {
        "schema": SCHEMA,
        "author": announcement.author,
        "alias": announcement.alias,
        "digest": announcement.digest,
        "count": announcement.count,
        "sequence": announcement.sequence,
    }


def _canonical(values: dict[str, object]) -> bytes:
    return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
