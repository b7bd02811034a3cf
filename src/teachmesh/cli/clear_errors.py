"""From the errors of a command to one sentence and an exit code. Nothing here is slow to import."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from teachmesh.cli.output import complain, emit
from teachmesh.cli.streams import drop_stdout
from teachmesh.errors import EXIT_INTERRUPTED, EXIT_OK, StorageError, TeachmeshError


def exit_code_of(call: Callable[[], int | None], *, as_json: bool) -> int:
    """Run a command, print its error as one sentence, and return its exit code.

    Args:
        call: the command; it returns its exit code, or None for success.
        as_json: whether the user gave --json.
    """
    try:
        return call() or EXIT_OK
    except TeachmeshError as error:
        _show_error(type(error).__name__, str(error), error.exit_code, as_json=as_json)
        return error.exit_code
    except KeyboardInterrupt:
        complain("interrupted: nothing half-written was kept")
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # A reader such as `| head` closed the pipe, which is not an error.
        drop_stdout()
        return EXIT_OK


def _show_error(kind: str, text: str, exit_code: int, *, as_json: bool) -> None:
    """Print an error as one sentence to stderr, and with `as_json` as a document to stdout."""
    message = " ".join(text.split())
    complain(f"error: {message}")
    if as_json:
        emit_error(kind, message, exit_code)


def emit_error(kind: str, message: str, exit_code: int) -> None:
    """Print the document of an error; it is lost if stdout cannot be written."""
    document = {"error": kind, "exit_code": exit_code, "message": message}
    with suppress(StorageError, BrokenPipeError):
        emit({"schema": "teachmesh.error/1", **document})
