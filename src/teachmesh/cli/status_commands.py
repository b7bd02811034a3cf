"""`teachmesh status` and `teachmesh doctor`: check the state of an agent and of its machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import typer

from teachmesh.cli.command import command
from teachmesh.cli.output import emit, plain, say, size
from teachmesh.cli.shared_options import HomeOption, JsonOption
from teachmesh.trust.policy import known_as


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    command(app, "status", "teachmesh status", "teachmesh status --home ~/agent-b --json")(status)
    command(app, "doctor", "teachmesh doctor", "teachmesh doctor --json")(doctor)


def status(home: HomeOption = None, json_output: JsonOption = False) -> None:
    """Show identity, backbone, skills, digest, and the peers of a running agent."""
    from teachmesh.agent.bank_view import BankView
    from teachmesh.sharing.twin_watch import TWIN

    document = BankView(home, reading=True).status()
    if json_output:
        emit(document)
        return
    where = plain(document["home"])
    if document["id"] is None:
        say(f"no agent in {where} yet; it is created by: teachmesh learn, import or up")
    else:
        say(f"agent {document['id']} ({plain(document['alias'])}), home {where}")
    licence = plain(document["backbone_licence"])
    say(f"backbone {plain(document['backbone'])} (licence: {licence}), method {document['method']}")
    say(
        f"{document['skills']} skills ({document['usable']} used), "
        f"{document['classes']} classes, {size(document['size_bytes'])}, "
        f"digest {document['digest'][:12]}"
        + (f", {document['withdrawn']} withdrawn or replaced" if document["withdrawn"] else "")
    )
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
    running = document["running"]
    if running is None:
        say("not running; share with: teachmesh up")
        return
    where = ", ".join(running["endpoints"])
    say(f"running, listening on {where}" if where else "running, but its state cannot be written")
    if running.get("twin"):
        say(f"warning: {TWIN}")
    for author in running.get("withheld", ()):
        who = known_as(author["alias"], author["id"])
        say(f"  {who} announced {author['announced']} skills, {author['here']} came")
    for fault in running.get("faults", ()):
        say(f"warning: an unexpected error, please report it: {plain(fault)}")
    for peer in running["peers"]:
        state = "in sync" if peer["in_sync"] else f"{peer['count']} skills"
        say(f"  peer {_peer(peer)}: {state}, seen {peer['last_seen_s']:.0f} s ago")


def _peer(peer: Mapping[str, Any]) -> str:
    return known_as(peer["alias"], peer["id"]) if "id" in peer else plain(peer["alias"])


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
