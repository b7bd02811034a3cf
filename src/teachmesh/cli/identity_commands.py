"""`teachmesh identity`: show the identity of an agent, or give it a new one."""

from __future__ import annotations

from typing import Annotated

import typer

from teachmesh.cli.command import application, command
from teachmesh.cli.output import emit, plain, say
from teachmesh.cli.shared_options import HomeOption, JsonOption


def register(app: typer.Typer) -> None:
    """Add the command group to the application."""
    group = application("The identity of this agent: the key that signs its skills.")
    app.add_typer(group, name="identity")
    command(group, "new", "teachmesh identity new", "teachmesh identity new --home copy --yes")(new)


def new(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    home: HomeOption = None,
    json_output: JsonOption = False,
) -> None:
    """Give this agent a new identity, for example after its home was copied to another machine.

    The skills stay. Those learned before belong to the old identity, so this agent can no longer
    replace them. The old key is kept next to the new one.
    """
    from teachmesh.agent.known_skills.bank_view import BankView

    view = BankView(home)
    if not yes and not json_output:
        typer.confirm(f"replace the identity of {view.home.path}?", abort=True, err=True)
    old = view.renew_identity()
    if json_output:
        kept = None if old is None else str(old)
        emit({"schema": "teachmesh.identity/1", "id": view.id, "old_key": kept})
        return
    say(f"this agent is now {view.id} ({plain(view.alias)})")
    if old is not None:
        say(f"old key kept: {plain(str(old))}")
