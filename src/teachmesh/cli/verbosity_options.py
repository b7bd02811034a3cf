"""The options --verbose and --quiet of every command."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any, ParamSpec

import typer

from teachmesh.cli.verbosity import verbosity

P = ParamSpec("P")
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


def with_verbosity(function: Callable[P, None]) -> Callable[P, None]:
    """Add the options --verbose and --quiet to the function of a command."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> None:
        verbose, quiet = (kwargs.pop(name, default) for name, (_, default) in _OPTIONS.items())
        with verbosity(int(str(verbose)), bool(quiet)):
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
