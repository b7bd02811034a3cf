"""`teachmesh skills history` and `teachmesh skills restore`: versions of a task, and undo."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from teachmesh.cli.command import command
from teachmesh.cli.output import emit, percent, plain, say, table
from teachmesh.cli.shared_options import HomeOption, JsonOption, LocalOption, SkillArgument
from teachmesh.cli.which_agent import view_of
from teachmesh.trust.policy import known_as
from teachmesh.web.running_agent import RunningAgent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from teachmesh.agent.known_skills.bank_view import BankView
    from teachmesh.agent.known_skills.skill_versions import SkillVersion


def register(group: typer.Typer) -> None:
    """Add the commands to the group `skills`."""
    command(
        group,
        "history",
        "teachmesh skills history screws",
        "teachmesh skills history screws@bob --json",
    )(history)
    command(
        group,
        "restore",
        "teachmesh skills restore screws        # the version before the active one",
        "teachmesh skills restore screws 2",
    )(restore)


def history(
    skill: SkillArgument,
    local: LocalOption = False,
    home: HomeOption = None,
    json_output: JsonOption = False,
) -> None:
    """List all versions of a task that this agent holds, newest first.

    Version 1 is the oldest one that this agent holds. A predecessor that it does not hold is shown
    by the start of its id.
    """
    versions = _versions(skill, view_of(home, local=local))
    if json_output:
        documents = [version.to_json() for version in versions]
        emit({"schema": "teachmesh.history/1", "versions": documents})
    else:
        _show(versions)


def _versions(skill: str, view: RunningAgent | BankView) -> list[SkillVersion]:
    if isinstance(view, RunningAgent):
        return view.history(skill)
    from teachmesh.agent.known_skills.skill_versions import skill_history

    return skill_history(view, skill)


def _show(versions: Sequence[SkillVersion]) -> None:
    numbers = {version.id: str(version.version) for version in versions}
    header = ["version", "created", "author", "classes", "right", "id", "active", "replaces"]
    rows = [
        [
            str(version.version),
            version.created,
            known_as(version.alias, version.author),
            str(len(version.classes)),
            percent(version.validation_accuracy),
            version.id[:12],
            "yes" if version.active else "no",
            "-"
            if version.replaces is None
            else numbers.get(version.replaces, version.replaces[:12]),
        ]
        for version in versions
    ]
    say(table(header, rows))


def restore(
    skill: SkillArgument,
    version: Annotated[
        str | None,
        typer.Argument(
            help="Number of the version in `skills history`, or the start of its id. "
            "Default: the version before the active one.",
            show_default=False,
        ),
    ] = None,
    home: HomeOption = None,
    json_output: JsonOption = False,
) -> None:
    """Make an earlier version of your own task active again, on all agents.

    The old content is signed as a new version, which travels like any new version. Restoring twice
    therefore undoes the first time.
    """
    from teachmesh.agent.known_skills.bank_view import BankView
    from teachmesh.agent.known_skills.skill_versions import restore_version

    done = restore_version(BankView(home, reading=True), skill, version)
    if json_output:
        emit(done.to_json())
    elif done.changed:
        say(f"restored version {done.version} of {plain(done.task)} as skill {done.skill_id[:12]}")
    else:
        say(
            f"version {done.version} of {plain(done.task)} is active already "
            f"(skill {done.skill_id[:12]}); nothing was changed"
        )
