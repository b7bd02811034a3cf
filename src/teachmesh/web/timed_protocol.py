"""Connections of the server: their number is limited, and the head of a request must come in time.

uvicorn limits neither, so a caller that sends half a line would hold a connection for ever.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from teachmesh.web.web_limits import WebLimits


class TimedProtocol(H11Protocol):
    """One connection.

    Args:
        limits: limits of the server.
        options: arguments of `H11Protocol`.
    """

    def __init__(self, *, limits: WebLimits, **options: Any) -> None:
        super().__init__(**options)
        self._limits = limits
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first head, or end the connection if there are too many."""
        super().connection_made(transport)
        if len(self.connections) > self._limits.connections:
            transport.abort()
        else:
            self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        """Stop the time if a head is complete; start it with the first byte of the next one."""
        answered = self.cycle
        super().data_received(data)
        if self.cycle is not answered:
            self._stop_waiting()
        elif self.cycle is None or self.cycle.response_complete:
            self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the time."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait_for_head(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(self._limits.head_s, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
