"""Keys, signatures and the ids that people compare."""

from __future__ import annotations

import dataclasses

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

from teachmesh.errors import SkillRefused
from teachmesh.packet.codec import decode, encode
from teachmesh.packet.signing import (
    AgentKey,
    agent_id,
    default_alias,
    is_signed,
    sign,
    verify,
)
from tests.packet.sample_skills import ALICE, BOB, MALLORY, sample_bytes, sample_skill


def test_a_signed_skill_verifies() -> None:
    """Everybody can verify a signed skill with the key on its card."""
    verify(decode(sample_bytes()))


def test_signing_twice_gives_the_same_bytes() -> None:
    """Same skill, same key: same bytes, so the same id."""
    assert sign(sample_skill(), ALICE) == sign(sample_skill(), ALICE)


def test_an_unsigned_skill_is_refused() -> None:
    """Bad input 47: missing signature."""
    with pytest.raises(SkillRefused, match="not signed") as refusal:
        verify(decode(encode(sample_skill())))
    assert refusal.value.reason == "SIGNATURE"


@pytest.mark.parametrize("forger", [BOB, MALLORY])
def test_a_signature_by_another_key_is_refused(forger: AgentKey) -> None:
    """Bad input 47: Mallory's signature under Alice's name."""
    forged = sign(sample_skill(author=forger.public_key), forger).data
    signature = decode(forged).signature

    with pytest.raises(SkillRefused) as refusal:
        verify(decode(encode(sample_skill(), signature)))
    assert refusal.value.reason == "SIGNATURE"


def test_a_signature_over_another_skill_is_refused() -> None:
    """Bad input 47: Alice's own signature, moved to a skill that she did not make."""
    signature = decode(sample_bytes(seed=1)).signature

    with pytest.raises(SkillRefused) as refusal:
        verify(decode(encode(sample_skill(seed=2), signature)))
    assert refusal.value.reason == "SIGNATURE"


def test_signing_for_another_author_is_refused() -> None:
    """The key that signs must be the author on the card."""
    with pytest.raises(SkillRefused) as refusal:
        sign(sample_skill(), BOB)
    assert refusal.value.reason == "AUTHOR"


def test_a_signature_of_anything_else_is_worthless_for_a_skill() -> None:
    """The context separates skills from every other message that the same key signs."""
    import hashlib

    skill = sample_skill()
    bare = ALICE.sign_message(hashlib.sha256(encode(skill)).digest()).hex()

    with pytest.raises(SkillRefused) as refusal:
        verify(decode(encode(skill, bare)))
    assert refusal.value.reason == "SIGNATURE"


def test_an_author_that_is_no_key_is_refused_and_not_an_error() -> None:
    """64 hex digits need not be a point on the curve."""
    card = dataclasses.replace(sample_skill().card, author="ff" * 32)
    skill = dataclasses.replace(sample_skill(), card=card)

    with pytest.raises(SkillRefused) as refusal:
        verify(decode(encode(skill, "00" * 64)))
    assert refusal.value.reason == "SIGNATURE"


def test_a_key_survives_its_file_and_stays_out_of_sight() -> None:
    """from_bytes(to_bytes()) == key; neither repr nor str shows the seed."""
    assert AgentKey.from_bytes(ALICE.to_bytes()) == ALICE
    assert ALICE.seed.hex() not in f"{ALICE!r} {ALICE}"
    assert str(ALICE.seed) not in repr(ALICE)


def test_new_keys_differ() -> None:
    """Keys are drawn from the system's randomness."""
    assert AgentKey.create() != AgentKey.create()


@pytest.mark.parametrize("data", [b"", b"junk", b"-----BEGIN PRIVATE KEY-----\nAA==\n"])
def test_a_damaged_key_file_says_what_was_expected(data: bytes) -> None:
    """ValueError, for the caller to name the file."""
    with pytest.raises(ValueError, match="Ed25519"):
        AgentKey.from_bytes(data)


def test_a_key_of_another_kind_is_refused() -> None:
    """A PEM file is not enough: it must be Ed25519."""
    other = generate_private_key(SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    with pytest.raises(ValueError, match="Ed25519"):
        AgentKey.from_bytes(other)


def test_the_public_key_is_the_standard_one() -> None:
    """RFC 8032, section 7.1, test 1: seed, public key and signature of the empty message."""
    key = AgentKey(
        bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    )
    signature = key.sign_message(b"").hex()

    assert key.public_key == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    assert signature.startswith("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155")
    assert is_signed(b"", signature, key.public_key)
    assert not is_signed(b"x", signature, key.public_key)


def test_agent_ids_are_short_readable_and_distinct() -> None:
    """Four groups of four letters and digits, from the key alone."""
    assert agent_id(ALICE.public_key) == "KZDV-VJ2U-MNDU-YAUF"
    assert default_alias(ALICE.public_key) == "agent-kzdv"
    assert len({agent_id(key.public_key) for key in (ALICE, BOB, MALLORY)}) == 3
