"""Laws of the encoding, tried on random skills and random damage."""

from __future__ import annotations

import dataclasses
import json
import unicodedata
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from teachmesh.data.names import comparison_key
from teachmesh.errors import SkillRefused
from teachmesh.mapping.typicality import HeldOut, Scale
from teachmesh.packet.card import Card
from teachmesh.packet.codec import decode, encode
from teachmesh.packet.signing import sign, verify
from teachmesh.packet.skill import Skill
from tests.packet.sample_skills import (
    ALICE,
    canonical,
    parse_file,
    sample_bytes,
    sample_card,
    write_file,
)

VALID = sample_bytes()
FEW = settings(max_examples=40, deadline=None, derandomize=True, database=None)
MANY = settings(max_examples=200, deadline=None, derandomize=True, database=None)

LETTERS = st.characters(categories=["L", "N", "So"], exclude_characters="\x00")
NAMES = (
    st.text(LETTERS, min_size=1, max_size=12)
    .map(lambda text: "x" + text)
    .filter(lambda text: unicodedata.is_normalized("NFC", text))
)
HEX = st.binary(min_size=32, max_size=32).map(bytes.hex)
FINITE = st.floats(-1e6, 1e6, width=32)


@st.composite
def cards(draw: st.DrawFn, n_classes: int) -> Card:
    """Valid cards of any content."""
    classes = draw(
        st.lists(NAMES, min_size=n_classes, max_size=n_classes, unique_by=comparison_key)
    )
    return sample_card(
        n_classes,
        task=draw(NAMES),
        classes=tuple(classes),
        images_per_class=tuple(draw(st.integers(1, 10**9)) for _ in range(n_classes)),
        validation_accuracy=draw(st.none() | st.floats(0, 1)),
        cost_macs=draw(st.integers(0, 2**63 - 1)),
        cost_s=draw(st.floats(0, 1e9)),
        alias=draw(NAMES),
        replaces=draw(st.none() | HEX),
        backbone_fingerprint=draw(HEX),
        warnings=tuple(draw(st.lists(NAMES, max_size=3))),
        calibration=draw(
            st.dictionaries(
                st.from_regex(r"[a-z][a-z0-9_.]{0,8}", fullmatch=True),
                st.floats(allow_nan=False, allow_infinity=False),
                max_size=3,
            )
        ),
    )


@st.composite
def skills(draw: st.DrawFn) -> Skill:
    """Valid skills of any size, with or without a head."""
    n_classes, size, clusters = (draw(st.integers(1, high)) for high in (6, 9, 5))
    weights = draw(hnp.arrays(np.float64, clusters, elements=st.floats(0.1, 1)))
    tensors: dict[str, Any] = {
        "gmmc.means": draw(hnp.arrays(np.float32, (clusters, size), elements=FINITE)),
        "gmmc.variances": draw(
            hnp.arrays(np.float32, (clusters, size), elements=st.floats(0.125, 100, width=32))
        ),
        "gmmc.weights": (weights / weights.sum()).astype(np.float32),
    }
    if draw(st.booleans()):
        dtype = draw(st.sampled_from([np.float32, np.float16]))
        elements = st.floats(-100, 100, width=16)
        tensors["head.weight"] = draw(hnp.arrays(dtype, (n_classes, size), elements=elements))
        tensors["head.bias"] = draw(hnp.arrays(dtype, (n_classes,), elements=elements))
    return Skill(draw(cards(n_classes)), tensors)


@st.composite
def held_out_scores(draw: st.DrawFn) -> HeldOut:
    """Held-out scores of any number of images, with or without a scale."""
    scores = draw(st.lists(FINITE, max_size=450))
    positive = st.floats(0.125, 1e5, width=32)
    scale = draw(st.none() | st.builds(Scale, positive, positive))
    return HeldOut.of(np.array(scores), scale)


@st.composite
def moments_skills(draw: st.DrawFn) -> Skill:
    """Valid skills of class moments of any size, with or without held-out scores."""
    n_classes, size, rank = (draw(st.integers(1, high)) for high in (6, 9, 5))

    def levels(count: int) -> np.ndarray:
        return draw(hnp.arrays(np.int8, (count, size), elements=st.integers(-127, 127)))

    def floats(count: int, low: float, high: float) -> np.ndarray:
        return draw(hnp.arrays(np.float32, count, elements=st.floats(low, high, width=32)))

    tensors = {
        "moments.means": levels(n_classes),
        "moments.mean_scales": floats(n_classes, 0.125, 1),
        "moments.directions": levels(rank),
        "moments.variances": floats(rank, 0, 0.5) * np.float32(size / rank),
        "moments.rest": floats(1, 0, 15),
        "moments.degrees": draw(hnp.arrays(np.uint32, 1)),
        "moments.head": levels(n_classes),
        "moments.head_scales": floats(n_classes, 0.125, 1000),
        "moments.head_bias": floats(n_classes, -1e6, 1e6),
    }
    if draw(st.booleans()):
        tensors["held_out.moments"] = draw(held_out_scores()).tensor()
    card = dataclasses.replace(draw(cards(n_classes)), method="moments", anchors=("moments",))
    return Skill(card, tensors)


