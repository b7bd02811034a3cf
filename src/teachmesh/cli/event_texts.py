"""Texts of the events of a running agent, for `teachmesh up` and `teachmesh events`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from teachmesh.bank.withheld import describe_withheld
from teachmesh.cli.output import plain, size
from teachmesh.errors import TeachmeshError
from teachmesh.trust.policy import known_as

Event = Mapping[str, Any]
PROBLEMS = frozenset({"unreachable", "refused", "error"})
"""Events that are printed also with --quiet."""


def line_of(event: Event) -> str:
    """Return one line with time and text of an event; empty if it is not for people.

    An event of another version, or one with missing items, is shown by its name.

    >>> line_of({"event": "error", "time": "", "message": "the disk is full"})
    'error: the disk is full'
    """
    name = str(event.get("event"))
    try:
        text = _TEXTS[name](event)
    except (KeyError, TypeError, ValueError):
        text = f"event {name}"
    return plain(" ".join([*_clock(event), text])) if text else ""


def short_name(alias: str, agent_id: str) -> str:
    """Return an alias with the first groups of the id; an alias alone if there is no valid id."""
    try:
        return known_as(alias, agent_id)
    except TeachmeshError:
        return alias


def counted(count: int, word: str = "skill") -> str:
    """Return a number with its noun, such as "1 skill".

    >>> counted(1), counted(2, "peer")
    ('1 skill', '2 peers')
    """
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def _clock(event: Event) -> list[str]:
    """Return the local time of an event, to the second; nothing if it has none."""
    try:
        time = datetime.fromisoformat(event["time"].replace("Z", "+00:00"))
        return [time.astimezone().strftime("%H:%M:%S")]
    except (AttributeError, KeyError, TypeError, ValueError):
        return []


def _ready(event: Event) -> str:
    listening = f"agent {short_name(event['alias'], event['id'])} listens on"
    where = ", ".join(event["endpoints"]) or "no endpoint"
    others = event["reachable"]
    if not others:
        return (
            f"{listening} {where}, reachable from this machine only; for others, add "
            "--listen tls/0.0.0.0:7447"
        )
    return f"{listening} {where}, reachable from other machines at {', '.join(others)}"


def _received(event: Event) -> str:
    author = short_name(event["alias"], event["author"])
    text = f"received {event['task']} ({event['skill'][:12]}) from {author}"
    if event["standing"] == "trusted":
        return text
    return f"{text}; use it: teachmesh peers trust {event['author']}"


def _saved(event: Event) -> str:
    text = f"saved {event['task']} ({event['skill'][:12]}, {size(event['size_bytes'])})"
    withheld = event.get("withheld")
    return f"{text}; {describe_withheld(event['task'], withheld)}" if withheld else text


def _peers_changed(event: Event) -> str:
    came, left = counted(event["came"], "peer"), counted(event["left"], "peer")
    return f"{came} came, {left} left, {event['peers']} now"


_TEXTS: Mapping[str, Callable[[Event], str]] = {
    "ready": _ready,
    "joined": lambda e: f"joined {e['endpoint']}",
    "unreachable": lambda e: f"cannot reach {e['endpoint']} ({e['reason']}), retrying",
    "peer_came": lambda e: (
        f"peer {short_name(e['alias'], e['id'])} came with {counted(e['count'])}"
    ),
    "peer_left": lambda e: f"peer {short_name(e['alias'], e['id'])} left",
    "peers_changed": _peers_changed,
    "fetching": lambda e: f"fetching {counted(e['missing'])}",
    "understood": lambda e: f"learning {e['task']}: {e['summary']}",
    "skipped": lambda e: f"skipped {e['task']}: {e['reason']}",
    "saved": _saved,
    "enrolled": lambda e: f"joined the mesh of {short_name(e['alias'], e['id'])} with an invite",
    "invited": lambda e: f"{short_name(e['alias'], e['id'])} joined the mesh with an invite",
    "received": _received,
    "withdrawn": lambda e: (
        f"withdrawn {e['task']} ({e['skill'][:12]}) by {short_name(e['alias'], e['author'])}"
    ),
    "quarantined": lambda e: (
        f"quarantined {e['task']} ({e['skill'][:12]}) from {short_name(e['alias'], e['author'])}: "
        f"{e['message']}; see: teachmesh skills quarantine list"
    ),
    "released": lambda e: (
        f"released {e['task']} ({e['skill'][:12]}) from {short_name(e['alias'], e['author'])}"
    ),
    "contributor": lambda e: (
        f"invited to share sums of images of {e['task']}: teachmesh learn FOLDER --part-of "
        f"{e['task']}"
    ),
    "part": lambda e: (
        f"received part {e['part'][:12]} of {e['task']} ({e['images']} images) by {e['author']}"
    ),
    "refused": lambda e: f"refused {e['skill'][:12]}: {e['message']}",
    "error": lambda e: f"error: {e['message']}",
    "synced": lambda e: (
        f"in sync with {counted(e['peers'], 'peer')}: {counted(e['count'])}, "
        f"digest {e['digest'][:12]}"
    ),
    "stats": lambda _event: "",
    "web": lambda e: e["message"] if "message" in e else f"page: {e['url']}",
    "stopped": lambda _event: "stopped",
}
