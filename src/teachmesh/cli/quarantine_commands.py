"""`teachmesh skills quarantine`: skills that are stored, but not used in answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from teachmesh.cli.command import application, command
from teachmesh.cli.output import emit, plain, say, table
from teachmesh.cli.shared_options import BackboneOption, HomeOption, JsonOption
from teachmesh.cli.skill_removal import remove_skill

if TYPE_CHECKING:
    from teachmesh.agent.known_skills.quarantine import Quarantined

_HELP = "Name of a skill in quarantine, or the first characters of its id."
QuarantinedArgument = Annotated[str, typer.Argument(help=_HELP, show_default=False)]


def register(group: typer.Typer) -> None:
    """Add the group `quarantine` to the group `skills`."""
    quarantine = application(
        "Skills that may harm other tasks: list, release and drop them.\n\n"
        "They are stored and shared, but not used in answers."
    )
    group.add_typer(quarantine, name="quarantine")
    command(
        quarantine,
        "list",
        "teachmesh skills quarantine list",
        "teachmesh skills quarantine list --json",
    )(list_quarantine)
    command(
        quarantine,
        "release",
        "teachmesh skills quarantine release 3f9a",
        "teachmesh skills quarantine release screws@bob --json",
    )(release_skill)
    command(
        quarantine,
        "drop",
        "teachmesh skills quarantine drop 3f9a --yes",
        "teachmesh skills quarantine drop screws@bob --json",
    )(drop)


def list_quarantine(
    backbone: BackboneOption = None, home: HomeOption = None, json_output: JsonOption = False
) -> None:
    """List the skills in quarantine, with the reason and the task that they would harm.

    New skills are screened first.
    """
    from teachmesh.agent import Agent
    from teachmesh.agent.known_skills.quarantine import quarantined_skills

    agent = Agent(home, backbone=backbone, reading=True)
    agent.sync()
    held = quarantined_skills(agent)
    if json_output:
        documents = [skill.to_json() for skill in held]
        emit({"schema": "teachmesh.quarantine/1", "skills": documents})
    elif not held:
        say("no skill is in quarantine")
    else:
        _show(held)


def _show(held: list[Quarantined]) -> None:
    rows = [
        [plain(one.name), one.id[:12], plain(one.alias), plain(one.against), plain(one.reason)]
        for one in held
    ]
    say(table(["task", "id", "from", "against", "reason"], rows))
    say("use one: teachmesh skills quarantine release ID; remove one: ... drop ID")


def release_skill(
    skill: QuarantinedArgument,
    backbone: BackboneOption = None,
    home: HomeOption = None,
    json_output: JsonOption = False,
) -> None:
    """Use a skill in quarantine from now on, on this agent, whatever screening finds.

    A running agent of this home uses it within a second.
    """
    from teachmesh.agent.known_skills.bank_view import BankView
    from teachmesh.agent.known_skills.quarantine import release

    info = release(BankView(home, backbone=backbone), skill)
    if json_output:
        emit({"schema": "teachmesh.released/1", "id": info.id, "task": info.task})
    else:
        say(f"released {plain(info.display_name)} ({info.id[:12]})")


def drop(
    skill: QuarantinedArgument,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do it without confirmation.")] = False,
    backbone: BackboneOption = None,
    home: HomeOption = None,
    json_output: JsonOption = False,
) -> None:
    """Remove a skill in quarantine from this agent; it is not fetched again."""
    from teachmesh.agent.known_skills.bank_view import BankView
    from teachmesh.agent.known_skills.quarantine import in_quarantine

    view = BankView(home, backbone=backbone)
    remove_skill(view, in_quarantine(view, skill), yes=yes, json_output=json_output)
