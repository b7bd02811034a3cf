"""Peers heard from recently: their announcements, skill ids, and waits after failures.

`PeerTable` stores the peers. `BackOff` decides when a peer that failed may be tried again.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from teachmesh.sharing.messages import Announcement
from teachmesh.sharing.transport import ALL_IDS

PEER_TIMEOUT_S = 10.0
MAX_PEERS = 256
FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 60.0
# Even an honest peer fails sometimes, for example if a skill was removed or its disk is busy.
PATIENCE = 3
_ANY_PEER = ""
_ANY_CONTENT = ""


@dataclass(frozen=True)
class Peer:
    """A peer and the ids of its skills.

    Attributes:
        announcement: the peer's last announcement.
        seen_s: time at which that announcement arrived, in seconds of the monotonic clock.
        ids: ids of the peer's skills, from its last list of ids; empty before the first list.
        tombstones: ids of the peer's tombstones, from the same list.
        listed: digests that the peer had announced when the list was requested; None before that.
    """

    announcement: Announcement
    seen_s: float
    ids: frozenset[str] = frozenset()
    tombstones: frozenset[str] = frozenset()
    listed: tuple[str, str] | None = None


class PeerTable:
    """Known peers by agent id; every method may be called from any thread.

    Args:
        timeout_s: seconds without an announcement after which a peer is forgotten.
    """

    def __init__(self, timeout_s: float = PEER_TIMEOUT_S) -> None:
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._peers: dict[str, Peer] = {}

    def note(self, announcement: Announcement) -> bool:
        """Store an announcement, and return whether the peer is new.

        An announcement older than the peer's stored announcement is a replay, and is ignored.
        """
        now_s = time.monotonic()
        with self._lock:
            self._forget_silent(now_s)
            known = self._peers.get(announcement.agent_id)
            if known is None:
                if len(self._peers) >= MAX_PEERS:
                    return False
                self._peers[announcement.agent_id] = Peer(announcement, now_s)
                return True
            if announcement.sequence > known.announcement.sequence:
                self._peers[announcement.agent_id] = replace(
                    known, announcement=announcement, seen_s=now_s
                )
            return False

    def set_ids(
        self,
        agent_id: str,
        ids: frozenset[str],
        tombstones: frozenset[str],
        listed: tuple[str, str],
    ) -> None:
        """Store the list of ids that a peer sent.

        Args:
            agent_id: id of the peer.
            ids: ids of the peer's skills.
            tombstones: ids of the peer's tombstones.
            listed: digests that the peer had announced before the request.
        """
        with self._lock:
            known = self._peers.get(agent_id)
            if known is not None:
                self._peers[agent_id] = replace(
                    known, ids=ids, tombstones=tombstones, listed=listed
                )

    def current(self) -> dict[str, Peer]:
        """Return the peers heard from recently, sorted by agent id."""
        with self._lock:
            self._forget_silent(time.monotonic())
            return dict(sorted(self._peers.items()))

    def _forget_silent(self, now_s: float) -> None:
        # If an agent's clock is set back, its announcements look like replays until it is removed.
        silent = [a for a, peer in self._peers.items() if now_s - peer.seen_s > self._timeout_s]
        for agent_id in silent:
            del self._peers[agent_id]


class BackOff:
    """Waiting times per peer and content; every method may be called from any thread.

    Content is the id of a skill or tombstone, or `ALL_IDS` for the list of ids.

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

    def failures(self, agent_id: str) -> int:
        """Return the number of failures since the peer last delivered a good skill."""
        with self._lock:
            return self._failures[agent_id]

    def succeeded(self, agent_id: str, content: str) -> None:
        """Record a valid answer. A list of ids clears no failures, because anyone can fake it."""
        with self._lock:
            self._waits.pop((agent_id, content), None)
            if content != ALL_IDS:
                self._waits.pop((agent_id, _ANY_CONTENT), None)
                del self._failures[agent_id]

    def failed(self, agent_id: str, content: str) -> None:
        """Record that a peer sent wrong content or did not answer in time."""
        with self._lock:
            self._failures[agent_id] += 1
            self._wait_longer(agent_id, content)
            if self._failures[agent_id] > PATIENCE:
                self._wait_longer(agent_id, _ANY_CONTENT)

    def hold(self, content: str) -> None:
        """Pause requests for this content to all peers."""
        with self._lock:
            self._wait_longer(_ANY_PEER, content)

    def release(self, content: str) -> None:
        """End the pause that `hold` began."""
        with self._lock:
            self._waits.pop((_ANY_PEER, content), None)

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

    def _wait_longer(self, agent_id: str, content: str) -> None:
        _, last_s = self._waits.get((agent_id, content), (0.0, FIRST_WAIT_S / 2))
        wait_s = min(2 * last_s, LONGEST_WAIT_S)
        self._waits[agent_id, content] = (self._clock() + wait_s, wait_s)
