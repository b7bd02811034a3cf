"""Signed announcements of a bank's digests."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from teachmesh.data.names import check_name
from teachmesh.errors import DataError
from teachmesh.packet.limits import DEFAULT_LIMITS
from teachmesh.packet.signing import AgentKey, agent_id, is_signed
from teachmesh.sharing.transport import MAX_ANNOUNCEMENT_BYTES

SCHEMA = "teachmesh.announcement/3"
CONTEXT = b"teachmesh.announcement/3\0"
_HEX_64 = re.compile(r"[0-9a-f]{64}")
_SIGNATURE = re.compile(r"[0-9a-f]{128}")
_MAX_COUNT = 2**53
_KEYS = {"schema", "author", "alias", "digest", "tombstones", "count", "published", "sequence"}
_NUMBERS = ("count", "published", "sequence")
_AUTHOR = re.compile(rb'"author":"([0-9a-f]{64})"')
_short_id = lru_cache(maxsize=4096)(agent_id)


@dataclass(frozen=True)
class Announcement:
    """Summary of an agent's bank, for its peers.

    Attributes:
        author: Ed25519 public key of the agent, 64 hex digits.
        alias: display name of the agent.
        digest: hash of the list of skills in the agent's bank (`id_list`).
        tombstones: hash of the list of tombstones in the agent's bank.
        count: number of skills in the agent's bank.
        published: number of skills that the agent itself published, also of withdrawn ones. It
            never falls, so a peer notices if some of them are withheld.
        sequence: number that grows with each announcement of the agent, even across restarts.
    """

    author: str
    alias: str
    digest: str
    tombstones: str
    count: int
    published: int
    sequence: int

    @property
    def digests(self) -> tuple[str, str]:
        """Digests of skills and of tombstones; peers are in sync if both are equal."""
        return self.digest, self.tombstones

    @property
    def agent_id(self) -> str:
        """Short id of the agent, used as its network address."""
        return _short_id(self.author)


def encode_announcement(announcement: Announcement, key: AgentKey) -> bytes:
    """Return the signed bytes of an announcement, at most 2 KiB."""
    body = _body(announcement)
    signature = key.sign_message(CONTEXT + _canonical(body)).hex()
    return _canonical({**body, "signature": signature})


def claimed_agent(data: bytes) -> str:
    """Return the id of the agent that a broadcast names, without checking anything else.

    Returns:
        The id; an empty text if the bytes name no agent as `encode_announcement` does.
    """
    found = _AUTHOR.search(data, 0, MAX_ANNOUNCEMENT_BYTES)
    return "" if found is None else _short_id(found[1].decode("ascii"))


def decode_announcement(
    data: bytes, is_useless: Callable[[Announcement], bool] = lambda _: False
) -> Announcement | None:
    """Read a broadcast. Invalid bytes raise no error, because anyone may send garbage.

    Args:
        data: the bytes.
        is_useless: returns whether to drop an announcement without checking its signature, because
            the check takes most of the time.

    Returns:
        The announcement, or None if it is useless, the bytes do not match the schema exactly, or
        the signature is not the author's.
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
    if not _SIGNATURE.fullmatch(signature) or is_useless(announcement):
        return None
    message = CONTEXT + _canonical(_body(announcement))
    return announcement if is_signed(message, signature, announcement.author) else None


def _checked(values: dict[str, object]) -> Announcement | None:
    if set(values) != _KEYS:
        return None
    author, digest, tombstones = values["author"], values["digest"], values["tombstones"]
    alias, numbers = values["alias"], [values[name] for name in _NUMBERS]
    if not all(isinstance(v, str) and _HEX_64.fullmatch(v) for v in (author, digest, tombstones)):
        return None
    if not isinstance(alias, str) or not _is_name(alias):
        return None
    counts = [n for n in numbers if type(n) is int and 0 <= n < _MAX_COUNT]
    if len(counts) < len(numbers):
        return None
    return Announcement(str(author), alias, str(digest), str(tombstones), *counts)


def _is_name(alias: str) -> bool:
    """Return whether an alias could be on a card."""
    try:
        return check_name("alias", alias, DEFAULT_LIMITS.alias, as_file=True) == alias
    except DataError:
        return False


def _body(announcement: Announcement) -> dict[str, object]:
    return {
        "schema": SCHEMA,
        "author": announcement.author,
        "alias": announcement.alias,
        "digest": announcement.digest,
        "tombstones": announcement.tombstones,
        "count": announcement.count,
        "published": announcement.published,
        "sequence": announcement.sequence,
    }


def _canonical(values: dict[str, object]) -> bytes:
    return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
