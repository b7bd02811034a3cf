"""Pull missing skills from any peer that has them, and check them by hash.

A slow, hanging or lying peer delays only the requests made to it:

- Every request runs in its own thread with a deadline.
- A single peer gets at most half of all requests.
- Peers that failed come last, and are tried less and less often (`peers.BackOff`).
"""

from __future__ import annotations

import hashlib
import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection
from typing import Protocol

from teachmesh.errors import SkillRefused, TeachmeshError
from teachmesh.sharing.counters import Counters
from teachmesh.sharing.peers import BackOff, Peer, PeerTable
from teachmesh.sharing.transport import ALL_IDS, Transport

IDS_TIMEOUT_S = 5.0
BODY_TIMEOUT_S = 20.0
MAX_PULLS = 4
MAX_PULLS_PER_PEER = 2
MAX_ID_REQUESTS = 4
MAX_IDS = 100_000
# Candidates per peer and round, so that a very long list of ids cannot block the planner.
_MAX_CANDIDATES = 64
_ID_BYTES = 32
# Reasons that never apply to an honest peer, whatever its backbones, limits or version.
_NEVER_HONEST = ("FORMAT", "HASH", "NAME", "SIGNATURE", "VALUE")


class Inventory(Protocol):
    """Interface of a bank for gossip: ids and bytes. Any method may raise StorageError."""

    def ids(self) -> frozenset[str]:
        """Return the ids of all skills that can be served."""

    def digest(self) -> str:
        """Return the hash of the sorted ids, 64 hex digits."""

    def wants(self, skill_id: str) -> bool:
        """Return whether to fetch a skill that the bank does not have."""

    def read(self, skill_id: str) -> bytes | None:
        """Return the bytes of a skill, or None if the bank does not have it."""

    def admit(self, skill_id: str, data: bytes) -> None:
        """Check and save a skill.

        Raises:
            SkillRefused: a check failed; the skill is not pulled again until `Puller.forget`.
            StorageError: the skill cannot be saved now.
        """

    def blob(self, sha256: str) -> bytes | None:
        """Return content that is not a skill, such as a reference, by its hash; None if missing."""


