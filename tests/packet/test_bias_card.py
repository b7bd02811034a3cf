"""Beneficial biases on the card and among the tensors: one spelling, checked, never required."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest

from teachmesh.errors import SkillRefused
from teachmesh.model.head import Head
from teachmesh.packet.bias_card import BiasCard
from teachmesh.packet.bias_tensors import SkillBiases
from teachmesh.packet.codec import decode, encode
from teachmesh.packet.skill import Skill
from tests.packet.sample_skills import (
    LATENT_SIZE,
    canonical,
    parse_file,
    sample_card,
    sample_skill,
    sample_tensors,
    write_file,
)

FLOATS, LAYERS = 20, 2
KEPT = BiasCard(
    choice="auto",
    first_layer=3,
    layers=LAYERS,
    floats=FLOATS,
    features="last",
    weight=0.5,
    accuracy_without=0.75,
    accuracy_with=0.875,
    cost_macs=1_000_000,
    passes=6.5,
)
DROPPED = dataclasses.replace(KEPT, weight=0.0, accuracy_with=0.5)


def sample_biases(kind: str = "int8") -> SkillBiases:
    """Biases of two layers and a head of three classes."""
    values = np.arange(FLOATS) - 10
    head = Head(np.full((3, LATENT_SIZE), 0.5, np.float32), np.zeros(3, np.float32))
    if kind == "int8":
        return SkillBiases.of(values.astype(np.int8), np.full(LAYERS, 0.1, np.float32), head)
    dtype = np.float16 if kind == "fp16" else np.float32
    return SkillBiases.of((values / 10).astype(dtype), None, head)


def biased_skill(card: BiasCard = KEPT, kind: str = "int8", **tensors: Any) -> Skill:
    """Alice's flowers with biases; some tensors changed, None removes one."""
    found = {**sample_tensors(), **(sample_biases(kind).tensors() if card.kept else {}), **tensors}
    kept = {name: array for name, array in found.items() if array is not None}
    return Skill(sample_card(biases=card), kept)


@pytest.mark.parametrize("kind", ["int8", "fp16", "fp32"])
def test_a_skill_with_biases_survives_its_bytes(kind: str) -> None:
    """decode(encode(s)) == s, and the biases are unchanged."""
    skill = biased_skill(kind=kind)
    found = decode(encode(skill)).skill
    assert found == skill
    biases = found.biases()
    assert biases is not None
    assert biases.kind == kind
    assert biases.tensors().keys() == sample_biases(kind).tensors().keys()
    np.testing.assert_array_equal(biases.values, sample_biases(kind).values)
    np.testing.assert_allclose(biases.head().weight, 0.5, atol=1e-6)


def test_biases_that_were_dropped_leave_their_story_on_the_card_only() -> None:
    """The card has the choice and the accuracies, but there is no tensor."""
    found = decode(encode(biased_skill(DROPPED))).skill
    assert found.card.biases == DROPPED
    assert found.biases() is None
    assert set(found.tensors) == set(sample_tensors())


def test_a_skill_without_biases_is_spelled_as_before_there_were_any() -> None:
    """No key in the card: ids of old skills do not change (the golden skill says so too)."""
    header, _ = parse_file(encode(sample_skill()))
    assert "biases" not in json.loads(header["__metadata__"]["teachmesh"])["card"]
    assert sample_skill().biases() is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"weight": 1.5}, "VALUE"),
        ({"weight": float("nan")}, "VALUE"),
        ({"accuracy_with": -0.1}, "VALUE"),
        ({"passes": float("inf")}, "VALUE"),
        ({"cost_macs": -1}, "VALUE"),
        ({"first_layer": -1}, "VALUE"),
        ({"layers": 0}, "VALUE"),
        ({"layers": FLOATS + 1}, "VALUE"),
        ({"choice": "some"}, "VALUE"),
        ({"choice": "last:0"}, "VALUE"),
        ({"features": "pixels"}, "VALUE"),
        ({"floats": 2_000_000}, "LIMIT"),
    ],
)
def test_a_card_with_impossible_biases_is_refused(changes: dict[str, Any], reason: str) -> None:
    """Each field breaks its rule."""
    with pytest.raises(SkillRefused) as refusal:
        encode(biased_skill(dataclasses.replace(KEPT, **changes)))
    assert refusal.value.reason == reason


@pytest.mark.parametrize(
    "changes",
    [
        {"biases.values": None},
        {"biases.scales": None},
        {"biased.bias": None},
        {"biases.values": np.zeros(FLOATS + 1, np.int8)},
        {"biases.values": np.zeros(FLOATS, np.int16)},
        {"biases.values": np.zeros(FLOATS, np.float16)},
        {"biases.values": np.zeros((FLOATS, 1), np.int8)},
        {"biases.scales": np.ones(LAYERS + 1, np.float32)},
        {"biased.weight": np.zeros((3, LATENT_SIZE + 1), np.int8)},
        {"biased.weight": np.zeros((4, LATENT_SIZE), np.int8)},
        {"biased.weight": np.zeros(24, np.int8)},
        {"biased.scales": np.ones(4, np.float32)},
        {"biased.bias": np.zeros(3, np.float16)},
    ],
    ids=str,
)
def test_tensors_that_do_not_fit_the_card_are_refused(changes: dict[str, Any]) -> None:
    """Exactly the tensors that the card requires; scales with int8 values only."""
    with pytest.raises(SkillRefused) as refusal:
        encode(biased_skill(**changes))
    assert refusal.value.reason == "SCHEMA"


def test_tensors_of_biases_without_a_card_that_promises_them_are_refused() -> None:
    """Tensors that the card does not declare are refused."""
    tensors = {**sample_tensors(), **sample_biases().tensors()}
    for card in (sample_card(), sample_card(biases=DROPPED)):
        with pytest.raises(SkillRefused, match="unknown tensor"):
            encode(Skill(card, tensors))


@pytest.mark.parametrize("name", ["biases.scales", "biased.scales"])
def test_a_scale_that_is_not_positive_is_refused(name: str) -> None:
    """Scales that no honest teacher writes are refused."""
    size = LAYERS if name == "biases.scales" else 3
    with pytest.raises(SkillRefused) as refusal:
        encode(biased_skill(**{name: np.zeros(size, np.float32)}))
    assert refusal.value.reason == "VALUE"


@pytest.mark.parametrize(
    "section",
    [
        None,
        [],
        {},
        {**KEPT.to_json(), "path": "x"},
        {**KEPT.to_json(), "weight": 1},
        {**KEPT.to_json(), "layers": 2.0},
        {**KEPT.to_json(), "layers": True},
        {**KEPT.to_json(), "choice": 3},
    ],
    ids=str,
)
def test_a_stranger_s_section_of_another_form_is_refused(section: object) -> None:
    """Exactly the known keys with exactly the known types."""
    header, body = parse_file(encode(biased_skill()))
    metadata = json.loads(header["__metadata__"]["teachmesh"])
    metadata["card"]["biases"] = section
    header["__metadata__"]["teachmesh"] = canonical(metadata)
    with pytest.raises(SkillRefused) as refusal:
        decode(write_file(header, body))
    assert refusal.value.reason == "SCHEMA"


def test_whole_numbers_and_floats_are_spelled_alike() -> None:
    """A weight of 1 and of 1.0 must not make two skills."""
    whole = dataclasses.replace(KEPT, weight=1, passes=7).to_json()
    assert (repr(whole["weight"]), repr(whole["passes"])) == ("1.0", "7.0")
