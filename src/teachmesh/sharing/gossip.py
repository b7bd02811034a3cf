"""Anti-entropy: peers compare digests of their banks and pull by hash what is missing.

An agent broadcasts small signed digests of its skills and tombstones every second, and at once
after a change. A peer whose digests differ requests the ids, then pulls missing skills and
tombstones from any peer that has them (`pulling`). This is enough to recover from any lost message.
All work runs in its own threads, so neither learning nor the transport waits for a peer.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from teachmesh.errors import StorageError
from teachmesh.packet.signing import AgentKey
from teachmesh.sharing.counters import Counters
from teachmesh.sharing.messages import (
    Announcement,
    decode_announcement,
    encode_announcement,
    encode_ids,
)
from teachmesh.sharing.peers import PeerTable
from teachmesh.sharing.pulling import BODY_TIMEOUT_S, Inventory, Puller
from teachmesh.sharing.transport import MAX_BODY_BYTES, Transport
from teachmesh.sharing.twin_watch import TwinWatch

ANNOUNCE_INTERVAL_S = 1.0
ANNOUNCE_PAUSE_S = 0.1
CLOSE_TIMEOUT_S = 2.5


@dataclass(frozen=True)
class PeerState:
    """State of a peer, from its last announcement.

    Attributes:
        agent_id: short id of the peer.
        alias: display name of the peer.
        count: number of skills in the peer's bank.
        digest: hash of the sorted ids of these skills.
        in_sync: whether the peer's bank has the skills and tombstones of this agent's bank.
        last_seen_s: seconds since its last announcement.
    """

    agent_id: str
    alias: str
    count: int
    digest: str
    in_sync: bool
    last_seen_s: float


@dataclass(frozen=True)
class GossipStats:
    """Counters of one run.

    Attributes:
        bytes_sent: payload bytes sent: announcements (each counted once), id lists, skills, blobs.
        bytes_received: payload bytes received in the same kinds of messages.
        received: number of received skills that were admitted.
        refused: number of refused skills for each reason.
        dropped: number of ignored broadcasts: garbage, forgeries, messages of another version.
        peers: peers heard from recently.
        twin: whether another agent with the key of this agent was heard from recently.
        tombstones: number of received tombstones that were saved.
    """

    bytes_sent: int
    bytes_received: int
    received: int
    refused: dict[str, int]
    dropped: int
    peers: tuple[PeerState, ...]
    twin: bool = False
    tombstones: int = 0


class Gossip:
    """Keeps a bank in sync with the banks of all peers.

    Args:
        inventory: the bank.
        transport: connection to the peers; started and closed by this object.
        key: key that signs announcements; the transport must use the agent id of this key.
        alias: display name of this agent.
        on_refused: called, from any thread, with (id, reason, message) when a skill is refused.
        on_twin: called once, from any thread, when another agent with the same key appears.
        interval_s: seconds between announcements.
    """

    def __init__(
        self,
        inventory: Inventory,
        transport: Transport,
        key: AgentKey,
        *,
        alias: str,
        on_refused: Callable[[str, str, str], None] | None = None,
        on_twin: Callable[[], None] | None = None,
        interval_s: float = ANNOUNCE_INTERVAL_S,
    ) -> None:
        self._inventory = inventory
        self._transport = transport
        self._key = key
        self._author = key.public_key
        self._alias = alias
        self._interval_s = interval_s
        self._sequence = 0
        self._twin = TwinWatch(on_twin)
        self._peers = PeerTable()
        self._counters = Counters()
        self._stopping = threading.Event()
        self._announce_now = threading.Event()
        self._plan_now = threading.Event()
        self._puller = Puller(
            inventory,
            transport,
            self._peers,
            self._counters,
            wake=self._plan_now.set,
            on_refused=on_refused,
        )
        self._threads = (
            threading.Thread(target=self._announce_loop, name="teachmesh-announce", daemon=True),
            threading.Thread(target=self._plan_loop, name="teachmesh-plan", daemon=True),
        )

    def start(self) -> None:
        """Open the transport and start the threads.

        Raises:
            NetworkError: the endpoint cannot be used.
        """
        self._transport.start(self)
        for thread in self._threads:
            thread.start()

    def notify(self) -> None:
        """Trigger an announcement after a change of the bank; returns at once."""
        self._announce_now.set()

    def refused(self) -> dict[str, str]:
        """Return the reason for each refused skill id; refused skills are not pulled again."""
        return self._puller.refused()

    def forget(self, skill_ids: Collection[str] | None = None) -> None:
        """Pull refused skills again, for example after adding a backbone. This does not wait.

        Args:
            skill_ids: ids of the skills to pull again; None for all refused skills.
        """
        self._puller.forget(skill_ids)

    def close(self) -> None:
        """Stop within three seconds, even if peers hang; may be called twice."""
        if self._stopping.is_set():
            return
        deadline_s = time.monotonic() + CLOSE_TIMEOUT_S
        self._stopping.set()
        self._announce_now.set()
        self._plan_now.set()
        self._transport.close()
        self._puller.close(deadline_s)
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(0.0, deadline_s - time.monotonic()))

    def stats(self) -> GossipStats:
        """Return the current counters and peers.

        Raises:
            StorageError: the inventory cannot be read.
        """
        digests = self._inventory.digest(), self._inventory.tombstone_digest()
        now_s = time.monotonic()
        peers = tuple(
            PeerState(
                agent_id,
                peer.announcement.alias,
                peer.announcement.count,
                peer.announcement.digest,
                peer.announcement.digests == digests,
                round(now_s - peer.seen_s, 3),
            )
            for agent_id, peer in self._peers.current().items()
        )
        totals = self._counters.totals()
        return GossipStats(
            totals.sent,
            totals.received,
            totals.admitted,
            totals.refused,
            totals.dropped,
            peers,
            twin=self._twin.is_present(),
            tombstones=totals.tombstones,
        )

    def fetch_blob(self, sha256: str, timeout_s: float = BODY_TIMEOUT_S) -> bytes | None:
        """Request content by its hash from one peer after another.

        Args:
            sha256: hash of the content, 64 hex digits.
            timeout_s: time limit in seconds, for all peers together.

        Returns:
            The content, or None if no peer sent it in time.
        """
        deadline_s = time.monotonic() + timeout_s
        agents = list(self._peers.current())
        for index, agent_id in enumerate(agents):
            # Divide the time equally, so that a frozen peer uses up only its own part.
            share_s = (deadline_s - time.monotonic()) / (len(agents) - index)
            data = self._transport.request(agent_id, "blob", sha256, max(0.0, share_s))
            if data is None:
                continue
            self._counters.count_received(len(data))
            if hashlib.sha256(data).hexdigest() == sha256:
                return data
        return None

    def on_announcement(self, data: bytes) -> None:
        """Record an announcement. The transport calls this; another thread does the pulling."""
        announcement = decode_announcement(data)
        if announcement is not None and announcement.author == self._author:
            # Some transports deliver an agent's own broadcasts; they do not count as traffic.
            self._twin.note(announcement.sequence)
            return
        self._counters.count_received(len(data))
        if announcement is None:
            self._counters.count_dropped()
            return
        if self._peers.note(announcement):
            # Announce this agent to the new peer at once, without waiting for the next interval.
            self._announce_now.set()
        self._plan_now.set()

    def on_request(self, kind: str, key: str) -> bytes | None:
        """Serve a skill, a tombstone, the list of ids, or a blob; called by the transport."""
        try:
            body = self._body(kind, key)
        except StorageError:
            # The peer will try another source, or ask this agent again later.
            return None
        if body is None or len(body) > MAX_BODY_BYTES:
            return None
        self._counters.count_sent(len(body))
        return body

    def _body(self, kind: str, key: str) -> bytes | None:
        if kind == "ids":
            return encode_ids(self._inventory.ids(), self._inventory.tombstones())
        if kind == "skill":
            return self._inventory.read(key) if key in self._inventory.ids() else None
        if kind == "tombstone":
            return self._inventory.read_tombstone(key)
        return self._inventory.blob(key)

    def _announce_loop(self) -> None:
        while not self._stopping.is_set():
            self._announce_now.clear()
            # If the bank cannot be read now, it is announced later.
            with contextlib.suppress(StorageError):
                self._announce()
            # Announce many changes together: each announcement makes every peer request the ids.
            self._stopping.wait(min(ANNOUNCE_PAUSE_S, self._interval_s))
            self._announce_now.wait(self._interval_s)

    def _announce(self) -> None:
        # Use the clock, so that the number grows across restarts and replays can be detected.
        self._sequence = max(self._sequence + 1, time.time_ns() // 1_000_000)
        announcement = Announcement(
            self._author,
            self._alias,
            self._inventory.digest(),
            self._inventory.tombstone_digest(),
            len(self._inventory.ids()),
            self._sequence,
        )
        data = encode_announcement(announcement, self._key)
        self._twin.sent(self._sequence)
        self._transport.announce(data)
        self._counters.count_sent(len(data))
        self._plan_now.set()

    def _plan_loop(self) -> None:
        admitted = (0, 0)
        while not self._stopping.is_set():
            self._plan_now.wait(self._interval_s)
            self._plan_now.clear()
            if self._stopping.is_set():
                return
            try:
                self._puller.plan()
            except StorageError:
                # Try again in the next round.
                continue
            totals = self._counters.totals()
            now_admitted = (totals.admitted, totals.tombstones)
            if now_admitted != admitted:
                # Peers that cannot reach the author may reach us, so announce news at once.
                admitted = now_admitted
                self._announce_now.set()
