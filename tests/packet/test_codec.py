"""A skill as bytes: deterministic, golden, the same as the safetensors library's."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from teachmesh.errors import SkillRefused
from teachmesh.mapping.anchor_kinds import ANCHORS, MomentsAnchor
from teachmesh.packet import bias_tensors
from teachmesh.packet.codec import decode, decode_again, encode
from teachmesh.packet.limits import Limits
from teachmesh.packet.signing import sign, verify
from teachmesh.packet.skill import Skill
from teachmesh.packet.skill_header import DTYPES, check_sizes, write_header
from tests.packet.sample_skills import (
    ALICE,
    canonical,
    file_with_card,
    file_with_tensors,
    moments_skill,
    moments_tensors,
    parse_file,
    sample_bytes,
    sample_card,
    sample_skill,
    sample_tensors,
)

FOLDER = Path(__file__).parent
GOLDEN = FOLDER / "golden_skill_v2.safetensors"
GOLDEN_ID = "4201e4e4b3697975ceb5e8d94355be1aeb60ba2e3aa93a6b3a04e21d800061f9"


def test_the_golden_skill_is_written_byte_for_byte() -> None:
    """Fixed key, card and arrays give these bytes for ever: ids must not change."""
    signed = sign(moments_skill(), ALICE)

    assert signed.data == GOLDEN.read_bytes()
    assert signed.id == GOLDEN_ID


def test_the_golden_skill_is_read_for_ever() -> None:
    """Every later version reads files of version 2."""
    signed = decode(GOLDEN.read_bytes())
    verify(signed)

    assert signed.id == GOLDEN_ID
    assert signed.skill == moments_skill()
    assert signed.skill.card.task == "flowers"


@pytest.mark.parametrize("skill", [sample_skill(), moments_skill()])
def test_decoding_again_gives_the_same_skill(skill: Skill) -> None:
    """The bytes passed all checks before; card, tensors, signature and id are equal."""
    data = sign(skill, ALICE).data
    first = decode(data)
    again = decode_again(data, first.id)
    assert again.skill == first.skill
    assert (again.signature, again.id, again.data) == (first.signature, first.id, first.data)


def test_a_skill_of_format_1_is_refused_with_a_remedy() -> None:
    """The sentence says which command learns the task again."""
    with pytest.raises(SkillRefused, match="format 1.*teachmesh learn FOLDER --replace") as refusal:
        decode((FOLDER / "golden_skill_v1.safetensors").read_bytes())
    assert refusal.value.reason == "VERSION"


def test_a_skill_of_a_later_format_is_refused_with_a_remedy() -> None:
    """An update can read it, so learning again is not suggested."""
    with pytest.raises(SkillRefused, match="newer teachmesh; update") as refusal:
        decode(file_with_card({"schema": "teachmesh.skill/3"}))
    assert refusal.value.reason == "VERSION"


def test_the_first_bytes_are_those_of_the_specification() -> None:
    """Eight bytes of length, then the metadata with its one key, then the tensors by dtype."""
    data = sample_bytes()
    length = int.from_bytes(data[:8], "little")
    text = data[8 : 8 + length].decode()

    assert length % 8 == 0
    assert text.startswith('{"__metadata__":{"teachmesh":"{\\"card\\":{\\"alias\\":\\"alice\\",')
    assert list(json.loads(text)) == [
        "__metadata__",
        "gmmc.means",
        "gmmc.variances",
        "gmmc.weights",
        "head.bias",
        "head.weight",
    ]


def test_decoding_gives_back_the_skill() -> None:
    """decode(encode(s)).skill == s, and the id is the hash of the bytes."""
    data = encode(sample_skill())
    signed = decode(data)

    assert signed.skill == sample_skill()
    assert signed.signature == ""
    assert signed.id == hashlib.sha256(data).hexdigest()


def test_the_order_of_tensors_and_calibration_makes_no_difference() -> None:
    """One skill, one spelling."""
    tensors = sample_tensors()
    turned = dict(reversed(tensors.items()))
    values = {"b": 1.0, "a": 2.0}
    card = sample_card(calibration=values)
    other = sample_card(calibration=dict(reversed(values.items())))

    assert encode(Skill(card, tensors)) == encode(Skill(other, turned))


def test_any_memory_order_gives_the_same_bytes() -> None:
    """A transposed view with the same values is the same skill."""
    tensors = sample_tensors()
    strided = {name: np.asfortranarray(array) for name, array in tensors.items()}

    assert encode(Skill(sample_card(), strided)) == encode(Skill(sample_card(), tensors))


def test_the_safetensors_library_reads_the_same_tensors() -> None:
    """A skill is an ordinary safetensors file."""
    loaded = safetensors.numpy.load(sample_bytes())

    assert loaded.keys() == sample_tensors().keys()
    for name, array in sample_tensors().items():
        assert loaded[name].dtype == array.dtype
        np.testing.assert_array_equal(loaded[name], array)


def test_the_safetensors_library_writes_the_same_bytes() -> None:
    """With one metadata key the library's order is ours, so other tools can make skills."""
    assert file_with_tensors({}) == encode(sample_skill())


