"""The desk at which an agent gives its quarantine list, and takes those of trusted agents."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from teachmesh.errors import SkillRefused
from teachmesh.packet.quarantine_list import MAX_LISTED, QuarantineList, read_list, sign_list

if TYPE_CHECKING:
    from teachmesh.agent.known_skills.bank_view import BankView

_log = logging.getLogger(__name__)
NO_LIST = "0" * 64
"""Request of an agent that knows no list."""


class AgentListDesk:
    """The quarantine lists of an agent, for `sharing.list_exchange`.

    Args:
        agent: owner of the bank.
    """

    def __init__(self, agent: BankView) -> None:
        self._agent = agent
        self._lock = threading.Lock()
        self._seen: tuple[object, ...] | None = None
        self._own: QuarantineList | None = None

    def request_to(self, author: str) -> str | None:
        """Return the request to a peer; None if no person trusts it."""
        if not self._agent.trusts(author):
            return None
        known = self._agent.quarantine_lists.read().get(author)
        return NO_LIST if known is None else known.id

    def take(self, author: str, answer: bytes) -> None:
        """Check and save the list of a peer; a wrong or an older one is ignored.

        Raises:
            StorageError: the list cannot be saved.
        """
        try:
            found = read_list(answer)
        except SkillRefused as refused:
            _log.warning("the quarantine list of %s was refused: %s", author[:12], refused)
            return
        if found.author == author and self._agent.trusts(author):
            self._agent.quarantine_lists.put(found, self._keeps)

    def answer(self, request: str) -> bytes | None:
        """Return this agent's list; None if there is none, or the asking agent has it.

        Raises:
            StorageError: the verdicts cannot be read, or the list cannot be saved.
        """
        with self._lock:
            if (state := self._agent.quarantine_state()) != self._seen:
                self._own = self._newest()
                self._seen = state
            own = self._own
        return None if own is None or own.id == request else own.data

    def _newest(self) -> QuarantineList | None:
        """Return the list of the quarantine as it is now; a new one is signed if it has changed."""
        agent = self._agent
        held = sorted(agent.quarantine())[:MAX_LISTED]
        known = agent.quarantine_lists.read().get(agent.key.public_key)
        if known is None and not held:
            return None
        if known is not None and known.skills == frozenset(held):
            return known
        # The number also grows if the clock was set back.
        sequence = max(time.time_ns() // 1_000_000, 1 + (known.sequence if known else 0))
        own = sign_list(held, sequence, agent.key)
        agent.quarantine_lists.put(own, self._keeps)
        return own

    def _keeps(self, author: str) -> bool:
        return author == self._agent.own_author() or self._agent.trusts(author)
