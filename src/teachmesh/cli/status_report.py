"""The work of `teachmesh status`: print the state of an agent. Nothing here is slow to import."""

from __future__ import annotations

import time
from pathlib import Path

from teachmesh.cli.output import emit, plain, say, size
from teachmesh.cli.running_text import running_lines
from teachmesh.cli.which_agent import view_of


def show_status(home: Path | None, *, local: bool = False, json_output: bool = False) -> None:
    """Print identity, backbone, skills, digest, and the peers of a running agent.

    Args:
        home: value of `--home`.
        local: value of `--local`.
        json_output: value of `--json`.

    Raises:
        TeachmeshError: the state cannot be read.
    """
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
