"""Class names as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skillmesh.reuse.names import MAX_CHARACTERS, clean, read_labels


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
