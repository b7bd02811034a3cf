"""`teachmesh skills withdraw`, `prune`, `share` and `unshare`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from teachmesh.cli.command import command
from teachmesh.cli.output import emit, plain, say, size
from teachmesh.cli.shared_options import AllowFewOption, HomeOption, JsonOption

if TYPE_CHECKING:
    from teachmesh.agent.known_skills.withdraw_skills import Pruned, Withdrawal

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
    command(
        group,
        "share",
        "teachmesh skills share screws",
        "teachmesh skills share screws --allow-few --json",
    )(share)
    command(
        group, "unshare", "teachmesh skills unshare screws", "teachmesh skills unshare 3f9a --json"
    )(unshare)
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
    from teachmesh.agent.known_skills.bank_view import BankView

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
    from teachmesh.agent.known_skills.bank_view import BankView

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


def share(
    task: Annotated[str, typer.Argument(help=_TASK_HELP, show_default=False)],
    allow_few: AllowFewOption = False,
    home: HomeOption = None,
    json_output: JsonOption = False,
) -> None:
    """Send a task to peers that this agent kept back, such as a private one.

    Only the active version is sent. Later versions of the task are shared, too.
    """
    from teachmesh.agent.known_skills.bank_view import BankView

    view = BankView(home)
    shared = view.share_task(task, allow_few=allow_few)
    if json_output:
        emit({"schema": "teachmesh.shared/1", **shared.to_json()})
        return
    say(f"shared {plain(shared.task)}" if shared.skills else f"{plain(shared.task)} is shared")
    if view.status()["running"] is None:
        say("peers get it when this agent runs: teachmesh up")


def unshare(
    task: Annotated[str, typer.Argument(help=_TASK_HELP, show_default=False)],
    home: HomeOption = None,
    json_output: JsonOption = False,
) -> None:
    """Send a task of this agent to nobody from now on, nor later versions of it.

    Peers keep the copies that they have, and may pass them on.
    """
    from teachmesh.agent.known_skills.bank_view import BankView

    view = BankView(home)
    unshared = view.unshare_task(task)
    if json_output:
        emit({"schema": "teachmesh.shared/1", **unshared.to_json()})
        return
    name = plain(unshared.task)
    say(f"{name} is not sent to peers from now on")
    if unshared.skills:
        say(f"copies that peers have stay; to delete them, too: teachmesh skills withdraw {name}")
