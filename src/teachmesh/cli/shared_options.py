"""Options that several commands share, and functions that check and parse option values.

Shared options have the same name, help and behaviour in every command.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from teachmesh.cli.streams import keep_stdout_for_data
from teachmesh.errors import UsageError

Value = TypeVar("Value")

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
ForceOption = Annotated[
    bool,
    typer.Option("--force", help="With --replace: also if a class vanishes or the accuracy falls."),
]
AllowFewOption = Annotated[
    bool,
    typer.Option(
        "--allow-few",
        help="Share classes with fewer than 10 training images, whose means reveal much of them.",
    ),
]
SkillArgument = Annotated[
    str,
    typer.Argument(
        help="Name of the task (your own first), task@alias, or the start of the skill's id.",
        show_default=False,
    ),
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
    typer.Option("--device", help="auto, cpu, cuda, cuda:1 or mps; an error if unavailable."),
]
EngineOption = Annotated[
    str,
    typer.Option(
        "--engine",
        help="torch, or openvino: often faster on a processor; needs the extra openvino.",
    ),
]
DtypeOption = Annotated[
    str,
    typer.Option(
        "--dtype",
        help="fp32; bf16: faster where the device has it, else an error; or auto. Latents of bf16 "
        "differ by 0.6 to 14 %, depending on the network. Biases always use torch and fp32.",
    ),
]
LocalOption = Annotated[
    bool,
    typer.Option("--local", help="Do not use the agent that runs in this home (teachmesh up)."),
]
MethodOption = Annotated[
    str | None,
    typer.Option(
        "--method",
        "-m",
        help="moments (default), gmmc or maha; with +bb or +bb-last, or bb-h2t, to learn biases "
        "(+bb-all-always: the paper's way); or a mapper of an installed package.",
        show_default=False,
    ),
]
QualityOption = Annotated[
    str | None,
    typer.Option(
        "--quality",
        help="Preset: fast (one backbone pass), or best (biases where validation images gain; 8 "
        "passes, as --bb auto).",
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
        help="Largest number of forward passes that learning may take; 8 with --bb auto.",
        show_default=False,
    ),
]
ClustersOption = Annotated[
    int | None,
    typer.Option(
        "--clusters",
        help="Number of clusters per task, with gmmc only. Default: 25.",
        show_default=False,
    ),
]
SamplesOption = Annotated[
    str | None,
    typer.Option(
        "--samples",
        help="Number of samples per class, or all, with maha only. Default: 5.",
        show_default=False,
    ),
]
VarianceFloorOption = Annotated[
    float | None,
    typer.Option(
        "--variance-floor",
        help="Constant added to variances, relative to those of reference images, with gmmc "
        "only. Default: 0.1; the authors' code: 0.",
        show_default=False,
    ),
]
MaxBytesOption = Annotated[
    int | None,
    typer.Option(
        "--max-bytes",
        min=1,
        help="Largest size of a skill in bytes; numbers then get fewer bits. With moments only.",
        show_default=False,
    ),
]
SeedOption = Annotated[
    int, typer.Option("--seed", help="Seed for splits and all other random choices.")
]


def output_path(text: str | Path) -> Path:
    """Parse the name of a file to write; if it is stdout, messages go to stderr.

    Raises:
        BadParameter: the text is `-`, or names a folder.
    """
    name = str(text)
    if name == "-":
        raise typer.BadParameter("expected a file, got -; only files can be written")
    if not name or name.endswith(("/", os.sep, "/.", "/..")) or name in {".", ".."}:
        raise typer.BadParameter(f"expected a file, got the folder {name!r}; name a file in it")
    keep_stdout_for_data(Path(name))
    return Path(name)


def output_option(*names: str, text: str) -> Any:
    """Return an option for the name of a file to write, which `output_path` checks.

    Args:
        names: names of the option, such as "--output" and "-o".
        text: help text.
    """
    return typer.Option(*names, parser=output_path, metavar="FILE", help=text)


EncoderOption = Annotated[
    str,
    typer.Option(
        "--encoder",
        help="How class names are compared: auto, minilm (offline), clip (fetched once), names.",
    ),
]


def options_given(context: typer.Context) -> dict[str, str]:
    """Return the options given on the command line, by parameter name."""
    found = {}
    for parameter in context.command.params:
        if parameter.name is None or parameter.param_type_name != "option":
            continue
        source = context.get_parameter_source(parameter.name)
        # Compared by name, because some versions of typer have their own copy of this enum.
        if source is not None and source.name == "COMMANDLINE":
            found[parameter.name] = parameter.opts[0]
    return found


def refuse_options(context: typer.Context, names: Collection[str], reason: str) -> None:
    """Raise an error if the command line has an option that would be ignored.

    Args:
        context: context of the command.
        names: names of the parameters that have no effect.
        reason: reason for the message why they have no effect, such as "with --replay".

    Raises:
        UsageError: one of the options is on the command line.
    """
    ignored = [text for name, text in options_given(context).items() if name in names]
    if ignored:
        raise UsageError(f"expected no {', '.join(ignored)} {reason}, where it would be ignored")


def words(text: str | None) -> tuple[str, ...] | None:
    """Split a comma-separated option value; return None if the option is not given.

    >>> words("moments, maha")
    ('moments', 'maha')
    """
    return None if text is None else tuple(w.strip() for w in text.split(",") if w.strip())


def samples_of(text: str | None) -> int | str | None:
    """Parse a number of samples; other words are returned and checked later.

    >>> samples_of("5"), samples_of("all")
    (5, 'all')
    """
    return int(text) if text is not None and text.isdecimal() else text


def percentages(text: str | None) -> tuple[float, float] | None:
    """Parse percentages for validation and test as fractions; return None if not given.

    Raises:
        UsageError: the text is not two numbers of 0 to 90 in all, separated by a slash.

    >>> percentages("10/20")
    (0.1, 0.2)
    """
    if text is None:
        return None
    try:
        shares = tuple(float(word) / 100 for word in text.split("/"))
    except ValueError:
        shares = ()
    if len(shares) != 2 or not min(shares) >= 0 or not sum(shares) <= 0.9:
        raise UsageError(f"expected percentages like 10/10 (validation/test), got {text!r}")
    validation, test = shares
    return validation, test


def integers(text: str) -> tuple[int, ...]:
    """Parse at least one whole number, separated by commas.

    Raises:
        UsageError: the text is empty or invalid.

    >>> integers("1,10,102")
    (1, 10, 102)
    """
    return _values(text, int, "whole numbers")


def numbers(text: str) -> tuple[float, ...]:
    """Parse at least one number, separated by commas.

    Raises:
        UsageError: the text is empty or invalid.

    >>> numbers("1e12, 5e11")
    (1000000000000.0, 500000000000.0)
    """
    return _values(text, float, "numbers")


def _values(text: str, kind: Callable[[str], Value], name: str) -> tuple[Value, ...]:
    try:
        found = tuple(kind(word) for word in words(text) or ())
    except ValueError:
        found = ()
    if not found:
        raise UsageError(f"expected {name} separated by commas, got {text!r}")
    return found