@FEW
@given(moments_skills())
def test_every_valid_skill_of_class_moments_survives_its_bytes(skill: Skill) -> None:
    """Bytes, anchor and held-out scores come out as they went in."""
    found = decode(encode(skill)).skill
    anchor, held_out = found.anchor("moments"), found.held_out("moments")

    assert found == skill
    assert anchor is not None
    for name, array in anchor.tensors().items():
        assert array.tobytes() == skill.tensors[f"moments.{name}"].tobytes()
    sent = skill.tensors.get("held_out.moments")
    assert (held_out is None) == (sent is None)
    if held_out is not None and sent is not None:
        assert held_out.tensor().tobytes() == sent.tobytes()


@FEW
@given(skills())
def test_every_valid_skill_survives_its_bytes(skill: Skill) -> None:
    """decode(encode(s)).skill == s, and encoding again gives the same bytes."""
    data = encode(skill)
    signed = decode(data)

    assert signed.skill == skill
    assert encode(signed.skill, signed.signature) == data


@FEW
@given(skills())
def test_every_signed_skill_verifies(skill: Skill) -> None:
    """verify(decode(sign(s, key))) holds for every skill of the key's author."""
    ours = Skill(
        Card.from_json({**skill.card.to_json(), "author": ALICE.public_key}), skill.tensors
    )

    assert verify(decode(sign(ours, ALICE).data)) == sign(ours, ALICE)


def flip(data: bytes, position: int, value: int) -> bytes:
    """Change one byte, possibly to what it was."""
    at = position % len(data)
    return data[:at] + bytes([value]) + data[at + 1 :]


def insert(data: bytes, position: int, value: int) -> bytes:
    """Insert one byte."""
    at = position % (len(data) + 1)
    return data[:at] + bytes([value]) + data[at:]


def truncate(data: bytes, position: int, value: int) -> bytes:
    """Keep the first bytes only."""
    return data[: position % len(data)]


def cut(data: bytes, position: int, value: int) -> bytes:
    """Take a few bytes out."""
    at = position % len(data)
    return data[:at] + data[at + 1 + value % 16 :]


def repeat(data: bytes, position: int, value: int) -> bytes:
    """Repeat a few bytes."""
    at = position % len(data)
    return data[: at + value % 16] + data[at:]


DAMAGE = st.tuples(
    st.sampled_from([flip, insert, truncate, cut, repeat]),
    st.integers(0, 2**16),
    st.integers(0, 255),
)


@MANY
@given(st.lists(DAMAGE, min_size=1, max_size=3))
def test_damaged_bytes_are_refused_or_the_same(
    damage: list[tuple[Callable[[bytes, int, int], bytes], int, int]],
) -> None:
    """Whatever happens to a skill on its way, it arrives unchanged or is refused."""
    data = VALID
    for act, position, value in damage:
        data = act(data, position, value) if data else data
    if data == VALID:
        verify(decode(data))
        return
    try:
        verify(decode(data))
    except SkillRefused:
        return
    raise AssertionError("damaged bytes were admitted")


def test_every_single_byte_of_the_header_matters() -> None:
    """Exhaustive: each byte of length and header, changed in its lowest and highest bit."""
    end = 8 + int.from_bytes(VALID[:8], "little")
    admitted = []
    for position in range(end):
        for mask in (1, 128):
            data = flip(VALID, position, VALID[position] ^ mask)
            try:
                verify(decode(data))
                admitted.append((position, mask))
            except SkillRefused:
                pass

    assert admitted == []


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)


@MANY
@given(st.sampled_from(sorted(sample_card().to_json())), JSON)
def test_any_json_in_any_field_of_the_card_is_refused_or_a_card(field: str, value: object) -> None:
    """A stranger's values never cause anything but SkillRefused."""
    header, body = parse_file(VALID)
    metadata = json.loads(header["__metadata__"]["teachmesh"])
    metadata["card"][field] = value
    header["__metadata__"]["teachmesh"] = canonical(metadata)
    try:
        data = write_file(header, body)
    except UnicodeEncodeError:
        return  # a lone surrogate cannot even be written
    try:
        signed = decode(data)
    except SkillRefused:
        return
    assert signed.skill.card.to_json()[field] == value


@MANY
@given(
    st.sampled_from(["gmmc.means", "head.weight", "__metadata__", "gmmc.new"]),
    st.sampled_from(["dtype", "shape", "data_offsets", "teachmesh", "new"]),
    JSON,
)
def test_any_json_in_any_entry_of_the_header_is_refused(name: str, key: str, value: object) -> None:
    """The same one level further out."""
    header, body = parse_file(VALID)
    entry = header.setdefault(name, {})
    if entry.get(key) == value:
        return
    entry[key] = value
    try:
        data = write_file(header, body)
    except UnicodeEncodeError:
        return
    try:
        decode(data)
    except SkillRefused:
        return
    raise AssertionError("a changed header was admitted")


@FEW
@given(st.binary(max_size=400))
def test_random_bytes_are_refused(data: bytes) -> None:
    """With or without a header length that fits."""
    for candidate in (data, len(data).to_bytes(8, "little") + data):
        try:
            decode(candidate)
        except SkillRefused:
            continue
        raise AssertionError("random bytes were admitted")
