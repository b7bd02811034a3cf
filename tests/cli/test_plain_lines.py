"""Plain command lines mean without typer what they mean with it; all others are left to typer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.main import get_command

from teachmesh.cli.main import app
from teachmesh.cli.plain_lines import COMMANDS, COMPLETION, read_plain, run_plain
from teachmesh.cli.predict_answers import PredictOptions

ALWAYS_TYPER = {"--help", "-h", "--verbose", "-v"}
VALUES = ("", "-", "-1", "--", "0", "3", "50", "51", "x", "a b.png", "é", "\udce9", "=", "x=y", "٣")


@cache
def full(name: str) -> Any:
    """The full command with this name."""
    group: Any = get_command(app)
    return group.get_command(None, name)


def options(name: str) -> dict[str, Any]:
    """All options of the full command by the words that users type."""
    return {word: one for one in full(name).params for word in one.opts if word.startswith("-")}


def parsed(name: str, line: Sequence[str]) -> dict[str, Any]:
    """The values that typer reads from a line."""
    return full(name).make_context(name, list(line)).params


@pytest.mark.parametrize("name", COMMANDS)
def test_each_option_is_that_of_the_full_command_or_left_to_it(name: str) -> None:
    """Names, parameters and flags agree; a new option of the full command is left to typer."""
    command, found = COMMANDS[name], options(name)
    assert set(command.options) <= set(found)
    for word, option in command.options.items():
        assert (option.parameter, option.value is None) == (found[word].name, found[word].is_flag)
    words = ["x"] if command.takes_words else []
    for word in {*found, *ALWAYS_TYPER} - set(command.options):
        assert read_plain(command, [*words, word]) is None
        assert read_plain(command, [*words, word, "1"]) is None
        assert read_plain(command, [*words, f"{word}=1"]) is None


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.sampled_from(sorted(COMMANDS)), st.data())
def test_a_plain_line_has_the_values_that_typer_reads(name: str, data: st.DataObject) -> None:
    """If it is plain, the full command accepts it, with these values and its defaults."""
    known = sorted({*options(name), *ALWAYS_TYPER})
    some = st.sampled_from(VALUES)
    joined = st.tuples(st.sampled_from(known), some).map("=".join)
    line = data.draw(st.lists(st.one_of(st.sampled_from(known), some, some, joined), max_size=5))
    plain = read_plain(COMMANDS[name], line)
    if plain is None:
        return
    values, words = plain
    expected = {one.name: one.default for one in full(name).params if one.opts[0].startswith("-")}
    if COMMANDS[name].takes_words:
        expected["paths"] = words
    read = parsed(name, line)
    assert {**expected, **values, "help": None} == {**read, "help": None}


def test_all_values_of_an_option_that_are_plain_are_read_as_typer_reads_them() -> None:
    """Each option with each value, as two words and as one."""
    plain = 0
    for word in COMMANDS["predict"].options:
        for line in [["x", word]] + [
            [*end, "x"] for v in VALUES for end in ([word, v], [f"{word}={v}"])
        ]:
            found = read_plain(COMMANDS["predict"], line)
            if found is not None:
                plain += 1
                read = parsed("predict", line)
                assert (found[1], {k: read[k] for k in found[0]}) == (read["paths"], found[0])
    assert plain > 60


def test_defaults_are_those_of_the_full_command() -> None:
    """The options of `classify` have the names and defaults that typer shows."""
    read = parsed("predict", ["x"])
    ours = {one.name: getattr(PredictOptions(), one.name) for one in fields(PredictOptions)}
    assert ours == {k: v for k, v in read.items() if k not in ("paths", "verbose", "quiet")}


def test_shell_completion_and_other_commands_are_left_to_typer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing is printed or asked for them here."""
    for line in (
        [],
        ["--help"],
        ["skills", "list"],
        ["-q", "status"],
        ["predict"],
        ["status", "x"],
    ):
        assert run_plain(line) is None
    monkeypatch.setenv(COMPLETION, "complete_bash")
    assert run_plain(["status"]) is None
