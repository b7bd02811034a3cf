"""Which peers are there, what they said last, and what they were found to hold."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace

from teachmesh.sharing.messages import Announcement

PEER_TIMEOUT_S = 10.0
MAX_PEERS = 256


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
