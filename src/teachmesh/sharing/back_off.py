"""Waits after failed requests: the more often a peer fails, the less often it is asked."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection

FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 60.0
LONGEST_SILENCE_S = 2.0
"""Longest wait after a missing answer; it is short, because an honest peer may be cut off."""
# Even an honest peer fails sometimes, for example if a skill was removed or its disk is busy.
PATIENCE = 3
_ANY_PEER = ""
_ANY_CONTENT = ""


class BackOff:
    """Waiting times per peer and content; every method may be called from any thread.

    Content is the id of a skill, or the digest of a list of ids.

    Args:
        clock: function that returns a time in seconds and never goes back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failures: Counter[str] = Counter()
        # (agent id, content) -> earliest time of the next request, length of the wait in seconds
        self._waits: dict[tuple[str, str], tuple[float, float]] = {}

    def may_ask(self, agent_id: str, content: str) -> bool:
        """Return whether content may be requested from a peer now."""
        now_s = self._clock()
        concerned = ((agent_id, content), (agent_id, _ANY_CONTENT), (_ANY_PEER, content))
        with self._lock:
            waits = [self._waits.get(key) for key in concerned]
        return all(wait is None or now_s >= wait[0] for wait in waits)

    def failures(self) -> Counter[str]:
        """Return the number of failures of each peer since it last delivered a good skill."""
        with self._lock:
            return self._failures.copy()

    def succeeded(self, agent_id: str, content: str, *, is_skill: bool) -> None:
        """Record a right answer. A list of ids clears no failures, because it is free to make."""
        with self._lock:
            self._waits.pop((agent_id, content), None)
            if is_skill:
                self._waits.pop((agent_id, _ANY_CONTENT), None)
                del self._failures[agent_id]

    def failed(self, agent_id: str, content: str, *, is_lie: bool = True) -> None:
        """Record that a peer sent wrong content, or that no answer came.

        Args:
            agent_id: id of the peer.
            content: the requested content.
            is_lie: whether wrong content came; the wait may then grow to a minute.
        """
        longest_s = LONGEST_WAIT_S if is_lie else LONGEST_SILENCE_S
        with self._lock:
            self._failures[agent_id] += 1
            self._wait_longer(agent_id, content, longest_s)
            if self._failures[agent_id] > PATIENCE:
                self._wait_longer(agent_id, _ANY_CONTENT, longest_s)

    def hold(
        self, content: str, wait_s: float | None = None, longest_s: float = LONGEST_WAIT_S
    ) -> None:
        """Pause requests for this content to all peers.

        Args:
            content: the content.
            wait_s: length of the pause; by default 1 s, and twice as long each further time.
            longest_s: longest pause by default.
        """
        with self._lock:
            if wait_s is None:
                self._wait_longer(_ANY_PEER, content, longest_s)
            else:
                self._waits[_ANY_PEER, content] = (self._clock() + wait_s, FIRST_WAIT_S)

    def release(self, content: str) -> None:
        """End the pause that `hold` began."""
        with self._lock:
            self._waits.pop((_ANY_PEER, content), None)

    def is_held(self, content: str) -> bool:
        """Return whether a pause that `hold` began goes on."""
        return not self.may_ask(_ANY_PEER, content)

    def forget(self, present: Collection[str]) -> None:
        """Drop old waits, and failures of absent peers, because such peers may return repaired."""
        now_s = self._clock()
        with self._lock:
            self._waits = {
                key: wait
                for key, wait in self._waits.items()
                if now_s < wait[0] + LONGEST_WAIT_S and (key[0] in present or key[0] == _ANY_PEER)
            }
            for agent_id in self._failures.keys() - set(present):
                del self._failures[agent_id]

    def _wait_longer(self, agent_id: str, content: str, longest_s: float = LONGEST_WAIT_S) -> None:
        _, last_s = self._waits.get((agent_id, content), (0.0, FIRST_WAIT_S / 2))
        wait_s = min(2 * last_s, longest_s)
        self._waits[agent_id, content] = (self._clock() + wait_s, wait_s)
