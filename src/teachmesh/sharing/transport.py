"""What sharing needs of a network: small broadcasts, and requests to one peer."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from typing import Protocol

MAX_ANNOUNCEMENT_BYTES = 2048
MAX_BODY_BYTES = 16 << 20
KINDS = ("skill", "ids", "blob")
ALL_IDS = "all"

_AGENT = re.compile(r"[A-Z2-7-]{4,64}")
_HASH = re.compile(r"[0-9a-f]{64}")


class Handler(Protocol):
    """What a transport calls when something arrives; from its own threads, so be quick."""

    def on_announcement(self, data: bytes) -> None:
        """A broadcast of some peer, not checked in any way."""

    def on_request(self, kind: str, key: str) -> bytes | None:
        """A peer asks for something; None if it is not here."""


class Transport(ABC):
    """A way to reach peers. Nothing it delivers is trusted."""

    @abstractmethod
    def start(self, handler: Handler) -> None:
        """Begin to listen and to deliver to the handler.

        Raises:
            NetworkError: the endpoint cannot be used.
        """

    @abstractmethod
    def announce(self, data: bytes) -> None:
        """Broadcast at most 2 KiB to all peers; it may be lost, and never waits for anybody."""

    @abstractmethod
    def request(self, agent_id: str, kind: str, key: str, timeout_s: float) -> bytes | None:
        """Ask one peer for something; None if it has not or does not answer in time.

        The answer is at most `MAX_BODY_BYTES` long and **not** checked: on some networks anybody
        can answer in the peer's name.
        """

    @abstractmethod
    def endpoints(self) -> tuple[str, ...]:
        """Where peers can join this agent."""

    @abstractmethod
    def close(self) -> None:
        """Stop within seconds, whatever the peers do; may be called twice."""


def is_address(agent_id: str, kind: str, key: str) -> bool:
    """Whether the parts of an address hold nothing that a key expression would interpret."""
    if kind not in KINDS or not _AGENT.fullmatch(agent_id):
        return False
    return key == ALL_IDS if kind == "ids" else bool(_HASH.fullmatch(key))
