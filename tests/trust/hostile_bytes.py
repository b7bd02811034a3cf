"""Hostile skills, cards, signed statements and messages, each from one number."""

from __future__ import annotations

import functools
import hashlib
import json
import random
import struct
from collections.abc import Callable
from typing import Any

from teachmesh.data.splits import SplitRule
from teachmesh.packet.parent_card import Parent
from teachmesh.packet.part import PartFacts, sign_part
from teachmesh.packet.quarantine_list import sign_list
from teachmesh.packet.roster import RosterFacts, sign_roster
from teachmesh.packet.signing import CONTEXT as SKILL_CONTEXT
from teachmesh.packet.signing import sign
from teachmesh.packet.tombstone import sign_tombstone
from teachmesh.sharing.id_list import encode_ids
from teachmesh.sharing.messages import CONTEXT as ANNOUNCEMENT_CONTEXT
from teachmesh.sharing.messages import Announcement, encode_announcement
from tests.packet.sample_skills import (
    ALICE,
    canonical,
    moments_skill,
    parse_file,
    sample_card,
    sample_skill,
    write_file,
)
from tests.packet.test_bias_card import biased_skill

IDS = [hashlib.sha256(bytes([number])).hexdigest() for number in range(40)]
FLOATS = [0.0, -0.0, 1e-45, 1e-38, 1e30, 3.4e38, -1.0, float("nan"), float("inf"), -float("inf")]
VALUES: list[Any] = [
    *(None, True, False, 0, -1, 1, 2**31, 2**53, 2**63, 2**64, 10**30, 0.5, -0.0, 1e308),
    *("", "a", "a" * 64, "a" * 65, "x" * 1000, "cafe\u0301", "a\u202eb", "a\0b", "\ud800", "../x"),
    *("ab" * 32, "AB" * 32, "2026-11-23T11:00:00Z", "teachmesh.card/99", "moments", "gmmc", "CON"),
    *([], [1], ["a", "a"], [[]], [None] * 40, {}, {"a": 1}, {"a": {"b": []}}),
]


@functools.cache
def valid_skills() -> tuple[bytes, ...]:
    """Files of every kind of skill."""
    parents = (Parent(sample_card().classes[0], "ab" * 32, "bicycle"),)
    skills = (sample_skill(parents=parents), moments_skill(), biased_skill())
    return tuple(sign(skill, ALICE).data for skill in skills)


@functools.cache
def parsed(data: bytes) -> tuple[dict[str, Any], Any, bytes]:
    """Return the tensors in the header of a valid file, its card, and its body."""
    header, body = parse_file(data)
    card = json.loads(header.pop("__metadata__")["teachmesh"])["card"]
    return header, card, body


def damaged(data: bytes, rng: random.Random) -> bytes:
    """Change, insert, remove, repeat or move some bytes."""
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        at, end = sorted((rng.randrange(len(data) + 1), rng.randrange(len(data) + 1)))
        short = min(end, at + rng.choice((1, 2, 8, 64)))
        piece = data[at:short]
        new = rng.choice(
            (
                rng.randbytes(len(piece)),
                bytes(b ^ (1 << rng.randrange(8)) for b in piece),
                b"",
                piece + piece,
                piece + rng.randbytes(rng.choice((1, 8, 100))),
                rng.choice((b"\0", b"\xff", b"[", b'"', b"{", b"9", b"e999", b"\\u0000", b"NaN"))
                * rng.choice((1, 1, 9, 600)),
            )
        )
        data = data[:at] + new + data[short:]
    return data


