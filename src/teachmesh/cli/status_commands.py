"""`teachmesh status` and `teachmesh doctor`: check the state of an agent and of its machine."""

from __future__ import annotations

import time

import typer

from teachmesh.cli.command import command
from teachmesh.cli.output import emit, plain, say, size
from teachmesh.cli.running_text import running_lines
from teachmesh.cli.shared_options import HomeOption, JsonOption, LocalOption
from teachmesh.cli.which_agent import view_of


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    command(app, "status", "teachmesh status", "teachmesh status --home ~/agent-b --json")(status)
    command(app, "doctor", "teachmesh doctor", "teachmesh doctor --json")(doctor)


def status(
    local: LocalOption = False, home: HomeOption = None, json_output: JsonOption = False
) -> None:
    """Show identity, backbone, skills, digest, and the peers of a running agent."""
    document = view_of(home, local=local).status()
    if json_output:
        emit(document)
        return
    where = plain(document["home"])
    if document["id"] is None:
        say(f"no agent in {where} yet; it is created by: teachmesh learn, import or up")
    else:
        say(f"agent {document['id']} ({plain(document['alias'])}), home {where}")
        say(f"public key {document['public_key']}")
    licence = plain(document["backbone_licence"])
    say(f"backbone {plain(document['backbone'])} (licence: {licence}), method {document['method']}")
    say(
        f"{document['skills']} skills ({document['usable']} used), "
        f"{document['classes']} classes, {size(document['size_bytes'])}, "
        f"digest {document['digest'][:12]}"
        + (f", {document['withdrawn']} withdrawn or replaced" if document["withdrawn"] else "")
    )
    if document["withheld"]:
        say(f"{document['withheld']} of these skills are not shared; see: teachmesh skills list")
    say(
        f"policy for strangers: {document['policy']}, {document['pending']} skills pending, "
        f"{document['blocked']} agents blocked"
        + ("; see: teachmesh peers pending" if document["pending"] else "")
    )
    if document["forks"]:
        say(
            f"warning: {document['forks']} tasks have two versions by one author in the same "
            "place; see: teachmesh skills list --all"
        )
    for line in running_lines(document["running"], time.time()):
        say(plain(line))


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
