"""The network interface of sharing: small broadcasts, and requests to one peer."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from typing import Protocol

from teachmesh.sharing.join_watch import JoinState, Link

MAX_ANNOUNCEMENT_BYTES = 2048
MAX_BODY_BYTES = 16 << 20
KINDS = ("skill", "tombstone", "ids", "blob", "part", "quarantine")

_AGENT = re.compile(r"[A-Z2-7-]{4,64}")
_HASH = re.compile(r"[0-9a-f]{64}")


class Handler(Protocol):
    """Callbacks of a transport; they run in its threads, so they must return quickly."""

    def on_announcement(self, data: bytes) -> None:
        """Handle a broadcast from a peer; the data is not checked in any way."""

    def on_request(self, kind: str, key: str) -> bytes | None:
        """Return the content that a peer requests, or None if it is missing."""


class Transport(ABC):
    """Connection to peers; the data that it delivers is not trusted."""

    @abstractmethod
    def start(self, handler: Handler) -> None:
        """Start listening, and pass incoming messages to the handler.

        Raises:
            NetworkError: the endpoint cannot be used.
        """

    @abstractmethod
    def announce(self, data: bytes) -> None:
        """Broadcast at most 2 KiB to all peers without waiting; the broadcast may be lost."""

    def prefer(self, agent_id: str) -> None:  # noqa: B027 - optional
        """Deliver the broadcasts of a peer even if many others arrive.

        By default, this does nothing.

        Args:
            agent_id: id of a peer that has delivered good content.
        """

    @abstractmethod
    def request(self, agent_id: str, kind: str, key: str, timeout_s: float) -> bytes | None:
        """Request content from a peer; return None if it lacks the content or answers too late.

        The answer is at most `MAX_BODY_BYTES` long and **not** checked: on some networks anybody
        can answer in the peer's name.
        """

    @abstractmethod
    def endpoints(self) -> tuple[str, ...]:
        """Return the endpoints at which peers can connect to this agent."""

    def joins(self) -> tuple[JoinState, ...]:
        """Return the states of the endpoints that this agent joins; empty if they are unknown."""
        return ()

    def links(self) -> tuple[Link, ...]:
        """Return the connections to other agents; empty if they are unknown."""
        return ()

    @abstractmethod
    def close(self) -> None:
        """Stop within a few seconds, even if peers hang; may be called twice."""


def is_address(agent_id: str, kind: str, key: str) -> bool:
    """Return whether the parts form a valid address, which has none of Zenoh's wildcards."""
    return kind in KINDS and bool(_AGENT.fullmatch(agent_id)) and bool(_HASH.fullmatch(key))
