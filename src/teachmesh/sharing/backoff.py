"""Whom not to ask for a while: waits that double with every failure in a row.

A wait holds for one content at one peer. A peer that fails again and again waits as a whole too:
otherwise a liar that invents new ids all the time would be asked without end.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection

from teachmesh.sharing.transport import ALL_IDS

FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 60.0
# An honest peer fails now and then: a skill was removed there, or its disk was busy.
PATIENCE = 3
_ANY_PEER = ""
_ANYTHING = ""


class BackOff:
    """Waits by peer and content; every method may be called from any thread.

    Args:
        clock: gives seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failures: Counter[str] = Counter()
        # (agent id, content) -> when it may be asked again on the clock, seconds to wait
        self._waits: dict[tuple[str, str], tuple[float, float]] = {}

    def may_ask(self, agent_id: str, what: str) -> bool:
        """Whether a peer may be asked for something now."""
        now_s = self._clock()
        concerned = ((agent_id, what), (agent_id, _ANYTHING), (_ANY_PEER, what))
        with self._lock:
            waits = [self._waits.get(key) for key in concerned]
        return all(wait is None or now_s >= wait[0] for wait in waits)

    def failures(self, agent_id: str) -> int:
        """How often a peer failed since it last gave a good skill."""
        with self._lock:
            return self._failures[agent_id]

    def succeeded(self, agent_id: str, what: str) -> None:
        """A peer gave what it was asked for; a list of ids is no proof, anybody can make one."""
        with self._lock:
            self._waits.pop((agent_id, what), None)
            if what != ALL_IDS:
                self._waits.pop((agent_id, _ANYTHING), None)
                del self._failures[agent_id]

    def failed(self, agent_id: str, what: str) -> None:
        """A peer gave nothing in time, or something else."""
        with self._lock:
            self._failures[agent_id] += 1
            self._wait_longer(agent_id, what)
            if self._failures[agent_id] > PATIENCE:
                self._wait_longer(agent_id, _ANYTHING)

    def hold(self, what: str) -> None:
        """Ask nobody for a content for a while."""
        with self._lock:
            self._wait_longer(_ANY_PEER, what)

    def release(self, what: str) -> None:
        """End `hold`."""
        with self._lock:
            self._waits.pop((_ANY_PEER, what), None)

    def forget(self, present: Collection[str]) -> None:
        """Drop what is long over, and forgive peers that left: they may come back mended."""
        now_s = self._clock()
        with self._lock:
            self._waits = {
                key: wait
                for key, wait in self._waits.items()
                if now_s < wait[0] + LONGEST_WAIT_S and (key[0] in present or key[0] == _ANY_PEER)
            }
            for agent_id in self._failures.keys() - set(present):
                del self._failures[agent_id]

    def _wait_longer(self, agent_id: str, what: str) -> None:
        _, last_s = self._waits.get((agent_id, what), (0.0, FIRST_WAIT_S / 2))
        wait_s = min(2 * last_s, LONGEST_WAIT_S)
        self._waits[agent_id, what] = (self._clock() + wait_s, wait_s)
