"""Names that are safe to show, store and compare."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from teachmesh.data.names import (
    NAME_LIMIT,
    check_name,
    clean_name,
    closest,
    comparison_key,
    did_you_mean,
    is_visible,
    shown,
)
from teachmesh.errors import DataError

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"


@pytest.mark.parametrize(
    "name", ["cat", "ceiling fan", "日本語", "café", FAMILY, "T-shirt/top", "a, b"]
)
def test_visible_names_of_every_script_are_accepted(name: str) -> None:
    """Emoji (with joiners), CJK, accents, slashes and commas are fine in a class name."""
    assert check_name("class", name) == unicodedata.normalize("NFC", name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "   ",
        "a\nb",
        "a\x1b[31mb",
        "a\u202eb",
        "a\0b",
        "a\u2028b",
        "\ud800",
        " a",
        "a ",
        "\ue000",
    ],
)
def test_names_that_could_fool_a_reader_are_refused(name: str) -> None:
    """Control, bidi-override, surrogate and private characters and padding are refused."""
    with pytest.raises(DataError) as caught:
        check_name("class", name)
    assert str(caught.value).isprintable()


def test_the_length_limit_holds_to_the_character() -> None:
    """128 characters pass, 129 do not, and a megabyte is refused without being processed."""
    assert len(check_name("class", "x" * NAME_LIMIT)) == NAME_LIMIT
    for length in (NAME_LIMIT + 1, 1 << 20):
        with pytest.raises(DataError, match="128 may be used"):
            check_name("class", "x" * length)


def test_length_is_counted_after_composition() -> None:
    """Decomposed accents do not count twice."""
    decomposed = unicodedata.normalize("NFD", "é" * NAME_LIMIT)
    assert check_name("class", decomposed) == "é" * NAME_LIMIT


@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd", "/tmp/x", "C:\\x", "\\\\host\\x", "CON", "nul.txt", ".x", "a.", "a@b"],
)
def test_file_names_hold_no_path_and_no_reserved_word(name: str) -> None:
    """A name for a file cannot leave its folder on any system, and never looks like name@alias."""
    with pytest.raises(DataError):
        check_name("task", name, as_file=True)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.text(max_size=300))
def test_a_cleaned_name_is_always_a_valid_file_name(text: str) -> None:
    """clean_name makes of any text what check_name accepts, and leaves its own results alone."""
    name = clean_name(text)
    assert check_name("task", name, as_file=True) == name
    assert clean_name(name) == name


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.text(max_size=200))
def test_shown_text_never_holds_an_unprintable_character(text: str) -> None:
    """Whatever a file is called, an error message stays one harmless line."""
    assert all(is_visible(character) for character in shown(text))


def test_names_that_look_the_same_compare_equal() -> None:
    """Case and the encoding of accents make no difference."""
    assert comparison_key("Café") == comparison_key(unicodedata.normalize("NFD", "CAFÉ"))
    assert comparison_key("cat") != comparison_key("cats")


def test_a_misspelt_word_finds_its_neighbour_and_nonsense_finds_none() -> None:
    """The suggestion ignores case and is left out rather than far-fetched."""
    words = ["flowers5", "cifar10", "Scenes15"]
    assert closest("scene15", words) == "Scenes15"
    assert did_you_mean("cifar", words) == " (did you mean 'cifar10'?)"
    assert did_you_mean("zzz", words) == ""
