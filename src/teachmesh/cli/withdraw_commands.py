"""`teachmesh skills withdraw` and `teachmesh skills prune`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from teachmesh.cli.command import command
from teachmesh.cli.output import emit, plain, say, size
from teachmesh.cli.shared_options import HomeOption, JsonOption

if TYPE_CHECKING:
    from teachmesh.agent.withdraw_skills import Pruned, Withdrawal

_TASK_HELP = "Name of the task, or the first characters of the id of one version."
_YES_HELP = "Do it without confirmation."
YesOption = Annotated[bool, typer.Option("--yes", "-y", help=_YES_HELP)]


def register(group: typer.Typer) -> None:
    """Add the commands to the group `skills`."""
    command(
        group,
        "withdraw",
        "teachmesh skills withdraw screws --yes",
        "teachmesh skills withdraw 3f9a --json",
    )(withdraw)
    command(group, "prune", "teachmesh skills prune", "teachmesh skills prune --yes --json")(prune)


def withdraw(
    task: Annotated[str, typer.Argument(help=_TASK_HELP, show_default=False)],
    yes: YesOption = False,
    home: HomeOption = None,
    json_output: JsonOption = False,
) -> None:
    """Withdraw a task that this agent learned, from all agents.

    All versions of the task are withdrawn; an id withdraws one version. Peers delete the skill as
    soon as they hear of it, also if they were off. It never comes back from an agent that still has
    it. The files stay here until `skills prune`. The task can be learned again.
    """
    from teachmesh.agent.bank_view import BankView

    view = BankView(home, reading=True)
    chosen = view.choose_own(task)
    if not yes and not json_output:
        name = plain(chosen[0].task)
        typer.confirm(f"withdraw {name} ({_count(len(chosen))}) everywhere?", abort=True, err=True)
    withdrawn = view.withdraw(task)
    if json_output:
        emit({"schema": "teachmesh.withdrawn/1", **withdrawn.to_json()})
    else:
        _show_withdrawn(withdrawn, running=view.status()["running"] is not None)


def _show_withdrawn(withdrawn: Withdrawal, *, running: bool) -> None:
    say(f"withdrew {plain(withdrawn.task)} ({_count(len(withdrawn.skills))})")
    if not running:
        say("peers hear of it when this agent runs: teachmesh up")


def _count(versions: int) -> str:
    return "1 version" if versions == 1 else f"{versions} versions"


def prune(yes: YesOption = False, home: HomeOption = None, json_output: JsonOption = False) -> None:
    """Delete the files of withdrawn skills and of old versions from this agent.

    No answer needs them, but only the agent that has them can restore them. Old versions of other
    agents are kept until their authors ran `teachmesh up` after replacing them.
    """
    from teachmesh.agent.bank_view import BankView

    view = BankView(home, reading=True)
    if not yes and not json_output:
        typer.confirm("delete old and withdrawn versions for good?", abort=True, err=True)
    pruned = view.prune()
    if json_output:
        emit({"schema": "teachmesh.pruned/1", **pruned.to_json()})
    else:
        _show_pruned(pruned)


def _show_pruned(pruned: Pruned) -> None:
    say(f"deleted {_count(len(pruned.deleted))} ({size(pruned.size_bytes)})")
    if pruned.kept:
        say(f"kept {_count(pruned.kept)} of other agents, whose authors have not confirmed it yet")