def mutate_json(value: Any, rng: random.Random) -> Any:
    """Change one place of a tree of JSON values, and return the tree."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        return _mutate_dict(value, rng)
    if isinstance(value, list) and value and rng.random() < 0.8:
        place = rng.randrange(len(value))
        changed = [*value[:place], mutate_json(value[place], rng), *value[place + 1 :]]
        return rng.choice((changed, changed, value[:place], value * 2, value[::-1]))
    if isinstance(value, int) and not isinstance(value, bool) and rng.random() < 0.5:
        return value + rng.choice((-1, 1, 8, 2**32))
    return rng.choice(VALUES)


def _mutate_dict(value: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    key, act = rng.choice(sorted(value)), rng.random()
    if act < 0.1:
        return {k: v for k, v in value.items() if k != key}
    if act < 0.2:
        return {**value, rng.choice(("extra", "__class__", key.upper(), "")): rng.choice(VALUES)}
    if act < 0.25:
        return {(k + "_" if k == key else k): v for k, v in value.items()}
    return {**value, key: mutate_json(value[key], rng)}


def with_new_card(data: bytes, rng: random.Random) -> bytes:
    """Change the card, and sign the file again."""
    header, card, body = parsed(data)
    for _ in range(rng.choice((1, 1, 2))):
        card = mutate_json(card, rng)
    return signed_file(header, card, body)


def with_new_header(data: bytes, rng: random.Random) -> bytes:
    """Change the list of tensors, and sign the file again."""
    header, card, body = parsed(data)
    return signed_file(_as_dict(mutate_json(header, rng)), card, body)


def with_new_numbers(data: bytes, rng: random.Random) -> bytes:
    """Change numbers of the tensors, and sign the file again."""
    header, card, body = parsed(data)
    changed = bytearray(body)
    for _ in range(rng.choice((1, 3, 30))):
        at = rng.randrange(len(body) - 4)
        pack = rng.choice(("<f", "<e")) if rng.random() < 0.5 else "<I"
        value = rng.choice(FLOATS) if pack != "<I" else rng.getrandbits(32)
        try:
            changed[at - at % 4 : at - at % 4 + struct.calcsize(pack)] = struct.pack(pack, value)
        except OverflowError:  # too large for half precision
            changed[at] ^= 0x40
    return signed_file(header, card, bytes(changed))


def signed_file(header: dict[str, Any], card: Any, body: bytes) -> bytes:
    """Write a file with a valid signature of Alice's, whatever it says."""

    def write(signature: str) -> bytes:
        text = canonical({"card": card, "signature": signature})
        raw = json.dumps(
            {"__metadata__": {"teachmesh": text}, **header},
            separators=(",", ":"),
            ensure_ascii=False,
        )
        return write_file(raw.encode("utf-8", "surrogatepass"), body)

    message = SKILL_CONTEXT + hashlib.sha256(write("")).digest()
    return write(ALICE.sign_message(message).hex())


def _as_dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {"value": value}


def skill_file(rng: random.Random) -> bytes:
    """Return the bytes of a hostile skill."""
    data = rng.choice(valid_skills())
    change = rng.choice((damaged, with_new_card, with_new_header, with_new_numbers))
    return change(data, rng)


def tombstone(rng: random.Random) -> bytes:
    """Return the bytes of a hostile tombstone."""
    data = sign_tombstone(rng.choice(IDS), ALICE).data
    return _statement(data, rng)


def part(rng: random.Random) -> bytes:
    """Return the bytes of a hostile part."""
    facts = PartFacts("screws", ALICE.public_key, rng.choice(IDS), images=3, sequence=7)
    header, _, payload = sign_part(facts, rng.randbytes(20), ALICE).data.partition(b"\n")
    return _statement(header, rng) + b"\n" + rng.choice((payload, payload, damaged(payload, rng)))


def roster(rng: random.Random) -> bytes:
    """Return the bytes of a hostile roster."""
    members = frozenset(rng.sample(IDS, rng.randrange(3)))
    parts = dict.fromkeys(rng.sample(IDS, rng.randrange(3)), ALICE.public_key)
    facts = RosterFacts("screws", rng.choice(IDS), SplitRule(), members, 1, parts)
    return _statement(sign_roster(facts, ALICE).data, rng)


def quarantine_list(rng: random.Random) -> bytes:
    """Return the bytes of a hostile quarantine list."""
    return _statement(sign_list(set(rng.sample(IDS, rng.randrange(4))), 1, ALICE).data, rng)


def _statement(data: bytes, rng: random.Random) -> bytes:
    """Damage a signed statement, or change its values and sign it again."""
    context = json.loads(data)["schema"].encode() + b"\0"
    return damaged(data, rng) if rng.random() < 0.5 else _signed(data, context, rng)


def announcement(rng: random.Random) -> bytes:
    """Return the bytes of a hostile announcement."""
    digests = rng.choice(IDS), rng.choice(IDS)
    said = Announcement(ALICE.public_key, "alice", *digests, 3, 3, rng.getrandbits(40))
    data = encode_announcement(said, ALICE)
    return damaged(data, rng) if rng.random() < 0.5 else _signed(data, ANNOUNCEMENT_CONTEXT, rng)


def _signed(data: bytes, context: bytes, rng: random.Random) -> bytes:
    """Change the values of a message, and sign it again."""
    values = json.loads(data)
    del values["signature"]
    values = _as_dict(mutate_json(values, rng))
    text = canonical(values).encode("utf-8", "surrogatepass")
    signature = ALICE.sign_message(context + text).hex()
    return canonical({**values, "signature": signature}).encode("utf-8", "surrogatepass")


def list_of_ids(rng: random.Random) -> bytes:
    """Return the bytes of a hostile list of ids."""
    return damaged(encode_ids(rng.sample(IDS, rng.randrange(1, 40))), rng)


def address(rng: random.Random) -> bytes:
    """Return the address of a hostile request, as text."""
    return damaged(f"{rng.choice(('skill', 'ids', 'blob'))}/{rng.choice(IDS)}".encode(), rng)


MESSAGES: dict[str, Callable[[random.Random], bytes]] = {
    "tombstone": tombstone,
    "part": part,
    "roster": roster,
    "quarantine": quarantine_list,
    "announcement": announcement,
    "ids": list_of_ids,
    "request": address,
}
