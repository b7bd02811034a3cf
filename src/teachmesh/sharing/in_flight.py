"""Requests that run now, with limits per peer and in all."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

MAX_PER_PEER = 2
MAX_PROMPT = {"ids": 8, "skill": 4, "tombstone": 4}
"""Largest number of requests of each kind that are not overdue."""
FOR_PROVEN = {"ids": 2, "skill": 1, "tombstone": 1}
"""Number of these that are kept free for peers that have delivered a good skill before."""
MAX_OVERDUE = 24
"""Largest number of overdue requests; beyond it, only proven peers are asked."""


@dataclass(frozen=True)
class Request:
    """A running request.

    Attributes:
        kind: "ids", "skill" or "tombstone".
        content: hash of the requested content.
        agent_id: peer that was asked.
        started_s: time of the request.
        overdue_s: time from which other peers are asked too.
    """

    kind: str
    content: str
    agent_id: str
    started_s: float
    overdue_s: float


class InFlight:
    """The running requests; the caller holds a lock."""

    def __init__(self) -> None:
        self._requests: dict[tuple[str, str], Request] = {}

    def add(self, request: Request) -> None:
        """Add a request that starts."""
        self._requests[request.content, request.agent_id] = request

    def end(self, content: str, agent_id: str) -> Request:
        """Remove a request that ended, and return it."""
        return self._requests.pop((content, agent_id))

    def of(self, content: str) -> list[Request]:
        """Return the running requests for a content."""
        return [request for request in self._requests.values() if request.content == content]

    def requested(self, kind: str) -> set[str]:
        """Return the contents of one kind that are being requested."""
        return {r.content for r in self._requests.values() if r.kind == kind}

    def per_peer(self) -> Counter[str]:
        """Return the number of running requests of each peer, without those for lists."""
        return Counter(r.agent_id for r in self._requests.values() if r.kind != "ids")

    def overdue_peers(self, now_s: float) -> set[str]:
        """Return the peers with an overdue request."""
        return {r.agent_id for r in self._requests.values() if now_s >= r.overdue_s}

    def has_room(self, kind: str, now_s: float, *, is_proven: bool) -> bool:
        """Return whether one more request may start."""
        overdue = [now_s >= request.overdue_s for request in self._requests.values()]
        prompt = sum(
            request.kind == kind and not late
            for request, late in zip(self._requests.values(), overdue, strict=True)
        )
        if is_proven:
            return prompt < MAX_PROMPT[kind]
        return prompt < MAX_PROMPT[kind] - FOR_PROVEN[kind] and sum(overdue) < MAX_OVERDUE

    def next_overdue_s(self, now_s: float) -> float:
        """Return the time at which the next request becomes overdue; infinite if none does."""
        times = [r.overdue_s for r in self._requests.values() if r.overdue_s > now_s]
        return min(times, default=float("inf"))
