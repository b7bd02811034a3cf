"""`teachmesh skills invite`, `parts`, `withdraw-part`: tasks that several agents learn together."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from teachmesh.cli.command import command
from teachmesh.cli.output import emit, plain, say, size, table
from teachmesh.cli.shared_options import HomeOption, JsonOption

if TYPE_CHECKING:
    from collections.abc import Sequence

    from teachmesh.agent.on_mesh.manage_parts import PartInfo
    from teachmesh.agent.teaching.shared_tasks import Comparison

_AGENT_HELP = "Public key, or the id or alias of an agent whose skill is here."


def register(group: typer.Typer) -> None:
    """Add the commands to the group `skills`."""
    command(
        group,
        "invite",
        "teachmesh skills invite screws bob carol",
        "teachmesh skills invite screws --remove bob",
    )(invite)
    command(
        group,
        "parts",
        "teachmesh skills parts",
        "teachmesh skills parts screws@alice --check",
    )(parts)
    command(
        group,
        "withdraw-part",
        "teachmesh skills withdraw-part 3f9a",
        "teachmesh skills withdraw-part 3f9a --json",
    )(withdraw_part)


def invite(
    task: Annotated[str, typer.Argument(help="Task of this agent.", show_default=False)],
    agents: Annotated[
        list[str] | None, typer.Argument(help=_AGENT_HELP, show_default=False)
    ] = None,
    remove: Annotated[
        list[str] | None,
        typer.Option(
            "--remove",
            help="Member to exclude, with its parts; may be repeated.",
            show_default=False,
        ),
    ] = None,
    home: HomeOption = None,
    json_output: JsonOption = False,
) -> None:
    """Let other agents contribute parts to a task of this agent.

    Parts of agents that are not invited are refused. The images learned so far become the first
    part. An invited agent makes a part with `teachmesh learn FOLDER --part-of TASK@AUTHOR`. Parts
    have exact sums, which tell more than a skill, and go only to agents that have contributed.
    """
    from teachmesh.agent import Agent

    invited = Agent(home).invite_to_task(task, tuple(agents or ()), remove=tuple(remove or ()))
    if json_output:
        emit(invited.to_json())
        return
    members = ", ".join(invited.members) or "nobody"
    say(f"may contribute parts to {plain(invited.task)}: {members}")


def parts(
    task: Annotated[
        str | None,
        typer.Argument(help="Name of one task, such as screws@alice.", show_default=False),
    ] = None,
    check: Annotated[
        bool,
        typer.Option("--check", help="Make the skill of TASK again from its parts and compare."),
    ] = False,
    home: HomeOption = None,
    json_output: JsonOption = False,
) -> None:
    """List the parts of tasks that this agent learns together with others."""
    from teachmesh.agent import Agent
    from teachmesh.errors import UsageError

    agent = Agent(home, reading=True)
    found = agent.parts(task)
    if check and task is None:
        raise UsageError("expected the name of a task together with --check, got none")
    compared = agent.compare_parts(task) if check and task is not None else None
    if json_output:
        comparison = None if compared is None else asdict(compared)
        documents = [asdict(part) for part in found]
        emit({"schema": "teachmesh.parts/1", "parts": documents, "check": comparison})
        return
    _show(found)
    if compared is not None:
        _show_comparison(compared)


def _show(found: Sequence[PartInfo]) -> None:
    if not found:
        say("no part yet; the owner of a task runs: teachmesh skills invite TASK AGENT")
        return
    header = ["part", "task", "by", "owner", "images", "size", "created", "in the skill"]
    rows = [
        [
            part.id[:12],
            plain(part.task),
            part.author,
            part.owner,
            str(part.images),
            size(part.size_bytes),
            part.created,
            "yes" if part.used else "not yet",
        ]
        for part in found
    ]
    say(table(header, rows))


def _show_comparison(compared: Comparison) -> None:
    for part, reason in compared.left_out.items():
        say(f"part {part[:12]} is left out: {plain(reason)}")
    result = "equals" if compared.equal else "DIFFERS from"
    say(f"the skill made here from the parts {result} the owner's skill of {plain(compared.task)}")


def withdraw_part(
    part: Annotated[
        str, typer.Argument(help="Id of the part, or its beginning.", show_default=False)
    ],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do it without confirmation.")] = False,
    home: HomeOption = None,
    json_output: JsonOption = False,
) -> None:
    """Take a part out of its task: the skill is then as if the part had never come.

    The author of a part and the owner of the task can withdraw it. All agents delete it as soon as
    they hear of it. The owner publishes the skill of the other parts.
    """
    from teachmesh.agent import Agent

    if not yes and not json_output:
        typer.confirm(f"withdraw part {plain(part)} everywhere?", abort=True, err=True)
    done = Agent(home).withdraw_part(part)
    if json_output:
        emit({"schema": "teachmesh.withdrawn-part/1", **asdict(done)})
        return
    say(f"withdrew part {done.part[:12]} of {plain(done.task)}")
    if done.skill is not None:
        say(f"saved skill {done.skill[:12]} without it")
    else:
        say("its owner publishes the skill without it when both run: teachmesh up")
