"""Run plain command lines without typer, which takes longer to import than an agent to answer.

A line is plain if it has only the options below, each once, and values that need no check. All
others are left to typer: also lines for help, wrong options, and every other command.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

COMPLETION = "_TEACHMESH_COMPLETE"
_MOST_ALTERNATIVES = 50


class Option(NamedTuple):
    """One option.

    Attributes:
        parameter: name of the command's parameter.
        value: function from its word to its value, which raises ValueError if typer should look
            at the word; None for a flag.
    """

    parameter: str
    value: Callable[[str], Any] | None = None


class PlainCommand(NamedTuple):
    """A command that plain lines can call.

    Attributes:
        options: options by the words that users type.
        run: function from the values of the options and the other words to the exit code.
        takes_words: whether at least one word that is no option must follow, or none may.
    """

    options: Mapping[str, Option]
    run: Callable[[Mapping[str, Any], Sequence[str]], int | None]
    takes_words: bool = False


def _predict(options: Mapping[str, Any], words: Sequence[str]) -> int:
    from teachmesh.cli.predict_answers import PredictOptions, classify

    return classify(words, PredictOptions(**options))


def _status(options: Mapping[str, Any], _words: Sequence[str]) -> None:
    from teachmesh.cli.status_report import show_status

    show_status(**{"home": None, **options})


def _alternatives(word: str) -> int:
    number = int(word) if word.isascii() and word.isdecimal() else -1
    if not 0 <= number <= _MOST_ALTERNATIVES:
        raise ValueError(word)
    return number


_SHARED = {
    "--home": Option("home", Path),
    "--json": Option("json_output"),
    "--quiet": Option("quiet"),
    "-q": Option("quiet"),
    "--local": Option("local"),
}
_PREDICT = {
    "--task": Option("task", str),
    "--alternatives": Option("alternatives", _alternatives),
    "-k": Option("alternatives", _alternatives),
    "--csv": Option("csv_output"),
}
COMMANDS = {
    "predict": PlainCommand({**_SHARED, **_PREDICT}, _predict, takes_words=True),
    "status": PlainCommand(_SHARED, _status),
}


def run_plain(line: Sequence[str]) -> int | None:
    """Run a plain command line and return its exit code; None if typer must run it.

    Args:
        line: the words after `teachmesh`.
    """
    command = COMMANDS.get(line[0]) if line else None
    # On Windows typer replaces patterns such as *.jpg.
    if command is None or COMPLETION in os.environ or os.name == "nt":
        return None
    found = read_plain(command, line[1:])
    return None if found is None else _run(command, *found)


def _run(command: PlainCommand, options: dict[str, Any], words: Sequence[str]) -> int:
    # Imported here because other commands do not need them.
    from teachmesh.cli.clear_errors import exit_code_of
    from teachmesh.cli.streams import finish_stdout, prepare_streams
    from teachmesh.cli.verbosity import verbosity

    prepare_streams()
    with verbosity(0, options.pop("quiet", False)):
        as_json = options.get("json_output", False)
        code = exit_code_of(lambda: command.run(options, words), as_json=as_json)
    return finish_stdout(code)


def read_plain(
    command: PlainCommand, line: Sequence[str]
) -> tuple[dict[str, Any], list[str]] | None:
    """Return the values of options and the other words of a line; None if it is not plain.

    Args:
        command: the command.
        line: the words after its name.
    """
    found: dict[str, Any] = {}
    others: list[str] = []
    rest = iter(line)
    try:
        for word in rest:
            word.encode()  # typer decides about a name that is no UTF-8
            if word == "-" or (word and word[0] != "-"):
                others.append(word)
                continue
            name, has_value, text = word.partition("=") if word[:2] == "--" else (word, "", "")
            option = command.options[name]
            value = _value(option, text if has_value else None, rest)
            if option.parameter in found:
                return None
            found[option.parameter] = value
    except (KeyError, ValueError, StopIteration):
        return None
    return (found, others) if bool(others) == command.takes_words else None


def _value(option: Option, text: str | None, rest: Iterator[str]) -> Any:
    """Return the value of an option, from its own word or the next one."""
    if option.value is None:
        if text is not None:
            raise ValueError(text)
        return True
    word = next(rest) if text is None else text
    if not word or word[0] == "-":
        raise ValueError(word)
    word.encode()
    return option.value(word)
