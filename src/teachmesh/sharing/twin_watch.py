"""Notice another agent with the same key, such as one that runs in a copied home."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from teachmesh.sharing.peers import PEER_TIMEOUT_S

TWIN = (
    "another agent with the same identity is on the mesh, such as one in a copied home, so these "
    "two exchange no skills; give one of them a new identity: teachmesh identity new"
)
REMEMBERED = 4096
FOREIGN = 2
"""Number of foreign announcements before a twin is reported; one may be an old message."""


class TwinWatch:
    """Compares announcements signed with the agent's own key with those that the agent sent.

    An attacker can cause a false report by replaying announcements of an earlier run. A report
    changes nothing else, because an agent never pulls from its own key.

    Args:
        on_twin: called once, when a twin is noticed.
        clock: function that returns a time in seconds and never goes back.
    """

    def __init__(
        self, on_twin: Callable[[], None] | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._on_twin = on_twin
        self._clock = clock
        self._lock = threading.Lock()
        self._sent: deque[int] = deque(maxlen=REMEMBERED)
        self._first: int | None = None
        self._foreign: set[int] = set()
        self._seen_s = float("-inf")

    def sent(self, sequence: int) -> None:
        """Remember the number of an announcement before it is sent."""
        with self._lock:
            if self._first is None:
                self._first = sequence
            self._sent.append(sequence)

    def note(self, sequence: int) -> None:
        """Handle an announcement with the agent's own key."""
        with self._lock:
            if sequence in self._sent or self._is_forgotten(sequence):
                return
            self._seen_s = self._clock()
            known = len(self._foreign)
            if known < FOREIGN:
                self._foreign.add(sequence)
            found = known < FOREIGN <= len(self._foreign)
        if found and self._on_twin is not None:
            self._on_twin()

    def is_present(self) -> bool:
        """Return whether a twin was heard from recently."""
        with self._lock:
            recent = self._clock() - self._seen_s < PEER_TIMEOUT_S
            return recent and len(self._foreign) >= FOREIGN

    def _is_forgotten(self, sequence: int) -> bool:
        """Return whether an own announcement may have this number, but is too old to be stored."""
        if self._first is None or len(self._sent) < REMEMBERED:
            return False
        return self._first <= sequence < self._sent[0]
