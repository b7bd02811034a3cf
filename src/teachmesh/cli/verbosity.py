"""The options --verbose and --quiet of every command, and the log on stderr."""

from __future__ import annotations

import functools
import inspect
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, ParamSpec

import typer

P = ParamSpec("P")
LOGGERS = ("teachmesh", "teachmesh_lab")
_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
VerboseOption = Annotated[
    int,
    typer.Option(
        "--verbose",
        "-v",
        count=True,
        show_default=False,
        help="Log each step to stderr; -vv logs more.",
    ),
]
QuietOption = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print no remarks and no progress to stderr.")
]
_OPTIONS: dict[str, tuple[Any, Any]] = {
    "verbose": (VerboseOption, 0),
    "quiet": (QuietOption, False),
}


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


def with_verbosity(function: Callable[P, None]) -> Callable[P, None]:
    """Add the options --verbose and --quiet to the function of a command."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> None:
        verbose, quiet = (kwargs.pop(name, default) for name, (_, default) in _OPTIONS.items())
        with _logging(int(str(verbose)) + _state.verbose, bool(quiet) or _state.quiet):
            function(*args, **kwargs)

    _add_options(call, inspect.signature(function, eval_str=True))
    return call


def _add_options(call: Any, signature: inspect.Signature) -> None:
    """Show typer a signature that has the options."""
    keyword = inspect.Parameter.KEYWORD_ONLY
    more = [
        inspect.Parameter(name, keyword, annotation=kind, default=default)
        for name, (kind, default) in _OPTIONS.items()
    ]
    call.__signature__ = signature.replace(parameters=[*signature.parameters.values(), *more])
    call.__annotations__ = {
        **call.__annotations__,
        **{name: kind for name, (kind, _) in _OPTIONS.items()},
    }


@contextmanager
def _logging(verbose: int, quiet: bool) -> Iterator[None]:
    """Log to stderr while a command runs: nothing, steps, or everything."""
    before, _state.running_quiet = _state.running_quiet, quiet and not verbose
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(_FORMAT))
    loggers = [logging.getLogger(name) for name in LOGGERS] if verbose else []
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO if verbose == 1 else logging.DEBUG)
    try:
        yield
    finally:
        _state.running_quiet = before
        for logger, level in zip(loggers, levels, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(level)
