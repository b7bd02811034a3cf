"""`teachmesh status` and `teachmesh doctor`: check the state of an agent and of its machine."""

from __future__ import annotations

import typer

from teachmesh.cli.command import command
from teachmesh.cli.output import emit, plain, say
from teachmesh.cli.shared_options import HomeOption, JsonOption, LocalOption
from teachmesh.cli.status_report import show_status


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    command(app, "status", "teachmesh status", "teachmesh status --home ~/agent-b --json")(status)
    command(app, "doctor", "teachmesh doctor", "teachmesh doctor --json")(doctor)


def status(
    local: LocalOption = False, home: HomeOption = None, json_output: JsonOption = False
) -> None:
    """Show identity, backbone, skills, digest, and the peers of a running agent."""
    show_status(home, local=local, json_output=json_output)


def doctor(home: HomeOption = None, json_output: JsonOption = False) -> None:
    """Check Python, packages, devices, number types, home, bank, backbone and network."""
    from teachmesh.agent.checkup import run_checkup

    checks = run_checkup(home)
    ok = all(check.ok for check in checks)
    if json_output:
        emit({"schema": "teachmesh.doctor/1", "ok": ok, "checks": [c.to_json() for c in checks]})
    else:
        for check in checks:
            say(f"{'ok  ' if check.ok else 'FAIL'} {check.name}: {plain(check.found)}")
            if check.remedy:
                say(f"     {check.remedy}")
    if not ok:
        raise typer.Exit(3)
