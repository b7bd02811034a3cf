"""A tombstone is accepted only as its author signed it, in exactly one spelling."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from teachmesh.errors import SkillRefused
from teachmesh.packet.tombstone import (
    TOMBSTONE_BYTES,
    Tombstone,
    read_tombstone,
    sign_tombstone,
)
from tests.packet.sample_skills import ALICE, BOB, canonical

CONTEXT = b"teachmesh.tombstone/1\0"
SKILL = "ab" * 32
GOOD = sign_tombstone(SKILL, ALICE)
VALUES: dict[str, Any] = json.loads(GOOD.data)


def signed(changes: dict[str, Any], drop: tuple[str, ...] = ()) -> bytes:
    """A tombstone with other content, properly signed by Alice."""
    values = {**VALUES, **changes}
    for name in ("signature", *drop):
        del values[name]
    signature = ALICE.sign_message(CONTEXT + canonical(values).encode()).hex()
    return canonical({**values, "signature": signature}).encode()


def test_the_bytes_are_those_of_the_documented_format() -> None:
    """Written by hand: canonical JSON, Ed25519 over the context and the unsigned JSON."""
    body = {"author": ALICE.public_key, "schema": "teachmesh.tombstone/1", "skill": SKILL}
    message = b"teachmesh.tombstone/1\0" + canonical(body).encode()
    signature = Ed25519PrivateKey.from_private_bytes(bytes(range(32))).sign(message).hex()
    assert GOOD.data == canonical({**body, "signature": signature}).encode()
    assert len(GOOD.data) == 328
    assert GOOD.id == hashlib.sha256(GOOD.data).hexdigest()
    assert read_tombstone(GOOD.data) == GOOD
    assert (GOOD.author, GOOD.skill) == (ALICE.public_key, SKILL)
    assert signed({}) == GOOD.data, "the forger of these tests works"


BAD: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "FORMAT"),
    "garbage": (bytes(range(256)), "FORMAT"),
    "a list": (b"[]", "SCHEMA"),
    "null": (b"null", "SCHEMA"),
    "many brackets": (b"[" * 500, "LIMIT"),
    "oversize": (b" " * (TOMBSTONE_BYTES + 1), "LIMIT"),
    "oversize with a valid signature": (signed({"more": "x" * 200}), "LIMIT"),
    "a long number": (b'{"a":' + b"1" * 100 + b"}", "LIMIT"),
    "not a number": (b'{"a":NaN}', "VALUE"),
    "spaces": (GOOD.data.replace(b",", b", "), "FORMAT"),
    "a line feed": (GOOD.data + b"\n", "FORMAT"),
    "another order": (json.dumps(dict(reversed(VALUES.items()))).encode(), "FORMAT"),
    "an escaped letter": (GOOD.data.replace(b'"skill"', b'"\\u0073kill"'), "FORMAT"),
    "a key twice": (GOOD.data[:-1] + b',"skill":"' + SKILL.encode() + b'"}', "FORMAT"),
    "an unknown key": (signed({"more": 1}), "SCHEMA"),
    "no skill": (signed({}, drop=("skill",)), "SCHEMA"),
    "no author": (signed({}, drop=("author",)), "SCHEMA"),
    "no schema": (signed({}, drop=("schema",)), "SCHEMA"),
    "another kind": (signed({"schema": "teachmesh.skill/2"}), "SCHEMA"),
    "a newer version": (signed({"schema": "teachmesh.tombstone/2", "x": 1}), "VERSION"),
    "version 0": (signed({"schema": "teachmesh.tombstone/0"}), "SCHEMA"),
    "a short id": (signed({"skill": "ab"}), "VALUE"),
    "upper case": (signed({"skill": SKILL.upper()}), "VALUE"),
    "a number as id": (signed({"skill": 5}), "VALUE"),
    "a list as author": (signed({"author": [ALICE.public_key]}), "VALUE"),
    "no key as author": (signed({"author": "zz" * 32}), "VALUE"),
    "a point that is none": (signed({"author": "ff" * 32}), "SIGNATURE"),
    "an empty signature": (canonical({**VALUES, "signature": ""}).encode(), "VALUE"),
    "no signature": (canonical({**VALUES, "signature": None}).encode(), "VALUE"),
    "another author": (signed({"author": BOB.public_key}), "SIGNATURE"),
    "another skill": (canonical({**VALUES, "skill": "cd" * 32}).encode(), "SIGNATURE"),
    "a flipped bit": (GOOD.data.replace(b'signature":"', b'signature":"0')[:-3] + b'"}', "VALUE"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_bytes_are_refused_with_a_reason(name: str) -> None:
    """Each malformed kind has its code and one sentence."""
    data, reason = BAD[name]
    with pytest.raises(SkillRefused) as caught:
        read_tombstone(data)
    assert caught.value.reason == reason
    assert "\n" not in str(caught.value)


def test_every_changed_byte_is_refused() -> None:
    """No two spellings, and nothing outside the signature."""
    for position in range(len(GOOD.data)):
        data = bytearray(GOOD.data)
        data[position] ^= 1
        with pytest.raises(SkillRefused):
            read_tombstone(bytes(data))


def test_a_signature_of_a_tombstone_is_none_of_a_skill() -> None:
    """The context comes first, so that no message of another kind can be replayed as one."""
    body = {name: VALUES[name] for name in ("author", "schema", "skill")}
    for context in (b"", b"teachmesh.skill/2\0", b"teachmesh.announcement/3\0"):
        other = ALICE.sign_message(context + canonical(body).encode()).hex()
        with pytest.raises(SkillRefused, match="not signed"):
            read_tombstone(canonical({**body, "signature": other}).encode())


def test_only_checked_bytes_become_a_tombstone() -> None:
    """The constructor is closed, and only valid ids are signed."""
    with pytest.raises(TypeError, match="sign_tombstone"):
        Tombstone(ALICE.public_key, SKILL, b"", None)
    with pytest.raises(SkillRefused):
        sign_tombstone("not an id", ALICE)
