"""Exchange of parts among the agents that learn a task together, and nobody else.

An agent asks each peer that may have something for it: first for a list, then for each part that it
lacks. Requests are keys that only these two agents can compute, and answers are sealed for the one
that asked (`packet.sealing`). This module treats both as bytes; the desk makes and reads them.
"""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from teachmesh.sharing.peer_exchange import PeerExchange

_log = logging.getLogger(__name__)
LIST_TIMEOUT_S = 5.0
PART_TIMEOUT_S = 60.0
FIRST_PAUSE_S = 0.5
PLAN_INTERVAL_S = 0.25
MAX_RUNNING = 4
"""Number of requests that run at once."""


class PartDesk(Protocol):
    """Makes requests for parts, and reads and writes answers. Any method may raise StorageError."""

    def interval_s(self, author: str) -> float | None:
        """Return the longest pause between two requests to a peer; None to ask it nothing.

        Args:
            author: public key of the peer.
        """

    def list_request(self, author: str) -> str:
        """Return the request for a peer's list, 64 hex digits."""

    def take_list(self, author: str, answer: bytes) -> list[str]:
        """Read a peer's list, and return the ids of the parts to request from it."""

    def part_request(self, author: str, part: str) -> str:
        """Return the request for a part, 64 hex digits."""

    def take_part(self, author: str, part: str, answer: bytes) -> bool:
        """Check and save a part from a peer; return whether it was saved."""

    def answer(self, request: str) -> bytes | None:
        """Return the answer to a request; None if nobody may ask so."""

    def settle(self) -> None:
        """Bring this agent's own tasks up to date after a change of the bank."""


@dataclass
class _Talk:
    """State of the exchange with one peer.

    Attributes:
        next_s: time of the next request for the list.
        pause_s: pause after a list without news, which doubles.
        wanted: ids of parts to request.
        running: whether a request runs.
    """

    next_s: float
    pause_s: float = FIRST_PAUSE_S
    wanted: deque[str] = field(default_factory=deque)
    running: bool = False


@dataclass(eq=False)
class PartExchange(PeerExchange[PartDesk]):
    """Requests parts from peers, one request per peer at a time."""

    name = "parts"
    step_s = PLAN_INTERVAL_S
    _talks: dict[str, _Talk] = field(default_factory=dict, init=False)
    _fetching: set[str] = field(default_factory=set, init=False)

    def ask_peers(self) -> None:
        """Bring own tasks up to date, and start the requests that are due."""
        self.desk.settle()
        now_s = self.runtime.now_s()
        present = self.peers.current()
        with self.lock:
            for agent_id in self._talks.keys() - present.keys():
                del self._talks[agent_id]
            running = sum(talk.running for talk in self._talks.values())
        for agent_id, peer in present.items():
            author = peer.announcement.author
            if running >= MAX_RUNNING or self.desk.interval_s(author) is None:
                continue
            running += self._ask(agent_id, author, now_s)

    def _ask(self, agent_id: str, author: str, now_s: float) -> bool:
        """Start the next request to a peer, if one is due; return whether one was started."""
        with self.lock:
            talk = self._talks.setdefault(agent_id, _Talk(now_s))
            if talk.running or (not talk.wanted and now_s < talk.next_s):
                return False
            talk.running = True
            part = talk.wanted.popleft() if talk.wanted else ""
            if part in self._fetching:
                part = ""  # another peer is sending it
            self._fetching.add(part)
        try:
            if part:
                key, timeout_s = self.desk.part_request(author, part), PART_TIMEOUT_S
            else:
                key, timeout_s = self.desk.list_request(author), LIST_TIMEOUT_S
            done = partial(self._handle, talk, author, part)
            self.runtime.request(agent_id, "part", key, timeout_s, done)
        except BaseException:
            self._end(talk, part)
            raise
        return True

    def _handle(self, talk: _Talk, author: str, part: str, data: bytes | None) -> None:
        """Handle the answer to a request; may run in any thread."""
        try:
            _log.debug("%s from %s: %d bytes", part[:12] or "list", author[:12], len(data or b""))
            self.on_received(len(data or b""))
            news = False
            if part and data is not None:
                news = self.desk.take_part(author, part, data)
            elif data is not None:
                wanted = self.desk.take_list(author, data)
                news = bool(wanted)
                with self.lock:
                    talk.wanted = deque(wanted)
            self._plan(talk, author, news=news, is_list=not part)
        except Exception as error:  # noqa: BLE001 - reported; one answer must not end sharing
            self._plan(talk, author, news=False, is_list=True)
            self.on_error(error)
        finally:
            self._end(talk, part)

    def _end(self, talk: _Talk, part: str) -> None:
        with self.lock:
            self._fetching.discard(part)
            talk.running = False

    def _plan(self, talk: _Talk, author: str, *, news: bool, is_list: bool) -> None:
        """Set the time of the next request for the list."""
        longest_s = self.desk.interval_s(author) or FIRST_PAUSE_S
        with self.lock:
            if news:
                talk.pause_s = FIRST_PAUSE_S
            elif is_list:
                talk.pause_s = min(2 * talk.pause_s, longest_s)
            talk.next_s = self.runtime.now_s() + min(talk.pause_s, longest_s)
