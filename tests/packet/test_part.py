"""Parts, rosters and sealed answers are accepted only as their authors made them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from teachmesh.data.splits import SplitRule
from teachmesh.errors import SkillRefused
from teachmesh.packet.part import PART_BYTES, Part, PartFacts, read_part, sign_part
from teachmesh.packet.roster import (
    MAX_MEMBERS,
    Roster,
    RosterFacts,
    read_roster,
    sign_roster,
)
from teachmesh.packet.sealing import SealedLine
from tests.packet.sample_skills import ALICE, BOB, MALLORY, canonical

FACTS = PartFacts("screws", BOB.public_key, "ab" * 32, images=3, sequence=7)
PART = sign_part(FACTS, b"payload", ALICE)
HEADER: dict[str, Any] = json.loads(PART.data.split(b"\n")[0])
ROSTER = sign_roster(
    RosterFacts("screws", "ab" * 32, SplitRule(), frozenset({ALICE.public_key}), 1, {}), BOB
)
VALUES: dict[str, Any] = json.loads(ROSTER.data)
Change = dict[str, Any]


def signed(values: Change, changes: Change, seed: int) -> bytes:
    """Other content, properly signed, without the code under test."""
    body = {**values, **changes}
    body.pop("signature", None)
    message = str(body["schema"]).encode() + b"\0" + canonical(body).encode()
    signature = Ed25519PrivateKey.from_private_bytes(bytes(range(seed, seed + 32))).sign(message)
    return canonical({**body, "signature": signature.hex()}).encode()


def part(**changes: Any) -> bytes:
    """A part by Alice with another header."""
    return signed(HEADER, changes, 0) + b"\npayload"


def roster(**changes: Any) -> bytes:
    """A roster by Bob with other content."""
    return signed(VALUES, changes, 1)


def test_the_bytes_are_those_of_the_documented_format() -> None:
    """Header with a signature over schema and content, a line feed, the statistics."""
    assert part() == PART.data
    assert PART.id == hashlib.sha256(PART.data).hexdigest()
    assert read_part(PART.data) == PART
    assert (PART.author, PART.facts, PART.payload) == (ALICE.public_key, FACTS, b"payload")
    assert HEADER["payload"] == hashlib.sha256(b"payload").hexdigest()
    assert roster() == ROSTER.data
    assert read_roster(ROSTER.data) == ROSTER
    assert ROSTER.task == (BOB.public_key, "screws")
    assert [ROSTER.admits(k.public_key) for k in (ALICE, BOB, MALLORY)] == [True, True, False]


KEYS = [f"{n:064x}" for n in range(MAX_MEMBERS + 1)]
BAD: dict[str, tuple[Callable[[bytes], Part | Roster], bytes, str]] = {
    "empty": (read_part, b"", "FORMAT"),
    "no header": (read_part, b"x" * 9000, "FORMAT"),
    "a header without end": (read_part, PART.data.replace(b"\n", b""), "FORMAT"),
    "too large": (read_part, b"\n" * (PART_BYTES + 1), "LIMIT"),
    "other statistics": (read_part, PART.data[:-1] + b"D", "HASH"),
    "fewer statistics": (read_part, PART.data[:-1], "HASH"),
    "a newer part": (read_part, part(schema="teachmesh.part/2"), "VERSION"),
    "a tombstone": (read_part, part(schema="teachmesh.tombstone/1"), "SCHEMA"),
    "another key": (read_part, part(more=1), "SCHEMA"),
    "many images": (read_part, part(images=2**53), "VALUE"),
    "images as text": (read_part, part(images="3"), "VALUE"),
    "true as number": (read_part, part(sequence=True), "VALUE"),
    "a float": (read_part, part(sequence=1.0), "VALUE"),
    "a task that is a path": (read_part, part(task="a/b"), "NAME"),
    "a task that is a number": (read_part, part(task=5), "VALUE"),
    "another owner": (read_part, PART.data.replace(b'"owner":"', b'"owner":"f'), "VALUE"),
    "spaces": (read_part, PART.data.replace(b",", b", ", 1), "FORMAT"),
    "another author": (read_part, part(author=BOB.public_key), "SIGNATURE"),
    "a list": (read_roster, b"[]", "SCHEMA"),
    "not UTF-8": (read_roster, b"\xff" + ROSTER.data, "FORMAT"),
    "a newer roster": (read_roster, roster(schema="teachmesh.roster/9"), "VERSION"),
    "members twice": (read_roster, roster(members=[KEYS[0]] * 2), "VALUE"),
    "unsorted members": (read_roster, roster(members=[KEYS[1], KEYS[0]]), "VALUE"),
    "the owner as member": (read_roster, roster(members=[BOB.public_key]), "VALUE"),
    "many members": (read_roster, roster(members=KEYS), "LIMIT"),
    "members that are numbers": (read_roster, roster(members=[5]), "VALUE"),
    "parts that are a list": (read_roster, roster(parts=[]), "VALUE"),
    "a part without author": (read_roster, roster(parts={KEYS[0]: None}), "VALUE"),
    "a rule without seed": (read_roster, roster(rule={"test": 0.1}), "VALUE"),
    "no rule": (read_roster, roster(rule=None), "VALUE"),
    "a negative fraction": (
        read_roster,
        roster(rule={"seed": 0, "test": -0.1, "validation": 0.1}),
        "VALUE",
    ),
    "no training": (read_roster, roster(rule={"seed": 0, "test": 0.5, "validation": 0.5}), "VALUE"),
    "a skill that is no id": (read_roster, roster(skill="x"), "VALUE"),
    "a roster by Mallory": (read_roster, roster(author=MALLORY.public_key), "SIGNATURE"),
}


@pytest.mark.parametrize("name", BAD)
def test_bytes_that_break_a_rule_are_refused(name: str) -> None:
    """Each with its own reason."""
    read, data, reason = BAD[name]
    with pytest.raises(SkillRefused) as caught:
        read(data)
    assert caught.value.reason == reason


def test_only_two_agents_can_ask_and_read() -> None:
    """Both sides derive the same keys; a third agent, or the other direction, derives others."""
    bob = SealedLine(BOB, ALICE.public_key, answered_by=BOB.public_key)
    alice = SealedLine(ALICE, BOB.public_key, answered_by=BOB.public_key)
    assert alice.request("list") == bob.request("list") != bob.request("other")
    sealed = bob.seal("list", b"content")
    assert sealed == bob.seal("list", b"content") != bob.seal("list", b"contents")
    assert alice.open("list", sealed) == b"content"
    others = [
        SealedLine(MALLORY, BOB.public_key, answered_by=BOB.public_key),
        SealedLine(ALICE, BOB.public_key, answered_by=ALICE.public_key),
        SealedLine(MALLORY, ALICE.public_key, answered_by=MALLORY.public_key),
    ]
    for other in others:
        assert other.request("list") != bob.request("list")
        assert other.open("list", sealed) is None
    assert alice.open("other", sealed) is None
    for bad in (b"", sealed[:20], sealed[:-1], sealed[:-1] + b"\0", b"\0" * 99):
        assert alice.open("list", bad) is None


@pytest.mark.parametrize("key", ["00" * 32, "01" + "00" * 31, "ec" + "ff" * 30 + "7f"])
def test_keys_of_small_order_are_refused(key: str) -> None:
    """They would make the secret known to everybody (y = 0, y = 1 and y = -1)."""
    with pytest.raises(SkillRefused, match="cannot be used for sealing"):
        SealedLine(ALICE, key, answered_by=key)
