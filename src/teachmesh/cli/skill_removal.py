"""Remove a skill after a question; used by `skills remove` and `skills quarantine drop`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from teachmesh.cli.output import emit, plain, say

if TYPE_CHECKING:
    from teachmesh.agent.known_skills.bank_view import BankView
    from teachmesh.agent.known_skills.catalogue import SkillInfo


def remove_skill(view: BankView, info: SkillInfo, *, yes: bool, json_output: bool) -> None:
    """Remove a skill from this agent and print so; it is not fetched again.

    Args:
        view: the agent's bank.
        info: the skill.
        yes: True to ask nothing.
        json_output: True to print a JSON document, and to ask nothing.

    Raises:
        StorageError: the skill cannot be removed.
    """
    name = f"{plain(info.display_name)} ({info.id[:12]})"
    if not yes and not json_output:
        typer.confirm(f"remove {name}?", abort=True, err=True)
    view.remove(info.id)
    if json_output:
        emit({"schema": "teachmesh.removed/1", "id": info.id, "task": info.display_name})
    else:
        say(f"removed {name} from this agent")
