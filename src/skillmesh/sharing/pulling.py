"""Get what is missing here from whoever has it, checked by hash.

A frozen, slow or lying peer costs its own requests only: every request runs in a thread of its own
with a deadline, one peer gets at most half of them, and holders that failed are asked last.
"""

from __future__ import annotations

import hashlib
import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Protocol

from skillmesh.errors import SkillmeshError, SkillRefused
from skillmesh.sharing.counters import Counters
from skillmesh.sharing.peers import Peer, PeerTable
from skillmesh.sharing.transport import ALL_IDS, Transport

IDS_TIMEOUT_S = 5.0
BODY_TIMEOUT_S = 20.0
MAX_PULLS = 4
MAX_PULLS_PER_PEER = 2
MAX_QUESTIONS = 4
MAX_IDS = 100_000
# Candidates per peer and round: a peer that lists endless ids cannot keep the planner busy.
_MAX_CANDIDATES = 64
_ID_BYTES = 32
_FIRST_BACK_OFF_S = 1.0
_LONGEST_BACK_OFF_S = 60.0
_ANY_PEER = ""


class Inventory(Protocol):
    """What gossip knows of a bank: ids and bytes. Any method may raise StorageError."""

    def ids(self) -> frozenset[str]:
        """Ids of every skill that can be served."""

    def digest(self) -> str:
        """Hash of the sorted ids, 64 hex digits."""

    def wants(self, skill_id: str) -> bool:
        """Whether a skill that is not here should be fetched."""

    def read(self, skill_id: str) -> bytes | None:
        """The bytes of a skill; None if it is not here."""

    def admit(self, skill_id: str, data: bytes) -> None:
        """Check and save.

        Raises:
            SkillRefused: it will never be pulled again in this run.
            StorageError: it cannot be saved now.
        """

    def blob(self, sha256: str) -> bytes | None:
        """Other content by its hash: references of backbones."""


