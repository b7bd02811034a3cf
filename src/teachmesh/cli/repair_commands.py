"""`teachmesh check` and `teachmesh repair`: hash all skills, and repair the bank."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from teachmesh.cli.command import command
from teachmesh.cli.output import emit, plain, say
from teachmesh.cli.shared_options import HomeOption, JsonOption
from teachmesh.errors import StorageError

if TYPE_CHECKING:
    from teachmesh.bank.entry import CheckReport

_TEXTS = {
    "damaged": "damaged: {}",
    "missing": "its file is missing: {}",
    "unlisted": "a file that is no skill of the index: {}",
    "temporary": "left behind by a killed process: {}",
    "removed_present": "removed, but its file is there: {}",
}


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    command(app, "check", "teachmesh check", "teachmesh check --home ~/agent-b --json")(check)
    command(app, "repair", "teachmesh repair", "teachmesh repair --home ~/agent-b --json")(repair)


def check(home: HomeOption = None, json_output: JsonOption = False) -> None:
    """Hash every skill and tombstone of this agent, also those that are never read.

    Nothing is changed. The exit code is 8 if something needs repair.
    """
    from teachmesh.agent.known_skills.bank_view import BankView

    report = BankView(home, reading=True).bank.check()
    _show("check", report, json_output)
    if not report.is_clean:
        if not json_output:
            say("repair with: teachmesh repair")
        raise typer.Exit(StorageError.exit_code)


def repair(home: HomeOption = None, json_output: JsonOption = False) -> None:
    """Set damaged files aside, rebuild the index from the files, and sweep temporary files.

    Peers that have the damaged skills deliver them again during `teachmesh up`. An agent that runs
    in this home may go on.
    """
    from teachmesh.agent.known_skills.bank_view import BankView

    report = BankView(home).bank.repair()
    _show("repair", report, json_output)
    if report.damaged and not json_output:
        say("damaged files are in the folder `bank/damaged`; fetch the skills with: teachmesh up")


def _show(what: str, report: CheckReport, json_output: bool) -> None:
    found = asdict(report)
    if json_output:
        emit({"schema": f"teachmesh.{what}/1", "clean": report.is_clean, **found})
        return
    for kind, text in _TEXTS.items():
        for name in found[kind]:
            say(plain(text.format(name)))
    say(f"intact skills: {report.skills}")
