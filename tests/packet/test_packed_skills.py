"""Files with packed class moments: one spelling, strict layout, checked before use."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from teachmesh.errors import SkillRefused
from teachmesh.mapping.anchor_kinds import MomentsAnchor
from teachmesh.packet.codec import decode, encode
from teachmesh.packet.signing import sign
from teachmesh.packet.skill import Skill
from tests.packet.sample_skills import ALICE, LATENT_SIZE, moments_tensors, packed_skill

GOLDEN = "5a813c27e4240a33eeab90e134f54ce1d39d88707a81be833d0fd61e2a45e58b"
"""SHA-256 of the example in docs/skill_format.md."""


def changed(changes: dict[str, np.ndarray | None]) -> Skill:
    """Return the sample with other tensors; None removes one."""
    skill = packed_skill()
    tensors = {**skill.tensors, **changes}
    return Skill(skill.card, {name: a for name, a in tensors.items() if a is not None})


def test_the_golden_example_has_the_same_bytes_for_ever() -> None:
    """The layout of packed moments is part of version 2 of the format."""
    assert hashlib.sha256(sign(packed_skill(), ALICE).data).hexdigest() == GOLDEN


@pytest.mark.parametrize("head_bits", [0, 1, 3])
@pytest.mark.parametrize("bits", [1, 2, 4])
def test_a_packed_skill_is_read_as_class_moments(bits: int, head_bits: int) -> None:
    """Oracle: levels computed bit by bit. Without a head, a finite one is derived."""
    skill = decode(encode(packed_skill(bits=bits, head_bits=head_bits))).skill
    anchor = skill.anchor("moments")
    assert isinstance(anchor, MomentsAnchor)
    assert skill.latent_sizes() == (0, LATENT_SIZE)
    assert np.isfinite(anchor.head_rows()).all()
    planes, scales = skill.tensors["moments.mean_planes"], skill.tensors["moments.mean_scales"]
    centre = skill.tensors["moments.centre"] * float(skill.tensors["moments.centre_scale"][0])
    for label, row in enumerate(anchor.class_means()):
        for place in range(LATENT_SIZE):
            set_bits = [planes[label * bits + p, 0] >> (7 - place) & 1 for p in range(bits)]
            level = 2 * sum(int(bit) << p for p, bit in enumerate(set_bits)) - (2**bits - 1)
            expected = centre[place] + level * float(scales[label])
            assert row[place] == pytest.approx(expected, abs=np.abs(row).max() / 200)


@pytest.mark.parametrize(
    ("changes", "reason", "text"),
    [
        ({"moments.centre": None}, "SCHEMA", "'moments.centre' is missing"),
        ({"moments.head_bias": None}, "SCHEMA", "'moments.head_bias' is missing"),
        ({"moments.head_planes": None}, "SCHEMA", "unknown tensor 'moments.head_"),
        ({"moments.means": moments_tensors()["moments.means"]}, "SCHEMA", "unknown tensor"),
        ({"moments.mean_planes": np.zeros((6, 1), np.int8)}, "SCHEMA", "another dtype"),
        ({"moments.mean_planes": np.zeros((6, 2), np.uint8)}, "SCHEMA", "expected B = "),
        ({"moments.mean_planes": np.zeros((7, 1), np.uint8)}, "VALUE", "bit planes for each"),
        ({"moments.mean_planes": np.zeros((15, 1), np.uint8)}, "VALUE", "bit planes for each"),
        ({"moments.direction_planes": np.zeros((1, 1), np.uint8)}, "VALUE", "bit planes for each"),
        ({"moments.centre": np.zeros(9, np.int8)}, "VALUE", "expected bit planes of D / 8"),
        ({"moments.direction_planes": np.zeros((1025, 1), np.uint8)}, "LIMIT", "Q <= 1024"),
    ],
)
def test_a_broken_packed_skill_is_refused(
    changes: dict[str, np.ndarray | None], reason: str, text: str
) -> None:
    """With the code and a sentence, whichever tensor is wrong."""
    with pytest.raises(SkillRefused, match=text) as refused:
        encode(changed(changes))
    assert refused.value.reason == reason
