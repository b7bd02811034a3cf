"""Class names as people write them."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from teachmesh.reuse.class_names import MAX_CHARACTERS, clean, read_labels


@pytest.mark.parametrize("name", ["TShirt", "t_shirt", "T-Shirt", "  t  shirt "])
def test_one_name_in_several_spellings_is_one(name: str) -> None:
    """Case, underscores, hyphens and camel case say nothing."""
    assert clean(name) == "t shirt"


@pytest.mark.parametrize("name", ["", "!?", "0001", "class 7", "label_12", "n01440764", "unknown"])
def test_names_that_mean_nothing_have_no_words(name: str) -> None:
    """They take part in no comparison."""
    (label, _) = read_labels([name, "dog"])
    assert label.words == ""


def test_a_number_means_something_among_neighbours_of_one_kind() -> None:
    """In "plate 3" it is a symbol, in "object 03" an index; bare numbers may be either: neither."""
    plates = read_labels(["plate 3", "plate 8", "plate A"])
    assert [label.symbol for label in plates] == ["3", "8", "a"]
    assert all(not label.words for label in read_labels(["object 01", "object 02"]))
    assert all(not label.words for label in read_labels(["0", "1", "2"]))
    names = read_labels(["Latin character01", "Latin character02"])
    assert all(not label.words for label in names)


def test_a_word_is_no_symbol_and_a_lone_class_has_no_neighbours() -> None:
    """Symbols are single characters or short numbers behind what all neighbours share."""
    assert [label.symbol for label in read_labels(["road work", "road sign"])] == [None, None]
    assert read_labels(["plate 3"])[0].symbol is None


@pytest.mark.parametrize("hostile", ["", "\U0001f600", "犬", "x" * 10_000, "stop", "3", "class 7"])
@pytest.mark.parametrize(
    "names", [["plate 3", "plate 8"], ["image a", "image b"], ["object 01", "object 02"], ["dog"]]
)
def test_a_name_of_another_form_changes_no_other(names: list[str], hostile: str) -> None:
    """Once or several times: symbols stay symbols, and names that mean nothing stay none."""
    for company in ([*names, hostile], [hostile, *names, hostile, f"{hostile}{hostile}"]):
        labels = {label.raw: label for label in read_labels(company)}
        assert [labels[name] for name in names] == list(read_labels(names))


def test_several_signs_are_one_symbol() -> None:
    """A route is told from the next by all of its numbers."""
    labels = read_labels(["route 6 8", "route 6 9", "stop", "year 1984", "year 1985"])
    assert [label.symbol for label in labels] == ["6 8", "6 9", None, None, None]


@pytest.mark.parametrize(
    ("one", "other"),
    [("दिन", "दान"), ("ปู", "ปี"), ("كَتَبَ", "كُتُب"), ("C++", "C#"), ("C", "C#"), ("A+", "A-")],
)
def test_different_names_of_any_script_stay_different(one: str, other: str) -> None:
    """Vowels written as combining marks tell words apart, and so do the signs behind a letter."""
    assert clean(one) != clean(other)
    assert clean(one) == clean(unicodedata.normalize("NFD", one)) == clean(clean(one))


def test_marks_without_a_letter_are_no_name() -> None:
    """An emoji's variation selector is no word, and signs between words join none."""
    assert clean("\u2764\ufe0f") == clean("\u0301") == clean("+ #") == ""
    assert clean("3\ufe0f\u20e3") == "3"
    assert clean("rock+roll") == clean("rock + roll") == "rock roll"


def test_folded_letters_are_parted_from_numbers_like_any_others() -> None:
    """The German sharp s is two letters once it is folded."""
    assert clean("\u00df0") == clean("ss0") == "ss 0"


@given(st.lists(st.text(max_size=40), min_size=1, max_size=6))
@settings(max_examples=60, deadline=None)
def test_any_text_is_cleaned_without_harm(names: list[str]) -> None:
    """One label per name; words are short, printable and cleaned words stay as they are."""
    labels = read_labels(names)
    assert [label.raw for label in labels] == names
    for label in labels:
        assert len(label.words) <= MAX_CHARACTERS
        assert "\n" not in label.words
        assert clean(clean(label.raw)) == clean(label.raw) or not label.words.isascii()


def test_ten_thousand_characters_are_read_as_a_short_name() -> None:
    """What is longer than any name is cut before it costs time."""
    (label, other) = read_labels(["x" * 10_000, "dog"])
    assert len(label.words) == MAX_CHARACTERS
    assert other.words == "dog"
