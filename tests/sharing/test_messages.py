"""An announcement is accepted only as its agent signed it."""

from __future__ import annotations

import dataclasses
import json
import random

import pytest

from teachmesh.packet.signing import AgentKey
from teachmesh.sharing.messages import (
    CONTEXT,
    Announcement,
    decode_announcement,
    encode_announcement,
)
from teachmesh.sharing.peers import PeerTable
from tests.packet.sample_skills import ALICE, BOB

SAID = Announcement(ALICE.public_key, "alice", "ab" * 32, "cd" * 32, 3, 2, 17)


def canonical(values: object) -> bytes:
    """An independent implementation."""
    return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def forged(key: AgentKey = ALICE, **changes: object) -> bytes:
    """An announcement with other content, signed properly by a key."""
    values = json.loads(encode_announcement(SAID, ALICE)) | changes
    del values["signature"]
    values["signature"] = key.sign_message(CONTEXT + canonical(values)).hex()
    return canonical(values)


def garbage() -> list[bytes]:
    """Bytes that strangers may send."""
    good = encode_announcement(SAID, ALICE)
    rng = random.Random(0)
    return [
        b"",
        b"\xff\xfe\x00",
        b"null",
        b"[" * 1500,
        b"{}",
        good[:-1],
        b"x" * 5000,
        *(rng.randbytes(200) for _ in range(50)),
        *(good[:i] + bytes([good[i] ^ 1]) + good[i + 1 :] for i in range(0, len(good), 7)),
    ]


def test_an_announcement_survives_the_journey() -> None:
    """Signed, small, and equal on the other side."""
    data = encode_announcement(SAID, ALICE)
    assert decode_announcement(data) == SAID
    assert len(data) < 600
    longest = dataclasses.replace(SAID, alias="\U0001f9ed" * 64, count=2**53 - 1)
    data = encode_announcement(longest, ALICE)
    assert len(data) <= 2048
    assert decode_announcement(data) == longest


def test_no_garbage_is_an_announcement() -> None:
    """Random bytes, cut ones and every flipped bit are dropped without an exception."""
    assert [decode_announcement(data) for data in garbage()] == [None] * len(garbage())


def test_a_forged_signature_is_dropped() -> None:
    """Nobody announces in another agent's name."""
    assert decode_announcement(encode_announcement(SAID, BOB)) is None
    assert decode_announcement(forged(BOB)) is None


def test_the_forger_of_these_tests_works() -> None:
    """The unchanged announcement is valid, so that the tests below are meaningful."""
    assert decode_announcement(forged()) == SAID


@pytest.mark.parametrize(
    "changes",
    [
        {"schema": "teachmesh.announcement/1"},
        {"schema": "teachmesh.announcement/4"},
        {"schema": None},
        {"more": 1},
        {"author": "zz" * 32},
        {"author": 5},
        {"digest": "ab"},
        {"tombstones": "ab"},
        {"tombstones": None},
        {"alias": "a" * 65},
        {"alias": "red\x1b[31m"},
        {"alias": "two\nlines"},
        {"alias": ["a"]},
        {"count": -1},
        {"count": True},
        {"count": 1.5},
        {"count": 2**53},
        {"sequence": "1"},
        {"sequence": -1},
        {"more": "x" * 2048},
    ],
    ids=str,
)
def test_a_value_out_of_bounds_is_dropped_whoever_signed_it(changes: dict[str, object]) -> None:
    """A valid signature does not make the content valid."""
    assert decode_announcement(forged(**changes)) is None


def test_a_replayed_announcement_changes_nothing() -> None:
    """An older announcement neither overwrites a newer one nor keeps a silent peer alive."""
    table = PeerTable()
    old = dataclasses.replace(SAID, sequence=16, digest="cd" * 32)
    assert table.note(SAID)
    seen_s = table.current()[SAID.agent_id].seen_s
    assert not table.note(old)
    assert not table.note(SAID)
    assert table.current()[SAID.agent_id].announcement == SAID
    assert table.current()[SAID.agent_id].seen_s == seen_s


def test_a_peer_that_falls_silent_is_forgotten() -> None:
    """Then even an older announcement counts: its clock may have been set back."""
    table = PeerTable(timeout_s=-1.0)
    assert table.note(SAID)
    assert table.current() == {}
    assert table.note(dataclasses.replace(SAID, sequence=1))
