"""Cleaning of class names."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from teachmesh.reuse.class_names import MAX_CHARACTERS, clean, read_labels


@pytest.mark.parametrize("name", ["TShirt", "t_shirt", "T-Shirt", "  t  shirt "])
def test_spellings_of_one_name_are_equal_after_cleaning(name: str) -> None:
    """Case, underscores, hyphens and camel case make no difference."""
    assert clean(name) == "t shirt"


@pytest.mark.parametrize("name", ["", "!?", "0001", "class 7", "label_12", "n01440764", "unknown"])
def test_names_that_mean_nothing_have_no_words(name: str) -> None:
    """They cannot match anything."""
    (label, _) = read_labels([name, "dog"])
    assert label.words == ""


def test_a_number_is_a_symbol_among_names_of_the_same_form() -> None:
    """In "plate 3" it is a symbol, in "object 03" an index. Bare numbers are ambiguous."""
    plates = read_labels(["plate 3", "plate 8", "plate A"])
    assert [label.symbol for label in plates] == ["3", "8", "a"]
    assert all(not label.words for label in read_labels(["object 01", "object 02"]))
    assert all(not label.words for label in read_labels(["0", "1", "2"]))
    names = read_labels(["Latin character01", "Latin character02"])
    assert all(not label.words for label in names)


def test_words_and_single_names_have_no_symbol() -> None:
    """A symbol is a single character or a short number, next to words that other names share."""
    assert [label.symbol for label in read_labels(["road work", "road sign"])] == [None, None]
    assert read_labels(["plate 3"])[0].symbol is None


@pytest.mark.parametrize("hostile", ["", "\U0001f600", "犬", "x" * 10_000, "stop", "3", "class 7"])
@pytest.mark.parametrize(
    "names", [["plate 3", "plate 8"], ["image a", "image b"], ["object 01", "object 02"], ["dog"]]
)
def test_a_name_of_another_form_changes_no_other_name(names: list[str], hostile: str) -> None:
    """Symbols stay symbols, and meaningless names stay meaningless."""
    for company in ([*names, hostile], [hostile, *names, hostile, f"{hostile}{hostile}"]):
        labels = {label.raw: label for label in read_labels(company)}
        assert [labels[name] for name in names] == list(read_labels(names))


def test_several_numbers_are_one_symbol() -> None:
    """All numbers of a route identify it."""
    labels = read_labels(["route 6 8", "route 6 9", "stop", "year 1984", "year 1985"])
    assert [label.symbol for label in labels] == ["6 8", "6 9", None, None, None]


@pytest.mark.parametrize(
    ("one", "other"),
    [("दिन", "दान"), ("ปู", "ปี"), ("كَتَبَ", "كُتُب"), ("C++", "C#"), ("C", "C#"), ("A+", "A-")],
)
def test_different_names_of_any_script_stay_different(one: str, other: str) -> None:
    """Combining vowels distinguish words, and so do the signs after a letter."""
    assert clean(one) != clean(other)
    assert clean(one) == clean(unicodedata.normalize("NFD", one)) == clean(clean(one))


def test_marks_without_a_letter_are_dropped() -> None:
    """Variation selectors of emoji are dropped, and signs between words separate them."""
    assert clean("\u2764\ufe0f") == clean("\u0301") == clean("+ #") == ""
    assert clean("3\ufe0f\u20e3") == "3"
    assert clean("rock+roll") == clean("rock + roll") == "rock roll"


def test_folded_letters_are_separated_from_numbers() -> None:
    """The German sharp s becomes two letters by case folding."""
    assert clean("\u00df0") == clean("ss0") == "ss 0"


@given(st.lists(st.text(max_size=40), min_size=1, max_size=6))
@settings(max_examples=60, deadline=None)
def test_any_text_can_be_cleaned(names: list[str]) -> None:
    """Every name gets one label with short words, and cleaning twice changes nothing."""
    labels = read_labels(names)
    assert [label.raw for label in labels] == names
    for label in labels:
        assert len(label.words) <= MAX_CHARACTERS
        assert "\n" not in label.words
        assert clean(clean(label.raw)) == clean(label.raw) or not label.words.isascii()


def test_very_long_names_are_cut() -> None:
    """Cutting happens before any slow step."""
    (label, other) = read_labels(["x" * 10_000, "dog"])
    assert len(label.words) == MAX_CHARACTERS
    assert other.words == "dog"
