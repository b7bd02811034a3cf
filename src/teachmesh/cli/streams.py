"""Standard streams that may be closed, full, or unable to encode a character."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from teachmesh.errors import EXIT_OK, EXIT_SKIPPED, StorageError

_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EBADF: "standard output is closed",
    errno.EPIPE: "the reader closed the pipe",
}


_data_only = False
"""Whether stdout carries the data of an output file, so that messages go to stderr."""


def keep_stdout_for_data(path: Path) -> None:
    """Send messages to stderr from now on, if an output file is stdout itself."""
    global _data_only
    try:
        same = os.path.samestat(path.stat(), os.fstat(sys.stdout.fileno()))
    except (OSError, ValueError):  # a new file, or a stream in memory
        same = False
    _data_only = _data_only or (same and not path.samefile(os.devnull))


def message_stream() -> TextIO:
    """Return stdout, or stderr while stdout carries data."""
    return sys.stderr if _data_only else sys.stdout


def prepare_streams() -> None:
    """Escape characters that stdout cannot encode, and make missing streams visible to errors."""
    global _data_only
    _data_only = False
    if sys.stdin is None:
        sys.stdin = Path(os.devnull).open(encoding="utf-8")  # noqa: SIM115
    if sys.stdout is None:
        # A stream that cannot be written, because Python would ignore all output without an error.
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_RDONLY), "w", encoding="utf-8")
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    set_encoding(None)


def set_encoding(encoding: str | None) -> None:
    """Set the encoding of stdout, with escapes for other characters; None keeps the encoding."""
    if not isinstance(sys.stdout, io.TextIOWrapper):
        return
    if encoding != sys.stdout.encoding or sys.stdout.errors != "backslashreplace":
        with stdout_errors():  # waiting text is written first
            sys.stdout.reconfigure(encoding=encoding, errors="backslashreplace")


@contextmanager
def stdout_errors() -> Iterator[None]:
    """Convert errors of stdout to one sentence; a closed pipe stays a `BrokenPipeError`.

    Raises:
        StorageError: stdout cannot be written. Later output is dropped without an error.
        BrokenPipeError: the reader closed the pipe.
    """
    try:
        yield
    except BrokenPipeError:
        drop_stdout()
        raise
    except OSError as error:
        drop_stdout()
        raise StorageError(_sentence(error)) from error


@contextmanager
def help_errors() -> Iterator[None]:
    """Convert errors of stdout that occur outside of a command, such as while help is printed.

    Raises:
        StorageError: stdout cannot be written.
        OSError: an error that stdout cannot cause.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _REASONS:
            raise
        drop_stdout()
        raise StorageError(_sentence(error)) from error


def _sentence(error: OSError) -> str:
    reason = _REASONS.get(error.errno or 0, error.strerror or "the system refused")
    return f"could not write the answer: {reason}"


def drop_stdout() -> None:
    """Send all later output nowhere, so that Python reports no second error when it exits."""
    descriptor = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(descriptor, sys.stdout.fileno())
        sys.stdout.flush()
    except (OSError, ValueError):  # a stream in memory has no descriptor
        sys.stdout = io.StringIO()
    finally:
        os.close(descriptor)


def finish_stdout(exit_code: int) -> int:
    """Write waiting output, and return the final exit code.

    Args:
        exit_code: exit code of the command; an error is kept, whatever happens to the output.
    """
    try:
        with stdout_errors():
            sys.stdout.flush()
    except BrokenPipeError:
        return exit_code
    except StorageError as error:
        with suppress(OSError):
            print(f"error: {error}", file=sys.stderr)
        return error.exit_code if exit_code in {EXIT_OK, EXIT_SKIPPED} else exit_code
    return exit_code
