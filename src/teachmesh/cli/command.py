"""Declare commands: examples in the help, one sentence per error, and exit codes."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import typer
from typer.core import TyperGroup

from teachmesh.cli.clear_errors import exit_code_of
from teachmesh.cli.verbosity_options import with_verbosity

P = ParamSpec("P")
R = TypeVar("R")
_SETTINGS = {"help_option_names": ["-h", "--help"]}
"""Settings of groups and of commands; without them, a command parsed alone would have no -h."""


def application(help_text: str, cls: type[TyperGroup] = TyperGroup) -> typer.Typer:
    """Make a command group that shows its help if the user gives no command.

    Args:
        help_text: first lines of the help.
        cls: class of the new command group.
    """
    return typer.Typer(
        cls=cls,
        help=help_text,
        rich_markup_mode=None,  # avoid importing rich, which is slow
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings=_SETTINGS,
    )


def command(
    app: typer.Typer, name: str, *examples: str
) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Return a decorator that registers a function as a command, with examples in its help.

    Args:
        app: Typer app (command group) to add the command to.
        name: name of the command, as users type it.
        examples: at least two complete command lines.
    """

    def register(function: Callable[P, None]) -> Callable[P, None]:
        summary, _, rest = inspect.cleandoc(function.__doc__ or "").partition("\n\n")
        shown = "\n".join(f"  {line}" for line in examples)
        help_text = f"{summary}\n\n\b\nExamples:\n{shown}\n\n{rest}".strip()
        guarded = with_verbosity(_with_clear_errors(function))
        app.command(name, help=help_text, context_settings=_SETTINGS)(guarded)
        return guarded

    return register


def _with_clear_errors(function: Callable[P, None]) -> Callable[P, None]:
    @functools.wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        call = functools.partial(function, *args, **kwargs)
        if code := exit_code_of(call, as_json=bool(kwargs.get("json_output"))):
            raise typer.Exit(code)

    return guarded
