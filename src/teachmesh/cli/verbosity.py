"""Effects of --verbose and --quiet: the log on stderr, and remarks. This is fast to import."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

LOGGERS = ("teachmesh", "teachmesh_lab")
_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


@dataclass
class _State:
    """Options given before the command, and whether the running command is quiet."""

    verbose: int = 0
    quiet: bool = False
    running_quiet: bool = False


_state = _State()


def set_for_command(verbose: int, quiet: bool) -> None:
    """Set options that were given before the name of the command, for that command."""
    _state.verbose, _state.quiet = verbose, quiet


def is_quiet() -> bool:
    """Return whether the user gave --quiet to the command that runs."""
    return _state.running_quiet


@contextmanager
def verbosity(verbose: int, quiet: bool) -> Iterator[None]:
    """Print remarks and a log to stderr within the block, as a command's options say.

    Args:
        verbose: number of times that --verbose was given to the command.
        quiet: whether --quiet was given to the command.
    """
    verbose, quiet = verbose + _state.verbose, quiet or _state.quiet
    before, _state.running_quiet = _state.running_quiet, quiet and not verbose
    try:
        with _logging(verbose) if verbose else nullcontext():
            yield
    finally:
        _state.running_quiet = before


@contextmanager
def _logging(verbose: int) -> Iterator[None]:
    """Log to stderr within the block: steps, or everything."""
    import logging  # slow to import

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(_FORMAT))
    loggers = [logging.getLogger(name) for name in LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO if verbose == 1 else logging.DEBUG)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(level)