class Puller:
    """Plans and runs requests; `plan` is called from one thread, the rest is inside.

    Args:
        inventory: what is here.
        transport: how peers are asked.
        peers: who is there.
        counters: what is counted.
        wake: called when something ended, so that the next plan is made soon.
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
        self._asking: dict[str, threading.Thread] = {}
        self._pulling: dict[str, tuple[str, threading.Thread]] = {}
        self._refused: set[str] = set()
        self._failures: Counter[str] = Counter()
        self._waits: dict[tuple[str, str], tuple[float, float]] = {}
        self._stopped = False

    def plan(self) -> None:
        """Start the requests that are due: ids of peers with another set, then missing skills.

        Raises:
            StorageError: the inventory cannot be read now.
        """
        digest = self._inventory.digest()
        peers = self._peers.current()
        self._forget_waits(peers)
        others = {a: p for a, p in peers.items() if p.announcement.digest != digest}
        for agent_id, peer in others.items():
            self._ask_ids(agent_id, peer)
        holders = self._missing(others)
        # Skills that a reliable peer has go first, so that a liar's inventions wait.
        order = sorted(holders, key=lambda i: (min(self._failures[a] for a in holders[i]), i))
        for skill_id in order:
            self._start_pull(skill_id, holders[skill_id])

    def close(self, deadline_s: float) -> None:
        """Start nothing more, and wait for what runs until a moment on the monotonic clock."""
        with self._lock:
            self._stopped = True
            threads = [*self._asking.values(), *(thread for _, thread in self._pulling.values())]
        for thread in threads:
            thread.join(max(0.0, deadline_s - time.monotonic()))

    def _missing(self, others: dict[str, Peer]) -> dict[str, list[str]]:
        """The ids that should be pulled now, and who has them."""
        # In this order: a pull that ends in between is in the first set, and then in the second.
        with self._lock:
            skip = self._refused | self._pulling.keys()
        skip |= self._inventory.ids()
        wanted: set[str] = set()
        for agent_id, peer in others.items():
            due = (i for i in sorted(peer.ids - skip) if self._may_ask(agent_id, i))
            wanted.update(
                itertools.islice(
                    (i for i in due if i in wanted or self._inventory.wants(i)), _MAX_CANDIDATES
                )
            )
        return {
            skill_id: [
                a
                for a, peer in others.items()
                if skill_id in peer.ids and self._may_ask(a, skill_id)
            ]
            for skill_id in wanted
        }

    def _ask_ids(self, agent_id: str, peer: Peer) -> None:
        digest = peer.announcement.digest
        if peer.ids_digest == digest or not self._may_ask(agent_id, ALL_IDS):
            return
        with self._lock:
            if self._stopped or agent_id in self._asking or len(self._asking) >= MAX_QUESTIONS:
                return
            thread = threading.Thread(
                target=self._learn_ids,
                args=(agent_id, digest),
                name="skillmesh-ids",
                daemon=True,
            )
            self._asking[agent_id] = thread
            thread.start()

    def _learn_ids(self, agent_id: str, digest: str) -> None:
        """Ask a peer what it holds; runs in a thread of its own."""
        try:
            data = self._transport.request(agent_id, "ids", ALL_IDS, IDS_TIMEOUT_S)
            self._counters.count_received(len(data or b""))
            if data is None or len(data) % _ID_BYTES or len(data) > MAX_IDS * _ID_BYTES:
                self._note_failure(agent_id, ALL_IDS)
                return
            parts = range(0, len(data), _ID_BYTES)
            ids = frozenset(data[start : start + _ID_BYTES].hex() for start in parts)
            self._peers.set_ids(agent_id, ids, digest)
            self._note_success(agent_id, ALL_IDS)
        finally:
            with self._lock:
                del self._asking[agent_id]
            self._wake()

    def _start_pull(self, skill_id: str, agents: list[str]) -> None:
        with self._lock:
            busy = Counter(agent_id for agent_id, _ in self._pulling.values())
            free = [a for a in agents if busy[a] < MAX_PULLS_PER_PEER]
            if self._stopped or not free or len(self._pulling) >= MAX_PULLS:
                return
            agent_id = min(free, key=lambda a: (self._failures[a], busy[a], a))
            thread = threading.Thread(
                target=self._pull, args=(skill_id, agent_id), name="skillmesh-pull", daemon=True
            )
            self._pulling[skill_id] = (agent_id, thread)
            thread.start()

    def _pull(self, skill_id: str, agent_id: str) -> None:
        """Get one skill from one holder; runs in a thread of its own."""
        try:
            data = self._transport.request(agent_id, "skill", skill_id, BODY_TIMEOUT_S)
            self._counters.count_received(len(data or b""))
            if data is None:
                self._note_failure(agent_id, skill_id)
            elif hashlib.sha256(data).hexdigest() != skill_id:
                self._counters.count_refused("HASH")
                self._note_failure(agent_id, skill_id)
            else:
                self._note_success(agent_id, skill_id)
                self._admit(skill_id, data)
        finally:
            with self._lock:
                del self._pulling[skill_id]
            self._wake()

    def _admit(self, skill_id: str, data: bytes) -> None:
        # First of all, so that no error, whatever it is, makes an endless loop of pulls.
        with self._lock:
            self._wait_longer(_ANY_PEER, skill_id)
        try:
            self._inventory.admit(skill_id, data)
        except SkillRefused as refusal:
            # The bytes of an id never change: what was refused once stays refused in this run.
            with self._lock:
                self._refused.add(skill_id)
            self._counters.count_refused(refusal.reason)
            if self._on_refused is not None:
                self._on_refused(skill_id, refusal.reason, str(refusal))
        except SkillmeshError:
            # The holder did its part, but it cannot be saved just now: later, from anybody.
            return
        else:
            self._counters.count_admitted()
        with self._lock:
            self._waits.pop((_ANY_PEER, skill_id), None)

    def _may_ask(self, agent_id: str, what: str) -> bool:
        now_s = time.monotonic()
        with self._lock:
            waits = (self._waits.get((agent_id, what)), self._waits.get((_ANY_PEER, what)))
        return all(wait is None or now_s >= wait[0] for wait in waits)

    def _note_success(self, agent_id: str, what: str) -> None:
        with self._lock:
            self._waits.pop((agent_id, what), None)
            if what != ALL_IDS:
                del self._failures[agent_id]

    def _note_failure(self, agent_id: str, what: str) -> None:
        with self._lock:
            self._failures[agent_id] += 1
            self._wait_longer(agent_id, what)

    def _wait_longer(self, agent_id: str, what: str) -> None:
        """Back off, twice as long each time; the lock is held."""
        _, last_s = self._waits.get((agent_id, what), (0.0, _FIRST_BACK_OFF_S / 2))
        wait_s = min(2 * last_s, _LONGEST_BACK_OFF_S)
        self._waits[agent_id, what] = (time.monotonic() + wait_s, wait_s)

    def _forget_waits(self, peers: dict[str, Peer]) -> None:
        """Forgive peers that left: a peer that comes back may have been mended."""
        with self._lock:
            gone = [w for w in self._waits if w[0] != _ANY_PEER and w[0] not in peers]
            for wait in gone:
                del self._waits[wait]
            for agent_id in self._failures.keys() - peers.keys():
                del self._failures[agent_id]
