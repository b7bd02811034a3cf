"""Text about the running agent of a home, for `teachmesh status`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from teachmesh.cli.event_texts import counted, short_name


def running_lines(running: Mapping[str, Any] | None, now_s: float) -> Iterator[str]:
    """Yield lines about the state of a running agent.

    Args:
        running: the state, from `BankView.status`; None if no agent runs.
        now_s: current time, in seconds since the epoch.
    """
    if running is None:
        yield "not running; share with: teachmesh up"
        return
    where = ", ".join(running["endpoints"])
    yield f"running, listening on {where}" if where else "running, but its state cannot be written"
    if "have" in running:
        yield _skills(running)
    yield from _warnings(running)
    age_s = max(0.0, now_s - float(running.get("written_s", now_s)))
    for peer in running["peers"]:
        yield _peer(peer, age_s)
    if where and not running["peers"]:
        yield "no peer; start another agent, and join this one with: teachmesh up --join ENDPOINT"


def _skills(running: Mapping[str, Any]) -> str:
    """Return the sentence about skills.

    >>> _skills({"have": 97, "known": 102, "fetching": 5})
    'have 97 of 102 skills, fetching 5'
    >>> _skills({"have": 1, "known": 1, "fetching": 0})
    'have 1 skill, all that the peers offer'
    """
    have, known, fetching = running["have"], running["known"], running["fetching"]
    if have == known:
        return f"have {counted(have)}, all that the peers offer"
    return f"have {have} of {counted(known)}, fetching {fetching}"


def _warnings(running: Mapping[str, Any]) -> Iterator[str]:
    from teachmesh.sharing.twin_watch import TWIN

    if running.get("twin"):
        yield f"warning: {TWIN}"
    for author in running.get("withheld", ()):
        who = short_name(author["alias"], author["id"])
        yield f"{who} announced {author['announced']} skills, {author['here']} came"
    for fault in running.get("faults", ()):
        yield f"warning: an unexpected error, please report it: {fault}"
    for join in running.get("joins", ()):
        if not join["joined"]:
            yield f"cannot reach {join['endpoint']} ({join['reason']}), retrying"


def _peer(peer: Mapping[str, Any], age_s: float) -> str:
    """Return the sentence about a peer.

    >>> peer = {"alias": "box", "id": "K7QM-2F3D-ABCD-EFGH", "in_sync": True, "last_seen_s": 0.9}
    >>> _peer(peer, 0.3)
    'peer box (K7QM-2F3D) in sync 1.2 s ago'
    """
    name = short_name(peer["alias"], peer.get("id", ""))
    seen = f"{peer['last_seen_s'] + age_s:.1f} s ago"
    if peer["in_sync"]:
        return f"peer {name} in sync {seen}"
    reason = peer.get("reason") or f"has {counted(peer['count'])}"
    return f"peer {name} not in sync, heard {seen}: {reason}"
