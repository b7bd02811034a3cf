"""Checks of a received skill before it is saved."""

from __future__ import annotations

import dataclasses

import pytest

from teachmesh.errors import SkillRefused
from teachmesh.packet.codec import encode, skill_id
from teachmesh.packet.limits import DEFAULT_LIMITS
from teachmesh.packet.signing import VerifiedSkill
from teachmesh.sharing.admission import Admission
from tests.packet.sample_skills import ALICE, BOB, sample_bytes, sample_skill

HERE = {"ab" * 32: "embedded"}
ADMISSION = Admission(lambda: HERE)


def refusal(admission: Admission, expected_id: str | None, data: bytes) -> SkillRefused:
    """Run a check that must fail, and return its refusal."""
    with pytest.raises(SkillRefused) as caught:
        admission.check(expected_id, data)
    return caught.value


def test_a_good_skill_is_admitted() -> None:
    """A skill is accepted with the requested hash, and without one for an imported file."""
    data = sample_bytes()
    for expected in (skill_id(data), None):
        signed = ADMISSION.check(expected, data)
        assert signed.id == skill_id(data)
        assert signed.skill.card.author == ALICE.public_key


def test_other_bytes_than_asked_for_are_refused() -> None:
    """A valid skill under the id of another one is HASH."""
    asked = skill_id(sample_bytes(seed=1))
    error = refusal(ADMISSION, asked, sample_bytes())
    assert error.reason == "HASH"
    assert asked[:12] in str(error)


def test_a_wrong_signature_is_refused() -> None:
    """Unsigned, or signed by somebody else than the author on the card."""
    skill = sample_skill()
    other = BOB.sign_message(b"something else").hex()
    for data in (encode(skill), encode(skill, other)):
        assert refusal(ADMISSION, skill_id(data), data).reason == "SIGNATURE"


def test_a_foreign_backbone_is_refused_with_what_to_do() -> None:
    """The message names both fingerprints and the right command."""
    data = sample_bytes(backbone_fingerprint="0123456789abcdef" * 4)
    error = refusal(ADMISSION, skill_id(data), data)
    assert error.reason == "BACKBONE"
    for part in ("0123456789ab", "ab" * 6, "embedded", "teachmesh backbone import"):
        assert part in str(error)
    assert f"teachmesh backbone fetch {'cd' * 32} --join" in str(error)
    assert "\n" not in str(error)


def test_a_backbone_that_was_added_meanwhile_counts() -> None:
    """The fingerprints are read at every check, not once."""
    known: dict[str, str] = {}
    admission = Admission(lambda: known)
    data = sample_bytes()
    refused = refusal(admission, None, data)
    assert refused.reason == "BACKBONE"
    assert "this agent has none;" in str(refused)
    known.update(HERE)
    assert admission.check(None, data).id == skill_id(data)


def test_size_is_checked_before_anything_else() -> None:
    """A body over the limit is not even hashed."""
    limits = dataclasses.replace(DEFAULT_LIMITS, file_bytes=100)
    assert refusal(Admission(lambda: HERE, limits=limits), "0" * 64, b"x" * 101).reason == "LIMIT"


def test_garbage_with_the_right_hash_is_refused() -> None:
    """A right hash does not mean that the bytes are a skill."""
    assert refusal(ADMISSION, skill_id(b"garbage"), b"garbage").reason in ("FORMAT", "LIMIT")


def test_further_checks_see_verified_skills_in_order() -> None:
    """Further checks, for trust policy: the first refusal counts."""
    seen: list[str] = []

    def quarantine(signed: VerifiedSkill) -> None:
        seen.append(signed.id)
        raise SkillRefused("AUTHOR", "not yet")

    data = sample_bytes()
    admission = Admission(lambda: HERE, checks=(lambda signed: seen.append("first"), quarantine))
    assert refusal(admission, None, data).reason == "AUTHOR"
    assert seen == ["first", skill_id(data)]
