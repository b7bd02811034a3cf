"""A skill's way through the house: alice teaches, bob learns, mallory is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from teachmesh.agent import Agent
from teachmesh.errors import SkillRefused
from teachmesh.packet.codec import decode, skill_id
from teachmesh.packet.signing import AgentKey, sign, verify


def test_a_skill_walks_from_alices_images_to_bobs_answer(
    tmp_path: Path, warm: Path, cold: Path
) -> None:
    """Learned, encoded, signed, carried, admitted, saved, mapped: bob answers alice's task."""
    alice, bob = Agent(tmp_path / "alice"), Agent(tmp_path / "bob")
    bob.learn(cold)
    result = alice.learn(warm)
    data = alice.read(result.skill_id)

    signed = decode(data)
    verify(signed)
    assert skill_id(data) == result.skill_id
    assert signed.skill.card.author == alice.key.public_key

    entry = bob.receive(data, expected_id=result.skill_id)
    assert entry.id == result.skill_id
    answer = bob.predict(sorted((warm / "red").iterdir())[0])
    assert not isinstance(answer, list)
    assert (answer.task, answer.class_name, answer.author) == ("warm", "red", alice.id)


def test_mallory_can_neither_forge_nor_alter_alices_skill(tmp_path: Path, warm: Path) -> None:
    """A flipped byte, another author's name, another id: refused with a reason, bank unchanged."""
    alice, bob = Agent(tmp_path / "alice"), Agent(tmp_path / "bob")
    result = alice.learn(warm)
    data = alice.read(result.skill_id)
    altered = bytearray(data)
    altered[-1] ^= 1
    with pytest.raises(SkillRefused) as hash_error:
        bob.receive(bytes(altered), expected_id=result.skill_id)
    assert hash_error.value.reason == "HASH"
    with pytest.raises(SkillRefused) as signature_error:
        bob.receive(bytes(altered))
    assert signature_error.value.reason == "SIGNATURE"
    mallory = AgentKey(bytes(range(32)))
    with pytest.raises(SkillRefused) as author_error:
        sign(decode(data).skill, mallory)
    assert author_error.value.reason == "AUTHOR"
    assert bob.bank.ids() == []
