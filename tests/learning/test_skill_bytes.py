"""Small skills: each way of writing class moments is recognised, and is not the way of another."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from teachmesh.errors import UsageError
from teachmesh.learning.skill_bytes import (
    PACKINGS,
    TaskLatents,
    packed,
    packing_of,
)
from teachmesh.mapping.anchor_kinds import MomentsAnchor
from teachmesh.mapping.moments_fit import fit_moments
from tests.reuse.test_moments_transfer import CLASSES, METRIC, sample
from tests.reuse.test_source_skills import MOMENTS, source

X, LABELS = sample(1, 100)
ANCHOR = fit_moments(X, LABELS, CLASSES, METRIC, rank=32)
SKILL = source(MOMENTS, ANCHOR).skill
LATENTS = TaskLatents(METRIC, X, X, LABELS)


def test_each_way_of_writing_is_recognised() -> None:
    """All are valid and differ."""
    assert packing_of(SKILL) is None
    assert [packing_of(packed(SKILL, packing, None)) for packing in PACKINGS] == list(PACKINGS)
    assert len(set(PACKINGS)) == len(PACKINGS)


def test_ways_with_a_head_of_their_own_come_first_and_lose_bits() -> None:
    """No number rises from one to the next."""
    own = [packing for packing in PACKINGS if packing.head_bits]
    assert own == list(PACKINGS[: len(own)])
    for larger, smaller in pairwise(own):
        assert smaller.bits <= larger.bits
        assert smaller.rank <= larger.rank
        assert smaller.head_bits <= larger.head_bits


def test_packing_is_measured_on_the_latents() -> None:
    """The unchanged anchor shifts nothing; the card has the accuracy of the packed one."""
    assert LATENTS.shift(ANCHOR, ANCHOR) == 0.0
    small = packed(SKILL, PACKINGS[0], LATENTS)
    anchor = small.anchor("moments")
    assert isinstance(anchor, MomentsAnchor)
    scores = METRIC.apply(X) @ anchor.head_rows().T + anchor.head_bias
    assert small.card.validation_accuracy == float(np.mean(scores.argmax(axis=1) == LABELS))


def test_moments_of_an_odd_number_of_dimensions_are_refused() -> None:
    """Bits of eight numbers make a byte."""
    keep = {"means", "directions", "head"}
    arrays = {
        name: array[..., :20] if name in keep else array for name, array in ANCHOR.tensors().items()
    }
    skill = source(MOMENTS, replace(ANCHOR, **arrays)).skill
    with pytest.raises(UsageError, match="expected latents of a multiple of 8 numbers, got 20"):
        packed(skill, PACKINGS[0], None)
