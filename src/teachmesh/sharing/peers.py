"""Peers heard from recently, with a limited number of places."""

from __future__ import annotations

import random
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace

from teachmesh.sharing.messages import Announcement
from teachmesh.sharing.rate_limit import Rate

PEER_TIMEOUT_S = 10.0
MAX_PEERS = 256
MAX_PROVEN = 1024
ANNOUNCEMENT_S = 0.1
"""Mean time between announcements of one peer; more frequent ones are dropped unread."""
BURST = 4
"""Number of announcements of one peer that may arrive at once."""
NEWCOMERS_PER_S = 64
"""Announcements of unknown peers per second whose signatures are checked, and at once."""
NEWCOMERS = 256
STRANGERS_PER_S = 384
"""Announcements of unproven peers per second that are read at all, and at once."""
STRANGERS = 512
CLAIMS_PER_S = 1024
"""Announcements in the names of proven peers per second that are read at all, and at once."""
CLAIMS = 1024
GREETINGS_PER_S = 2
"""Announcements per second because of new peers, and at once; each one delays the next news."""
GREETINGS = 4


@dataclass(frozen=True)
class Peer:
    """A peer, as its last announcement shows it.

    Attributes:
        announcement: the peer's last announcement.
        seen_s: time at which that announcement arrived, in seconds of the monotonic clock.
        first_s: time at which the peer entered the table.
        paid_s: time up to which its announcements have used up its rate.
        is_proven: whether the peer has delivered a good skill.
    """

    announcement: Announcement
    seen_s: float
    first_s: float
    paid_s: float
    is_proven: bool = False


class PeerTable:
    """Known peers by agent id; every method may be called from any thread.

    Anybody can invent identities. If the table is full, a new peer therefore takes the place of a
    random peer that never delivered a good skill. Proven peers keep their places, and are
    recognised when they come back.

    Args:
        timeout_s: seconds without an announcement after which a peer is forgotten.
        clock: function that returns a time in seconds and never goes back.
        rng: source of random numbers.
    """

    def __init__(
        self,
        timeout_s: float = PEER_TIMEOUT_S,
        clock: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
    ) -> None:
        self._timeout_s = timeout_s
        self._clock = clock
        self._rng = rng or random.Random()
        self._lock = threading.Lock()
        self._peers: dict[str, Peer] = {}
        self._proven: OrderedDict[str, None] = OrderedDict()
        self._newcomers = Rate(NEWCOMERS_PER_S, NEWCOMERS)
        self._strangers = Rate(STRANGERS_PER_S, STRANGERS)
        self._claims = Rate(CLAIMS_PER_S, CLAIMS)
        self._greetings = Rate(GREETINGS_PER_S, GREETINGS)

    def has_time_for(self, agent_id: str) -> bool:
        """Count an announcement in the name of an agent; return whether to read it at all.

        Parsing takes time too, so a flood of strangers must not use up the time for proven peers.
        """
        with self._lock:
            rate = self._claims if agent_id in self._proven else self._strangers
            return rate.spend(self._clock())

    def has_time_to_greet(self) -> bool:
        """Count an announcement because of a new peer; return whether to make it at once."""
        with self._lock:
            return self._greetings.spend(self._clock())

    def is_proven(self, agent_id: str) -> bool:
        """Return whether a peer has delivered a good skill."""
        with self._lock:
            return agent_id in self._proven

    def is_useless(self, announcement: Announcement) -> bool:
        """Return whether an announcement is a replay, or one too many within a short time.

        This is decided before its signature is checked, which takes longer. Only announcements with
        a valid signature are stored, so a forger cannot make those of another agent useless.
        """
        with self._lock:
            known = self._peers.get(announcement.agent_id)
            now_s = self._clock()
            if known is None:
                is_proven = announcement.agent_id in self._proven
                return not is_proven and not self._newcomers.spend(now_s)
            if now_s - known.seen_s > self._timeout_s:
                return False
            is_too_soon = known.paid_s - now_s > (BURST - 1) * ANNOUNCEMENT_S
            return is_too_soon or announcement.sequence <= known.announcement.sequence

    def note(self, announcement: Announcement) -> bool:
        """Store an announcement with a valid signature, and return whether the peer is new.

        An announcement older than the peer's stored announcement is a replay, and is ignored.
        """
        now_s = self._clock()
        agent_id = announcement.agent_id
        with self._lock:
            self._forget_silent(now_s)
            known = self._peers.get(agent_id)
            if known is None:
                is_proven = agent_id in self._proven
                if not self._make_room(is_proven):
                    return False
                paid_s = now_s + ANNOUNCEMENT_S
                self._peers[agent_id] = Peer(announcement, now_s, now_s, paid_s, is_proven)
                return True
            if announcement.sequence > known.announcement.sequence:
                paid_s = max(now_s, known.paid_s) + ANNOUNCEMENT_S
                self._peers[agent_id] = replace(
                    known, announcement=announcement, seen_s=now_s, paid_s=paid_s
                )
            return False

    def prove(self, agent_id: str) -> None:
        """Record that a peer delivered a good skill."""
        with self._lock:
            self._proven[agent_id] = None
            self._proven.move_to_end(agent_id)
            if len(self._proven) > MAX_PROVEN:
                self._proven.popitem(last=False)
            known = self._peers.get(agent_id)
            if known is not None:
                self._peers[agent_id] = replace(known, is_proven=True)

    def current(self) -> dict[str, Peer]:
        """Return the peers heard from recently, sorted by agent id."""
        with self._lock:
            self._forget_silent(self._clock())
            return dict(sorted(self._peers.items()))

    def _make_room(self, is_proven: bool) -> bool:
        if len(self._peers) < MAX_PEERS:
            return True
        others = sorted(a for a, peer in self._peers.items() if not peer.is_proven)
        if not others and is_proven:
            others = sorted(self._peers)
        if not others:
            return False
        del self._peers[self._rng.choice(others)]
        return True

    def _forget_silent(self, now_s: float) -> None:
        # If an agent's numbers start lower again, they look like replays until it is removed.
        silent = [a for a, peer in self._peers.items() if now_s - peer.seen_s > self._timeout_s]
        for agent_id in silent:
            del self._peers[agent_id]
