"""Policies for skills of strangers, and the agent ids that people write."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from functools import lru_cache
from typing import Literal

from teachmesh.data.names import did_you_mean, shown
from teachmesh.errors import ConfigError, UsageError

Policy = Literal["ask", "invited", "open"]
"""`open` uses the skills of strangers, `ask` lets them wait, `invited` refuses them."""
Standing = Literal["trusted", "pending", "blocked"]
"""Standing of an author: its skills are used, wait for a decision, or are removed."""

POLICIES: tuple[Policy, ...] = ("ask", "invited", "open")
MIN_PREFIX = 4
"""Minimum number of characters by which an agent can be named."""
_ID = re.compile(r"[A-Z2-7]{4}(-[A-Z2-7]{4}){3}")
_KEY = re.compile(r"[0-9a-f]{64}")
_ENDPOINT = re.compile(r"(?:[a-z]+/)?(?P<host>\[[^\]]+\]|[^:/#?]+)(?::\d+)?(?:[#?].*)?")


@lru_cache(maxsize=65_536)
def _short_id(public_key: str) -> str:
    # Imported here because it is slow, and the help needs no keys.
    from teachmesh.packet.signing import agent_id

    return agent_id(public_key)


def check_policy(text: str) -> Policy:
    """Return the policy with this name.

    Raises:
        ConfigError: there is none.
    """
    for policy in POLICIES:
        if policy == text:
            return policy
    hint = did_you_mean(text, POLICIES)
    raise ConfigError(f"expected a policy of {', '.join(POLICIES)}, got '{shown(text)}'{hint}")


def check_agent_id(text: str) -> str:
    """Return a complete agent id in capitals; a public key (64 hex digits) is converted.

    Raises:
        UsageError: the text is neither.

    Examples:
        >>> check_agent_id("k7qm-2f9d-abcd-efgh".replace("9", "3"))
        'K7QM-2F3D-ABCD-EFGH'
    """
    if _KEY.fullmatch(text):
        return _short_id(text)
    found = text.strip().upper()
    if not _ID.fullmatch(found):
        raise UsageError(
            f"expected an agent id such as K7QM-2F3D-ABCD-EFGH, got '{shown(text)}'; see: "
            "teachmesh peers list"
        )
    return found


def find_agent(text: str, known: Collection[str]) -> str:
    """Return the agent id that a text stands for: a complete id, or the start of a known one.

    Args:
        text: the id, or at least its first four characters.
        known: ids of all agents that were heard of.

    Raises:
        UsageError: no known id starts so, or several do.
    """
    start = text.strip().upper()
    if _ID.fullmatch(start) or _KEY.fullmatch(text):
        return check_agent_id(text)
    found = sorted(name for name in known if len(start) >= MIN_PREFIX and name.startswith(start))
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(f"'{shown(text)}' is the start of several ids: {', '.join(found[:8])}")
    raise UsageError(
        f"expected the id of a known agent or its first {MIN_PREFIX} characters, got "
        f"'{shown(text)}'; see: teachmesh peers list"
    )


def known_as(alias: str, agent: str) -> str:
    """Return an alias with the first two groups of the agent's id (agent id or public key).

    Examples:
        >>> known_as("box-1", "K7QM-2F3D-ABCD-EFGH")
        'box-1 (K7QM-2F3D)'
    """
    return f"{shown(alias)} ({check_agent_id(agent)[:9]})"


def is_loopback(endpoints: Iterable[str]) -> bool:
    """Return whether all endpoints stay on this machine; an unreadable one does not.

    Examples:
        >>> is_loopback(["tcp/127.0.0.1:0", "tcp/[::1]:7447"]), is_loopback(["tcp/0.0.0.0:7447"])
        (True, False)
    """
    return all(_is_local(endpoint) for endpoint in endpoints)


def _is_local(endpoint: str) -> bool:
    found = _ENDPOINT.fullmatch(endpoint)
    host = found["host"].strip("[]") if found else ""
    if host == "localhost" or endpoint.startswith("unixsock-stream/"):
        return True
    import ipaddress  # few commands need it

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
