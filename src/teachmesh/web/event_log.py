"""The latest events of the agent, for readers of `/v1/events`."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import deque
from collections.abc import AsyncIterator, Mapping
from typing import Any

from teachmesh.packet.card_rules import now

KEPT = 500
"""Number of events that a late reader still gets."""
_PAUSE_S = 0.2
_BEAT_S = 15.0


class EventLog:
    """Events with growing numbers; any thread may add to them.

    Attributes:
        stats: the last event `stats`, which comes every second and is not kept with the others.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._events: deque[tuple[int, dict[str, Any]]] = deque(maxlen=KEPT)
        self._last = 0
        self._closed = False
        self.stats: dict[str, Any] = {}

    def add(self, event: Mapping[str, Any]) -> None:
        """Add an event of the node or of a learning job."""
        if event["event"] == "stats":
            self.stats = dict(event)
            return
        with self._lock:
            self._last += 1
            stamped = {"schema": "teachmesh.event/1", "time": now(), **event}
            self._events.append((self._last, stamped))

    def after(self, number: int) -> list[tuple[int, dict[str, Any]]]:
        """Return the kept events with a higher number, oldest first."""
        with self._lock:
            # A reader may remember numbers of an earlier run, which are all gone.
            start = number if number <= self._last else 0
            return [(n, event) for n, event in self._events if n > start]

    def close(self) -> None:
        """End all streams."""
        self._closed = True

    async def stream(self, number: int = 0) -> AsyncIterator[str]:
        """Yield events as server-sent events, and a comment every 15 s to keep the connection.

        Args:
            number: number of the last event that the reader has.
        """
        yield "retry: 1000\n\n"
        quiet_s = 0.0
        while not self._closed:
            found = self.after(number)
            for number, event in found:
                yield f"id: {number}\ndata: {json.dumps(event)}\n\n"
            quiet_s = 0.0 if found else quiet_s + _PAUSE_S
            if quiet_s >= _BEAT_S:
                quiet_s = 0.0
                yield ": still here\n\n"
            await asyncio.sleep(_PAUSE_S)