def test_the_header_of_every_dtype_is_the_librarys() -> None:
    """Order, alignment and offsets agree for all dtypes of the allow-list."""
    arrays = {
        f"{letter}{code[1:]}": np.zeros((3,), code) for letter in "zma" for code in DTYPES.values()
    }
    names = {np.dtype(code): name for name, code in DTYPES.items()}
    theirs = safetensors.numpy.save(arrays, {"teachmesh": canonical({})})
    ours = write_header("{}", {name: (names[a.dtype], a.shape) for name, a in arrays.items()})

    assert theirs.startswith(ours)
    assert list(parse_file(theirs)[0]) == list(parse_file(ours)[0])


def test_equality_is_by_bytes() -> None:
    """0.0 and -0.0 are equal numbers and different skills."""
    tensors = sample_tensors()
    bias = np.zeros(3, np.float16)
    zero = Skill(sample_card(), {**tensors, "head.bias": bias})
    minus = Skill(sample_card(), {**tensors, "head.bias": -bias})

    assert zero != minus
    assert encode(zero) != encode(minus)
    assert zero == Skill(sample_card(), {**tensors, "head.bias": bias.copy()})
    assert zero != "a skill"


def test_a_skill_cannot_be_changed_through_its_arrays() -> None:
    """The arrays are copies and read-only; accessors give copies of their own."""
    tensors = sample_tensors()
    skill = Skill(sample_card(), tensors)
    before = encode(skill)
    tensors["gmmc.means"][:] = 0

    with pytest.raises(ValueError, match="read-only"):
        skill.tensors["gmmc.means"][0, 0] = 1.0
    head = skill.head()
    assert head is not None
    head.weight[:] = 0
    assert encode(skill) == before


def test_a_skill_gives_its_anchor_and_its_head() -> None:
    """Anchors and heads come out unchanged; missing ones are None."""
    skill = sample_skill()
    anchor, head = skill.anchor("gmmc"), skill.head()

    assert anchor is not None
    assert head is not None
    np.testing.assert_array_equal(anchor.tensors()["means"], skill.tensors["gmmc.means"])
    assert head.weight.dtype == np.float32
    np.testing.assert_array_equal(head.weight, skill.tensors["head.weight"].astype(np.float32))
    assert skill.anchor("maha") is None
    assert Skill.of(skill.card, [anchor], head).tensors["head.weight"].shape == (3, 8)


def test_class_moments_and_held_out_scores_survive_their_bytes() -> None:
    """Anchor, scores and thresholds come out as they went in."""
    skill = decode(encode(moments_skill())).skill
    anchor, held_out = skill.anchor("moments"), skill.held_out("moments")

    assert skill == moments_skill()
    assert isinstance(anchor, MomentsAnchor)
    assert held_out is not None
    assert held_out.tensor().tobytes() == moments_tensors()["held_out.moments"].tobytes()
    assert (held_out.images, held_out.threshold(0.25)) == (4, -1.5)
    for name, array in anchor.tensors().items():
        assert array.tobytes() == moments_tensors()[f"moments.{name}"].tobytes()


def test_held_out_scores_are_optional_for_every_kind_of_anchor() -> None:
    """A skill without them is valid, and cannot call an image unknown."""
    tensors = dict(moments_skill().tensors)
    for kind in ("moments", "gmmc"):
        del tensors[f"held_out.{kind}"]
        skill = decode(encode(Skill(moments_skill().card, tensors))).skill
        assert skill.held_out(kind) is None
    assert sample_skill().held_out("gmmc") is None


def test_the_largest_skill_of_all_methods_is_within_the_limit_of_tensors() -> None:
    """All anchors with held-out scores, a head, and biases with scales and a head of their own."""
    names = {f"{kind}.{name}" for kind, anchor in ANCHORS.items() for name in anchor.tensor_specs}
    names |= {f"held_out.{kind}" for kind in ANCHORS} | {"head.weight", "head.bias"}
    names |= {bias_tensors.VALUES, bias_tensors.SCALES, bias_tensors.BIAS}
    names |= {bias_tensors.WEIGHT, bias_tensors.WEIGHT_SCALES}

    assert len(names) <= Limits().tensors


def test_one_class_is_a_skill() -> None:
    """Bad input 45: one class is accepted; the teacher warns, the format does not care."""
    data = sign(sample_skill(n_classes=1), ALICE).data

    assert decode(data).skill.card.classes == ("flower 0",)


def test_subnormal_numbers_are_accepted() -> None:
    """Bad input 40, last: smallest numbers are numbers."""
    tensors = sample_tensors()
    tensors["gmmc.means"][0, 0] = np.float32(1e-45)

    assert decode(encode(Skill(sample_card(), tensors))).skill.tensors["gmmc.means"][0, 0] > 0


