"""Which peers are there, what they said last, and what they were found to hold."""

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
# An honest peer fails now and then: a skill was removed there, or its disk was busy.
PATIENCE = 3
_ANY_PEER = ""
_ANYTHING = ""


@dataclass(frozen=True)
class Peer:
    """What is known of one peer.

    Attributes:
        announcement: the last one.
        seen_s: when it came, on the monotonic clock.
        ids: what it holds, as far as it was asked.
        ids_digest: the announced digest for which `ids` was asked; "" if never.
    """

    announcement: Announcement
    seen_s: float
    ids: frozenset[str] = frozenset()
    ids_digest: str = ""


class PeerTable:
    """Peers by agent id; every method may be called from any thread.

    Args:
        timeout_s: after this long without an announcement a peer counts as gone.
    """

    def __init__(self, timeout_s: float = PEER_TIMEOUT_S) -> None:
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._peers: dict[str, Peer] = {}

    def note(self, announcement: Announcement) -> bool:
        """Remember an announcement; whether it is of a peer that was not known.

        An older announcement of a known peer is ignored: somebody replays it.
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

    def set_ids(self, agent_id: str, ids: frozenset[str], digest: str) -> None:
        """Remember what a peer holds.

        Args:
            agent_id: the peer.
            ids: its answer.
            digest: what it had announced before it was asked.
        """
        with self._lock:
            known = self._peers.get(agent_id)
            if known is not None:
                self._peers[agent_id] = replace(known, ids=ids, ids_digest=digest)

    def current(self) -> dict[str, Peer]:
        """The peers heard of lately, sorted by agent id."""
        with self._lock:
            self._forget_silent(time.monotonic())
            return dict(sorted(self._peers.items()))

    def _forget_silent(self, now_s: float) -> None:
        # An agent whose clock was set back is taken for a replay until it is forgotten here.
        silent = [a for a, peer in self._peers.items() if now_s - peer.seen_s > self._timeout_s]
        for agent_id in silent:
            del self._peers[agent_id]


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
