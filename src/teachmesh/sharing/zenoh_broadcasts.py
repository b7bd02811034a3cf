"""Broadcasts that arrive over Zenoh, read so that a flood holds up nothing else.

A slow subscriber holds up everything that a link receives. Broadcasts therefore wait in a ring,
where new ones replace old ones. Preferred peers have subscribers of their own.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import OrderedDict
from typing import Any

import zenoh

from teachmesh.sharing.rate_limit import Rate
from teachmesh.sharing.transport import MAX_ANNOUNCEMENT_BYTES, Handler

WAITING_BROADCASTS = 512
"""Number of unread broadcasts."""
BROADCASTS_PER_S = 512
"""Mean number of broadcasts that are read per second; a flood costs little time beyond it."""
MAX_PREFERRED = 64
"""Number of peers with a subscriber of their own; the oldest loses it first."""


class Broadcasts:
    """Subscribers of a session, until the session is closed.

    Args:
        session: an open session.
        prefix: first part of all keys.
        handler: receives the broadcasts, in several threads.
    """

    def __init__(self, session: zenoh.Session, prefix: str, handler: Handler) -> None:
        self._session = session
        self._prefix = prefix
        self._handler = handler
        self._lock = threading.Lock()
        self._preferred: OrderedDict[str, Any] = OrderedDict()
        ring = zenoh.handlers.RingChannel(WAITING_BROADCASTS)
        self._all: Any = session.declare_subscriber(f"{prefix}/*/announce", ring)
        self._reader = threading.Thread(target=self._read, name="teachmesh-broadcasts", daemon=True)
        self._reader.start()

    def prefer(self, agent_id: str) -> None:
        """Declare a subscriber for one peer, so that its broadcasts do not wait for others."""
        key = f"{self._prefix}/{agent_id}/announce"
        # Its callback runs in the thread of the link, because a handler would need its own thread.
        callback = zenoh.handlers.Callback(self._deliver, indirect=False)
        with self._lock, contextlib.suppress(zenoh.ZError):
            if agent_id in self._preferred:
                return
            self._preferred[agent_id] = self._session.declare_subscriber(key, callback)
            if len(self._preferred) > MAX_PREFERRED:
                self._preferred.popitem(last=False)[1].undeclare()

    def join(self, timeout_s: float) -> None:
        """Wait until the thread has ended, after the session was closed."""
        with self._lock:
            self._preferred.clear()
        self._reader.join(timeout_s)

    def _read(self) -> None:
        rate = Rate(BROADCASTS_PER_S, WAITING_BROADCASTS)
        with contextlib.suppress(zenoh.ZError):
            for sample in self._all:
                self._deliver(sample)
                while not rate.spend(time.monotonic()):
                    time.sleep(1 / BROADCASTS_PER_S)

    def _deliver(self, sample: zenoh.Sample) -> None:
        if len(sample.payload) <= MAX_ANNOUNCEMENT_BYTES:
            self._handler.on_announcement(bytes(sample.payload))
