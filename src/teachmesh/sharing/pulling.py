"""Pull missing skills and tombstones from any peer that has them, and check them by hash.

A peer's tombstones come after its skills: a new version is there before the old one goes.

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
from typing import Literal, Protocol

from teachmesh.errors import SkillRefused, TeachmeshError
from teachmesh.sharing.counters import Counters
from teachmesh.sharing.messages import decode_ids
from teachmesh.sharing.peers import BackOff, Peer, PeerTable
from teachmesh.sharing.transport import ALL_IDS, Transport

IDS_TIMEOUT_S = 5.0
BODY_TIMEOUT_S = 20.0
MAX_PULLS = 4
MAX_PULLS_PER_PEER = 2
MAX_ID_REQUESTS = 4
# Candidates per peer and round, so that a very long list of ids cannot block the planner.
_MAX_CANDIDATES = 64
# Reasons that never apply to an honest peer, whatever its backbones, limits or version.
_NEVER_HONEST = ("FORMAT", "HASH", "NAME", "SIGNATURE", "VALUE")

Kind = Literal["skill", "tombstone"]


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

    def tombstones(self) -> frozenset[str]:
        """Return the ids of all tombstones."""

    def tombstone_digest(self) -> str:
        """Return the hash of the tombstones' sorted ids, 64 hex digits."""

    def read_tombstone(self, tombstone_id: str) -> bytes | None:
        """Return the bytes of a tombstone, or None if the bank does not have it."""

    def admit_tombstone(self, tombstone_id: str, data: bytes) -> None:
        """Check and save a tombstone; raises the same errors as `admit`."""

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
        on_refused: called with (id, reason, message) when a skill or tombstone is refused.
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
        """Start the requests that are due: new lists of ids, then skills, then tombstones.

        Raises:
            StorageError: the inventory cannot be read now.
        """
        digests = self._inventory.digest(), self._inventory.tombstone_digest()
        peers = self._peers.current()
        self._back_off.forget(peers.keys())
        others = {a: p for a, p in peers.items() if p.announcement.digests != digests}
        for agent_id, peer in others.items():
            self._request_ids(agent_id, peer)
        with self._lock:
            due = set(self._pulling)
        skills = self._missing("skill", others)
        due |= skills.keys()
        idle = {a: p for a, p in others.items() if p.ids.isdisjoint(due)}
        self._start_pulls("skill", skills)
        self._start_pulls("tombstone", self._missing("tombstone", idle))

    def refused(self) -> dict[str, str]:
        """Return the reason for each refused id; refused content is not pulled again."""
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

    def _missing(self, kind: Kind, others: dict[str, Peer]) -> dict[str, list[str]]:
        """Return the ids of skills or tombstones to pull now, each with the peers that have it."""
        # This order matters: a pull that ends in between is still in one of the two sets.
        with self._lock:
            skip = self._refused.keys() | self._pulling.keys()
        is_skill = kind == "skill"
        skip |= self._inventory.ids() if is_skill else self._inventory.tombstones()
        offers = {a: peer.ids if is_skill else peer.tombstones for a, peer in others.items()}
        wanted: set[str] = set()
        for agent_id, ids in offers.items():
            due = (i for i in sorted(ids - skip) if self._back_off.may_ask(agent_id, i))
            new = (i for i in due if i in wanted or not is_skill or self._inventory.wants(i))
            wanted.update(itertools.islice(new, _MAX_CANDIDATES))
        return {
            item: [
                a for a, ids in offers.items() if item in ids and self._back_off.may_ask(a, item)
            ]
            for item in wanted
        }

    def _start_pulls(self, kind: Kind, sources: dict[str, list[str]]) -> None:
        """Start pulls; content of reliable peers first, so that invented ids have to wait."""
        agents = {agent_id for found in sources.values() for agent_id in found}
        failures = {agent_id: self._back_off.failures(agent_id) for agent_id in agents}

        def rank(item: str) -> tuple[int, str]:
            # Every source of an item may have failed since the sources were listed.
            return min((failures[a] for a in sources[item]), default=0), item

        for item in sorted(sources, key=rank):
            self._start_pull(kind, item, sources[item], failures)

    def _request_ids(self, agent_id: str, peer: Peer) -> None:
        digests = peer.announcement.digests
        if peer.listed == digests or not self._back_off.may_ask(agent_id, ALL_IDS):
            return
        with self._lock:
            if self._stopped or agent_id in self._listing or len(self._listing) >= MAX_ID_REQUESTS:
                return
            thread = threading.Thread(
                target=self._read_ids,
                args=(agent_id, digests),
                name="teachmesh-ids",
                daemon=True,
            )
            self._listing[agent_id] = thread
            thread.start()

    def _read_ids(self, agent_id: str, digests: tuple[str, str]) -> None:
        """Request the ids of a peer's skills and tombstones; runs in its own thread."""
        try:
            data = self._transport.request(agent_id, "ids", ALL_IDS, IDS_TIMEOUT_S)
            self._counters.count_received(len(data or b""))
            found = None if data is None else decode_ids(data)
            if found is None:
                self._back_off.failed(agent_id, ALL_IDS)
                return
            self._peers.set_ids(agent_id, *found, digests)
            self._back_off.succeeded(agent_id, ALL_IDS)
        finally:
            with self._lock:
                del self._listing[agent_id]
            self._wake()

    def _start_pull(
        self, kind: Kind, item: str, agents: list[str], failures: dict[str, int]
    ) -> None:
        with self._lock:
            busy = Counter(agent_id for agent_id, _ in self._pulling.values())
            # Check again, because earlier pulls of this round may have failed already.
            free = [
                a
                for a in agents
                if busy[a] < MAX_PULLS_PER_PEER and self._back_off.may_ask(a, item)
            ]
            if self._stopped or not free or len(self._pulling) >= MAX_PULLS:
                return
            agent_id = min(free, key=lambda a: (failures[a], busy[a], a))
            thread = threading.Thread(
                target=self._pull, args=(kind, item, agent_id), name="teachmesh-pull", daemon=True
            )
            self._pulling[item] = (agent_id, thread)
            thread.start()

    def _pull(self, kind: Kind, item: str, agent_id: str) -> None:
        """Pull one skill or tombstone from one peer; runs in its own thread."""
        try:
            data = self._transport.request(agent_id, kind, item, BODY_TIMEOUT_S)
            self._counters.count_received(len(data or b""))
            if data is None:
                self._back_off.failed(agent_id, item)
            elif hashlib.sha256(data).hexdigest() != item:
                self._counters.count_refused("HASH")
                self._back_off.failed(agent_id, item)
            elif self._admit(kind, item, data) in _NEVER_HONEST:
                self._back_off.failed(agent_id, item)
            else:
                self._back_off.succeeded(agent_id, item)
        finally:
            with self._lock:
                del self._pulling[item]
            self._wake()

    def _admit(self, kind: Kind, item: str, data: bytes) -> str | None:
        """Pass the bytes to the inventory; if it refuses them, return the reason."""
        # Hold the content first, so that no error can cause an endless loop of pulls.
        self._back_off.hold(item)
        reason: str | None = None
        try:
            self._save(kind, item, data)
        except SkillRefused as refusal:
            # The bytes of an id never change, so it is not tried again before `forget`.
            reason = refusal.reason
            with self._lock:
                self._refused[item] = reason
            self._counters.count_refused(reason)
            if self._on_refused is not None:
                self._on_refused(item, reason, str(refusal))
        except TeachmeshError:
            # This is not the peer's fault: saving failed, so it may be pulled again later.
            return None
        self._back_off.release(item)
        return reason

    def _save(self, kind: Kind, item: str, data: bytes) -> None:
        if kind == "skill":
            self._inventory.admit(item, data)
            self._counters.count_admitted()
        else:
            self._inventory.admit_tombstone(item, data)
            self._counters.count_tombstone()
