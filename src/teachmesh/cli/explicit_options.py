"""Which options stand on the command line: one that would be ignored is refused instead."""

from __future__ import annotations

from collections.abc import Collection

import typer

from teachmesh.errors import UsageError


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
