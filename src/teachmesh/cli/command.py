"""Declare commands: examples in the help, one sentence per error, and exit codes."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextlib import suppress
from typing import ParamSpec, TypeVar

import typer
from typer.core import TyperGroup

from teachmesh.cli.output import complain, emit
from teachmesh.cli.streams import drop_stdout
from teachmesh.cli.verbosity import with_verbosity
from teachmesh.errors import EXIT_INTERRUPTED, StorageError, TeachmeshError

P = ParamSpec("P")
R = TypeVar("R")


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
        context_settings={"help_option_names": ["-h", "--help"]},
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
        app.command(name, help=help_text)(guarded)
        return guarded

    return register


def _with_clear_errors(function: Callable[P, None]) -> Callable[P, None]:
    @functools.wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            function(*args, **kwargs)
        except TeachmeshError as error:
            show_error(
                type(error).__name__,
                str(error),
                error.exit_code,
                as_json=bool(kwargs.get("json_output")),
            )
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            complain("interrupted: nothing half-written was kept")
            raise typer.Exit(EXIT_INTERRUPTED) from None
        except BrokenPipeError:
            # A reader such as `| head` closed the pipe, which is not an error.
            drop_stdout()
            raise typer.Exit(0) from None

    return guarded


def show_error(kind: str, text: str, exit_code: int, *, as_json: bool) -> None:
    """Print an error as one sentence to stderr, and with `as_json` as a document to stdout.

    Args:
        kind: class of the error, such as "DataError".
        text: the message.
        exit_code: exit code of the process.
        as_json: whether the user gave --json.
    """
    message = " ".join(text.split())
    complain(f"error: {message}")
    if as_json:
        emit_error(kind, message, exit_code)


def emit_error(kind: str, message: str, exit_code: int) -> None:
    """Print the document of an error; it is lost if stdout cannot be written."""
    document = {"error": kind, "exit_code": exit_code, "message": message}
    with suppress(StorageError, BrokenPipeError):
        emit({"schema": "teachmesh.error/1", **document})
