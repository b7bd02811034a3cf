"""Options that several commands share, so that they read and behave the same everywhere."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from teachmesh.errors import UsageError

HomeOption = Annotated[
    Path | None,
    typer.Option(
        "--home",
        help="Folder of this agent. Default: $TEACHMESH_HOME, else the user's data folder.",
        show_default=False,
    ),
]
JsonOption = Annotated[
    bool,
    typer.Option("--json", help='Print one JSON document with a "schema" key to stdout.'),
]
BackboneOption = Annotated[
    str | None,
    typer.Option(
        "--backbone",
        "-b",
        help="Backbone to use (see: teachmesh backbone list).",
        show_default=False,
    ),
]
DeviceOption = Annotated[
    str,
    typer.Option("--device", help="auto, cpu, cuda, cuda:1 or mps; never another one silently."),
]
MethodOption = Annotated[
    str | None,
    typer.Option(
        "--method",
        "-m",
        help="moments (default), gmmc or maha; with +bb or +bb-last, or bb-h2t, to learn biases.",
        show_default=False,
    ),
]
BiasOption = Annotated[
    str | None,
    typer.Option(
        "--bb",
        help="Layers that get beneficial biases: auto (within a budget), all (the paper's way), "
        "half, last:N, or none.",
        show_default=False,
    ),
]
PassesOption = Annotated[
    float | None,
    typer.Option(
        "--bb-passes",
        help="Forward passes over the images that learning may cost in all; 8 with --bb auto.",
        show_default=False,
    ),
]
SeedOption = Annotated[int, typer.Option("--seed", help="Seed of splits and of what is random.")]
EncoderOption = Annotated[
    str,
    typer.Option(
        "--encoder",
        help="How class names are compared: auto, minilm (offline), clip (fetched once), names.",
    ),
]


def options_given(context: typer.Context) -> dict[str, str]:
    """Name of the parameter -> option as people write it, of those that were typed."""
    found = {}
    for parameter in context.command.params:
        if parameter.name is None or parameter.param_type_name != "option":
            continue
        source = context.get_parameter_source(parameter.name)
        # By name: newer versions of typer bring a click of their own, with an enum of its own.
        if source is not None and source.name == "COMMANDLINE":
            found[parameter.name] = parameter.opts[0]
    return found


def refuse_options(context: typer.Context, names: Collection[str], beside: str) -> None:
    """Refuse options that would be ignored.

    Args:
        context: of the command.
        names: of the parameters that say nothing here.
        beside: what makes them say nothing, for the message.

    Raises:
        UsageError: one of them was typed.
    """
    ignored = [text for name, text in options_given(context).items() if name in names]
    if ignored:
        raise UsageError(f"expected no {', '.join(ignored)} {beside}, where it would be ignored")


_Value = TypeVar("_Value")


def words(text: str | None) -> tuple[str, ...] | None:
    """The words of an option; None where it is not given.

    >>> words("moments, maha")
    ('moments', 'maha')
    """
    return None if text is None else tuple(w.strip() for w in text.split(",") if w.strip())


def integers(text: str) -> tuple[int, ...]:
    """At least one whole number.

    Raises:
        UsageError: something else, or nothing.

    >>> integers("1,10,102")
    (1, 10, 102)
    """
    return _values(text, int, "whole numbers")


def numbers(text: str) -> tuple[float, ...]:
    """At least one number.

    Raises:
        UsageError: something else, or nothing.

    >>> numbers("1e12, 5e11")
    (1000000000000.0, 500000000000.0)
    """
    return _values(text, float, "numbers")


def _values(text: str, kind: Callable[[str], _Value], what: str) -> tuple[_Value, ...]:
    try:
        found = tuple(kind(word) for word in words(text) or ())
    except ValueError:
        found = ()
    if not found:
        raise UsageError(f"expected {what} separated by commas, got {text!r}")
    return found