def test_a_dtype_that_the_format_lacks_is_refused_when_encoding() -> None:
    """float64 does not travel, and the sentence says which tensor."""
    tensors = {**sample_tensors(), "head.bias": np.zeros(3)}

    with pytest.raises(SkillRefused, match=r"head\.bias"):
        encode(Skill(sample_card(), tensors))


def test_what_a_receiver_refuses_is_not_even_written() -> None:
    """A broken card is the author's error, found at the author's."""
    with pytest.raises(SkillRefused):
        encode(sample_skill(alias="two\nlines"))
    with pytest.raises(SkillRefused):
        encode(dataclasses.replace(sample_skill(), tensors={}))


def test_a_stricter_limit_refuses_what_the_default_takes() -> None:
    """Limits are the receiver's, inclusive."""
    data = sample_bytes()
    decode(data, Limits(file_bytes=len(data)))

    with pytest.raises(SkillRefused) as refusal:
        decode(data, Limits(file_bytes=len(data) - 1))
    assert refusal.value.reason == "LIMIT"


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("tensors", 16, "LIMIT"),
        ("classes", 3, "LIMIT"),
        ("clusters", 4, "LIMIT"),
        ("rank", 2, "LIMIT"),
        ("latent_size", 8, "LIMIT"),
        ("magnitude", 4.125, "VALUE"),
        ("class_name", 8, "NAME"),
        ("calibration", 1, "LIMIT"),
    ],
)
def test_sizes_at_a_limit_are_accepted_and_larger_ones_are_refused(
    name: str, value: float, reason: str
) -> None:
    """The golden skill has exactly these sizes."""
    data = GOLDEN.read_bytes()
    decode(data, Limits(**{name: value}))  # type: ignore[arg-type]

    with pytest.raises(SkillRefused) as refusal:
        decode(data, Limits(**{name: value - 1}))  # type: ignore[arg-type]
    assert refusal.value.reason == reason


def test_decoding_a_usual_skill_is_fast() -> None:
    """A 100 KB skill takes about 2 ms; the bound leaves room for a busy machine."""
    generator = np.random.default_rng(0)
    tensors = {
        **sample_tensors(),
        "gmmc.means": generator.normal(size=(10, 1280)).astype(np.float32),
        "gmmc.variances": generator.random((10, 1280), np.float32) + np.float32(0.1),
        "gmmc.weights": np.full(10, 0.1, np.float32),
        "head.weight": np.zeros((3, 1280), np.float16),
    }
    data = encode(Skill(sample_card(), tensors))
    assert 100_000 < len(data) < 120_000

    def once() -> float:
        start = time.thread_time()
        decode(data)
        return time.thread_time() - start

    assert min(once() for _ in range(10)) < 0.05


def test_memory_stays_small_whatever_a_header_promises() -> None:
    """A promise of a terabyte allocates nothing."""
    header, body = parse_file(sample_bytes())
    header["gmmc.means"]["shape"] = [2**40, 2**20]
    from tests.packet.sample_skills import write_file

    data = write_file(header, body)
    tracemalloc.start()
    with pytest.raises(SkillRefused):
        decode(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 1_000_000


def sized_file(header: int, total: int) -> bytes:
    """A file of a size that claims a header of a size."""
    return header.to_bytes(8, "little") + b"{" * (total - 8)


@pytest.mark.parametrize(
    ("header", "total", "found"),
    [
        (50, 100, 50),
        (92, 100, "LIMIT"),
        (51, 100, "LIMIT"),
        (50, 101, "LIMIT"),
        (42, 50, 42),
        (43, 50, "FORMAT"),
        (1, 9, 1),
        (1, 8, "FORMAT"),
        (0, 9, "FORMAT"),
        (0, 8, "FORMAT"),
    ],
)
def test_sizes_are_checked_to_the_byte(header: int, total: int, found: int | str) -> None:
    """A header may fill the whole file, and both may have exactly their limits."""
    limits = Limits(file_bytes=100, header_bytes=50)
    if isinstance(found, int):
        assert check_sizes(sized_file(header, total), limits) == found
        return
    with pytest.raises(SkillRefused) as refusal:
        check_sizes(sized_file(header, total), limits)
    assert refusal.value.reason == found
    if total == 8:
        assert "got 8 bytes" in str(refusal.value)


def test_no_limit_exceeds_the_hard_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent with higher limits refuses what is too large for any agent."""
    monkeypatch.setattr("teachmesh.packet.skill_header.HARD_FILE_BYTES", 60)
    limits = Limits(file_bytes=1000)
    assert check_sizes(sized_file(10, 60), limits) == 10
    with pytest.raises(SkillRefused, match="at most 60 bytes, got 61"):
        check_sizes(sized_file(10, 61), limits)
