"""The card: its JSON, its allow-list and its rules."""

from __future__ import annotations

import dataclasses

import pytest

from teachmesh.errors import SkillRefused
from teachmesh.packet.card import Card
from teachmesh.packet.card_rules import check_card
from teachmesh.packet.limits import DEFAULT_LIMITS
from tests.packet.sample_skills import sample_card


def test_a_card_survives_its_json() -> None:
    """from_json(card.to_json()) == card."""
    card = sample_card(warnings=("only 12 images per class",), replaces="ef" * 32)

    assert Card.from_json(card.to_json()) == card


def test_whole_numbers_and_floats_are_spelled_alike() -> None:
    """A cost of 2 and of 2.0 seconds must not make two skills."""
    whole = sample_card(cost_s=2, validation_accuracy=1).to_json()

    assert repr(whole["cost_s"]) == "2.0"
    assert repr(whole["validation_accuracy"]) == "1.0"


def test_a_card_has_no_place_for_machine_user_or_path() -> None:
    """The fields are an allow-list; a new one is a decision about privacy, made here."""
    names = {item.name for item in dataclasses.fields(Card)}

    assert names == {
        *("schema", "task", "classes", "images_per_class", "validation_images", "method"),
        *("anchors", "backbone_name", "backbone_fingerprint", "reference_id"),
        *("validation_accuracy", "cost_macs", "cost_s", "author", "alias", "created"),
        *("privacy", "replaces", "warnings", "calibration", "version", "biases", "parents"),
    }


@pytest.mark.parametrize(
    "text",
    [
        "could not read /home/alice/photos/1.jpg",
        "see ~/photos",
        r"skipped C:\Users\alice\1.jpg",
        r"from \\server\share",
        "file=/tmp/x",
    ],
)
def test_a_warning_with_a_path_is_refused(text: str) -> None:
    """Free text is the one field into which a path could slip."""
    with pytest.raises(SkillRefused, match="contains a path") as refusal:
        check_card(sample_card(warnings=(text,)), DEFAULT_LIMITS)

    assert refusal.value.reason == "NAME"


@pytest.mark.parametrize("text", ["2 of 3 classes have < 10 images", "yes/no looks like text"])
def test_a_warning_without_a_path_is_accepted(text: str) -> None:
    """A slash or a number alone is no path."""
    check_card(sample_card(warnings=(text,)), DEFAULT_LIMITS)


@pytest.mark.parametrize(
    "name", ["café", "日本語", "🌷 tulip", "👩‍🔬", "Ωμέγα", "a'b\"c", "cat/dog", "<b>", "=1+1"]
)
def test_every_visible_script_may_name_a_class(name: str) -> None:
    """Emoji, CJK, accents and punctuation are accepted; the code that shows them escapes them."""
    check_card(sample_card(1, classes=(name,)), DEFAULT_LIMITS)


@pytest.mark.parametrize("created", ["1970-01-01T00:00:00Z", "2100-02-28T23:59:59Z"])
def test_any_moment_is_accepted_because_clocks_are_not_used(created: str) -> None:
    """Bad input 51: a wrong clock does not lock an agent out."""
    check_card(sample_card(created=created), DEFAULT_LIMITS)


def test_sizes_at_the_limit_are_accepted_and_one_more_is_refused() -> None:
    """Limits are inclusive: 10,000 classes, 128, 128 and 64 characters, 16 warnings."""
    many = tuple(f"c{index}" for index in range(10_000))
    good = sample_card(
        classes=many,
        images_per_class=(1,) * 10_000,
        task="t" * 128,
        alias="a" * 64,
        warnings=("w" * 256,) * 16,
        calibration={f"k{index}": 0.0 for index in range(32)},
    )
    check_card(good, DEFAULT_LIMITS)

    too_much = {
        "classes": (*many, "one more"),
        "task": "t" * 129,
        "alias": "a" * 65,
        "warnings": ("w",) * 17,
        "calibration": {f"k{index}": 0.0 for index in range(33)},
    }
    for name, value in too_much.items():
        with pytest.raises(SkillRefused):
            check_card(dataclasses.replace(good, **{name: value}), DEFAULT_LIMITS)
