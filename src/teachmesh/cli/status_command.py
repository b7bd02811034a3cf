"""`teachmesh status`: who this agent is and what it holds."""

from __future__ import annotations

import typer

from teachmesh.cli.command import command
from teachmesh.cli.output import emit, plain, say, size
from teachmesh.cli.shared_options import HomeOption, JsonOption


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    command(app, "status", "teachmesh status", "teachmesh status --home ~/agent-b --json")(status)


def status(home: HomeOption = None, json_output: JsonOption = False) -> None:
    """Show identity, backbone, skills, digest, and the peers of a running agent."""
    from teachmesh.agent import Agent

    document = Agent(home).status()
    if json_output:
        emit(document)
        return
    say(f"agent {document['id']} ({plain(document['alias'])}), home {document['home']}")
    say(f"backbone {plain(document['backbone'])}, method {document['method']}")
    say(
        f"{document['skills']} skills ({document['usable']} used), "
        f"{document['classes']} classes, {size(document['size_bytes'])}, "
        f"digest {document['digest'][:12]}"
    )
    running = document["running"]
    if running is None:
        say("not running; share with: teachmesh up")
        return
    say(f"running, listening on {', '.join(running['endpoints'])}")
    for peer in running["peers"]:
        state = "in sync" if peer["in_sync"] else f"{peer['count']} skills"
        say(f"  peer {plain(peer['alias'])}: {state}, seen {peer['last_seen_s']:.0f} s ago")
