"""Blocks of code on the pages, and the lines of a shell block."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from teachmesh.cli.main import app

ROOT = Path(__file__).parents[2]
NOT_RUN = "# not run by the tests: "
"""First line of a block that is not run; a reason follows."""
PAGES = ("README.md", *sorted(str(p.relative_to(ROOT)) for p in (ROOT / "docs").rglob("*.md")))
_BLOCK = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", flags=re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"(?:^    .*\n)+", flags=re.MULTILINE)
_COMMAND = re.compile(r"(?:\w+\$ +)?(teachmesh .*)")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: str
    language: str
    text: str

    @property
    def reason(self) -> str:
        """Why the block is not run; empty if it is."""
        first = self.text.partition("\n")[0]
        return first.removeprefix(NOT_RUN) if first.startswith(NOT_RUN) else ""


def page_text(page: str) -> str:
    """Return the text of a page."""
    return (ROOT / page).read_text("utf-8")


def blocks(page: str) -> list[Block]:
    """Return the fenced blocks of a page."""
    return [Block(page, language, code) for language, code in _BLOCK.findall(page_text(page))]


def indented(page: str) -> list[str]:
    """Return the indented lines of a page outside fenced blocks."""
    text = _BLOCK.sub("", page_text(page))
    return [line.strip() for part in _INDENTED.findall(text) for line in part.splitlines()]


def logical_lines(text: str) -> Iterator[str]:
    r"""Yield lines without comments; a line that ends with a backslash continues.

    >>> list(logical_lines("a \\\n  b  # c\n\n# d\n"))
    ['a    b']
    """
    for line in text.replace("\\\n", " ").splitlines():
        code = re.sub(r"(^|\s)#(\s.*|$)", "", line).strip()
        if code:
            yield code


def commands(text: str) -> list[list[str]]:
    """Return the arguments of each teachmesh command of a block, prompts removed."""
    found = (_COMMAND.fullmatch(line) for line in logical_lines(text))
    return [shlex.split(match[1].removesuffix("&"))[1:] for match in found if match is not None]


def modules(text: str) -> list[str]:
    """Return the modules that a block starts with `python -m`."""
    return re.findall(r"python -m ([\w.]+)", text)


def parse(arguments: list[str]) -> None:
    """Parse a command line without running it.

    Raises:
        click.UsageError: there is no such command, option or choice.
    """
    command: Any = typer.main.get_command(app)
    context = typer.Context(command)
    rest = list(arguments)
    while hasattr(command, "get_command"):
        name = rest.pop(0)
        command = command.get_command(context, name)
        assert command is not None, f"no command {name!r} in {arguments}"
    command.make_context(" ".join(arguments[:1]), rest, parent=context)
