"""Exchange of quarantine lists: each agent asks the peers that it trusts for theirs.

A request is the hash of the list that is known already, so an unchanged list is not sent again.
This module treats lists as bytes; the desk makes and reads them.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from teachmesh.errors import StorageError
from teachmesh.sharing.peer_exchange import PeerExchange

_log = logging.getLogger(__name__)
INTERVAL_S = 10.0
"""Pause between two requests to a peer."""
STEP_S = 0.5
TIMEOUT_S = 5.0
MAX_RUNNING = 4
"""Number of requests that run at once."""


class ListDesk(Protocol):
    """Makes requests for quarantine lists, and reads and writes answers.

    Any method may raise StorageError.
    """

    def request_to(self, author: str) -> str | None:
        """Return the request to a peer, 64 hex digits; None to ask it nothing.

        Args:
            author: public key of the peer.
        """

    def take(self, author: str, answer: bytes) -> None:
        """Check and save the list of a peer."""

    def answer(self, request: str) -> bytes | None:
        """Return this agent's list; None if there is none, or the asking agent has it."""


@dataclass(eq=False)
class ListExchange(PeerExchange[ListDesk]):
    """Requests the lists of trusted peers, when they come and then again and again."""

    name = "quarantine lists"
    step_s = STEP_S
    _due_s: dict[str, float] = field(default_factory=dict, init=False)
    _running: set[str] = field(default_factory=set, init=False)

    def ask_peers(self) -> None:
        """Start the requests that are due."""
        now_s, present = self.runtime.now_s(), self.peers.current()
        with self.lock:
            self._due_s = {peer: due for peer, due in self._due_s.items() if peer in present}
        for agent_id, peer in present.items():
            author = peer.announcement.author
            if self._due_s.get(agent_id, now_s) > now_s:
                continue
            if (request := self.desk.request_to(author)) is not None:
                self._ask(agent_id, author, request, now_s)

    def _ask(self, agent_id: str, author: str, request: str, now_s: float) -> None:
        with self.lock:
            if len(self._running) >= MAX_RUNNING or agent_id in self._running:
                return
            self._running.add(agent_id)
            self._due_s[agent_id] = now_s + INTERVAL_S
        try:
            done = partial(self._handle, agent_id, author)
            self.runtime.request(agent_id, "quarantine", request, TIMEOUT_S, done)
        except BaseException:
            self._end(agent_id)
            raise

    def _handle(self, agent_id: str, author: str, data: bytes | None) -> None:
        """Handle the answer to a request; may run in any thread."""
        try:
            if data is not None:
                self.on_received(len(data))
                self.desk.take(author, data)
        except StorageError as error:
            _log.warning("the quarantine list of %s is requested again: %s", agent_id, error)
        except Exception as error:  # noqa: BLE001 - reported; one answer must not end sharing
            self.on_error(error)
        finally:
            self._end(agent_id)

    def _end(self, agent_id: str) -> None:
        with self.lock:
            self._running.discard(agent_id)