class Puller:
    """Plans requests and runs them in threads; only one thread may call `plan`.

    Args:
        inventory: the bank.
        transport: connection to the peers.
        peers: peers heard from recently.
        counters: counters of traffic and results.
        wake: called after each request, so that the next round is planned soon.
        on_refused: called with (id, reason, message) when a skill is refused.
    """

    def __init__(
        self,
        inventory: Inventory,
        transport: Transport,
        peers: PeerTable,
        counters: Counters,
        *,
        wake: Callable[[], None],
        on_refused: Callable[[str, str, str], None] | None = None,
    ) -> None:
        self._inventory = inventory
        self._transport = transport
        self._peers = peers
        self._counters = counters
        self._wake = wake
        self._on_refused = on_refused
        self._lock = threading.Lock()
        self._listing: dict[str, threading.Thread] = {}
        self._pulling: dict[str, tuple[str, threading.Thread]] = {}
        self._refused: dict[str, str] = {}
        self._back_off = BackOff()
        self._stopped = False

    def plan(self) -> None:
        """Start the requests that are due: first new lists of ids, then missing skills.

        Raises:
            StorageError: the inventory cannot be read now.
        """
        digest = self._inventory.digest()
        peers = self._peers.current()
        self._back_off.forget(peers.keys())
        others = {a: p for a, p in peers.items() if p.announcement.digest != digest}
        for agent_id, peer in others.items():
            self._request_ids(agent_id, peer)
        sources = self._missing(others)
        # Skills of reliable peers come first; ids invented by a lying peer have to wait.
        failures = {agent_id: self._back_off.failures(agent_id) for agent_id in others}
        order = sorted(sources, key=lambda i: (min(failures[a] for a in sources[i]), i))
        for skill_id in order:
            self._start_pull(skill_id, sources[skill_id], failures)

    def refused(self) -> dict[str, str]:
        """Return the reason for each refused skill id; refused skills are not pulled again."""
        with self._lock:
            return dict(self._refused)

    def forget(self, skill_ids: Collection[str] | None = None) -> None:
        """Allow the given refused skills, or all of them, to be pulled again."""
        with self._lock:
            for skill_id in list(self._refused if skill_ids is None else skill_ids):
                self._refused.pop(skill_id, None)
        self._wake()

    def close(self, deadline_s: float) -> None:
        """Start no more requests; wait for running ones until `deadline_s` (monotonic clock)."""
        with self._lock:
            self._stopped = True
            threads = [*self._listing.values(), *(thread for _, thread in self._pulling.values())]
        for thread in threads:
            thread.join(max(0.0, deadline_s - time.monotonic()))

    def _missing(self, others: dict[str, Peer]) -> dict[str, list[str]]:
        """Return the ids of skills to pull now, each with the peers that have the skill."""
        # This order matters: a pull that ends in between is still in one of the two sets.
        with self._lock:
            skip = self._refused.keys() | self._pulling.keys()
        skip |= self._inventory.ids()
        wanted: set[str] = set()
        for agent_id, peer in others.items():
            due = (i for i in sorted(peer.ids - skip) if self._back_off.may_ask(agent_id, i))
            wanted.update(
                itertools.islice(
                    (i for i in due if i in wanted or self._inventory.wants(i)), _MAX_CANDIDATES
                )
            )
        return {
            skill_id: [
                a
                for a, peer in others.items()
                if skill_id in peer.ids and self._back_off.may_ask(a, skill_id)
            ]
            for skill_id in wanted
        }

    def _request_ids(self, agent_id: str, peer: Peer) -> None:
        digest = peer.announcement.digest
        if peer.ids_digest == digest or not self._back_off.may_ask(agent_id, ALL_IDS):
            return
        with self._lock:
            if self._stopped or agent_id in self._listing or len(self._listing) >= MAX_ID_REQUESTS:
                return
            thread = threading.Thread(
                target=self._read_ids,
                args=(agent_id, digest),
                name="teachmesh-ids",
                daemon=True,
            )
            self._listing[agent_id] = thread
            thread.start()

    def _read_ids(self, agent_id: str, digest: str) -> None:
        """Request the ids of a peer's skills; runs in its own thread."""
        try:
            data = self._transport.request(agent_id, "ids", ALL_IDS, IDS_TIMEOUT_S)
            self._counters.count_received(len(data or b""))
            if data is None or len(data) % _ID_BYTES or len(data) > MAX_IDS * _ID_BYTES:
                self._back_off.failed(agent_id, ALL_IDS)
                return
            parts = range(0, len(data), _ID_BYTES)
            ids = frozenset(data[start : start + _ID_BYTES].hex() for start in parts)
            self._peers.set_ids(agent_id, ids, digest)
            self._back_off.succeeded(agent_id, ALL_IDS)
        finally:
            with self._lock:
                del self._listing[agent_id]
            self._wake()

    def _start_pull(self, skill_id: str, agents: list[str], failures: dict[str, int]) -> None:
        with self._lock:
            busy = Counter(agent_id for agent_id, _ in self._pulling.values())
            # Check again, because earlier pulls of this round may have failed already.
            free = [
                a
                for a in agents
                if busy[a] < MAX_PULLS_PER_PEER and self._back_off.may_ask(a, skill_id)
            ]
            if self._stopped or not free or len(self._pulling) >= MAX_PULLS:
                return
            agent_id = min(free, key=lambda a: (failures[a], busy[a], a))
            thread = threading.Thread(
                target=self._pull, args=(skill_id, agent_id), name="teachmesh-pull", daemon=True
            )
            self._pulling[skill_id] = (agent_id, thread)
            thread.start()

    def _pull(self, skill_id: str, agent_id: str) -> None:
        """Pull one skill from one peer; runs in its own thread."""
        try:
            data = self._transport.request(agent_id, "skill", skill_id, BODY_TIMEOUT_S)
            self._counters.count_received(len(data or b""))
            if data is None:
                self._back_off.failed(agent_id, skill_id)
            elif hashlib.sha256(data).hexdigest() != skill_id:
                self._counters.count_refused("HASH")
                self._back_off.failed(agent_id, skill_id)
            elif self._admit(skill_id, data) in _NEVER_HONEST:
                self._back_off.failed(agent_id, skill_id)
            else:
                self._back_off.succeeded(agent_id, skill_id)
        finally:
            with self._lock:
                del self._pulling[skill_id]
            self._wake()

    def _admit(self, skill_id: str, data: bytes) -> str | None:
        """Pass a skill's bytes to the inventory; if the skill is refused, return the reason."""
        # Hold the skill first, so that no error can cause an endless loop of pulls.
        self._back_off.hold(skill_id)
        reason: str | None = None
        try:
            self._inventory.admit(skill_id, data)
        except SkillRefused as refusal:
            # The bytes of an id never change, so the skill is not tried again before `forget`.
            reason = refusal.reason
            with self._lock:
                self._refused[skill_id] = reason
            self._counters.count_refused(reason)
            if self._on_refused is not None:
                self._on_refused(skill_id, reason, str(refusal))
        except TeachmeshError:
            # This is not the peer's fault: saving failed, so the skill may be pulled again later.
            return None
        else:
            self._counters.count_admitted()
        self._back_off.release(skill_id)
        return reason
