"""Anti-entropy: peers compare digests of their banks and pull by hash what is missing.

An agent broadcasts small signed digests of its skills and tombstones every second, and at once
after a change. A peer whose digests differ requests the lists of ids, then pulls missing skills and
tombstones from any peer that has them (`pulling`). This is enough to recover from any lost message.
All work runs in its own threads, so neither learning nor the transport waits for a peer.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Collection

from teachmesh.errors import StorageError
from teachmesh.packet.signing import AgentKey
from teachmesh.sharing.counters import Counters
from teachmesh.sharing.gossip_stats import GossipStats, PeerState
from teachmesh.sharing.id_list import digest_of, encode_ids
from teachmesh.sharing.inventory import Inventory
from teachmesh.sharing.list_exchange import ListDesk, ListExchange
from teachmesh.sharing.messages import (
    Announcement,
    claimed_agent,
    decode_announcement,
    encode_announcement,
)
from teachmesh.sharing.part_exchange import PartDesk, PartExchange
from teachmesh.sharing.peer_exchange import Desk, PeerExchange
from teachmesh.sharing.peers import Peer, PeerTable
from teachmesh.sharing.publications import Publications
from teachmesh.sharing.pulling import Puller
from teachmesh.sharing.runtime import Runtime, ThreadRuntime
from teachmesh.sharing.serving import Server
from teachmesh.sharing.supervisor import Supervisor
from teachmesh.sharing.sync_progress import Gap, explain
from teachmesh.sharing.transport import Transport
from teachmesh.sharing.twin_watch import TwinWatch

_log = logging.getLogger(__name__)
ANNOUNCE_INTERVAL_S = 1.0
ANNOUNCE_PAUSE_S = 0.1
PLAN_PAUSE_S = 0.02
PLAN_REST = 10
"""Pause after planning, as a multiple of its time: a flood uses a tenth of a core at most."""
BLOB_TIMEOUT_S = 20.0
CLOSE_TIMEOUT_S = 2.0


class Gossip:
    """Keeps a bank in sync with the banks of all peers.

    Args:
        inventory: the bank.
        transport: connection to the peers; started and closed by this object.
        key: key that signs announcements; the transport must use the agent id of this key.
        alias: display name of this agent.
        on_refused: called, from any thread, with (id, reason, message) when a skill is refused.
        on_unsaved: called, from any thread, with the reason when no skill can be saved.
        on_twin: called once, from any thread, when another agent with the same key appears.
        interval_s: seconds between announcements.
        supervisor: restarts and reports background work that fails.
        published: returns how many skills this agent itself has published.
        runtime: clock, random numbers and background work; by default threads.
        desk: makes and answers requests for parts; None to exchange none.
        lists: makes and answers requests for quarantine lists; None to exchange none.
    """

    def __init__(
        self,
        inventory: Inventory,
        transport: Transport,
        key: AgentKey,
        *,
        alias: str,
        on_refused: Callable[[str, str, str], None] | None = None,
        on_unsaved: Callable[[str], None] | None = None,
        on_twin: Callable[[], None] | None = None,
        interval_s: float = ANNOUNCE_INTERVAL_S,
        supervisor: Supervisor | None = None,
        published: Callable[[], int] = lambda: 0,
        runtime: Runtime | None = None,
        desk: PartDesk | None = None,
        lists: ListDesk | None = None,
    ) -> None:
        self._inventory = inventory
        self._transport = transport
        self._key = key
        self._author = key.public_key
        self._alias = alias
        self._interval_s = interval_s
        self._sequence = time.time_ns() // 1_000_000
        self._supervisor = Supervisor() if supervisor is None else supervisor
        self._runtime = runtime or ThreadRuntime(transport, self._reporter("request"))
        self._twin = TwinWatch(on_twin, self._runtime.now_s)
        self._peers = PeerTable(clock=self._runtime.now_s, rng=self._runtime.random)
        self._counters = Counters()
        self._server = Server(inventory, self._counters, self._supervisor, desk, lists)
        self._published = published
        self._publications = Publications()
        self._closed = False
        self._next_announcement_s = self._next_plan_s = float("-inf")
        self._is_urgent = False
        self._announced: tuple[frozenset[str], frozenset[str]] | None = None
        self._pause_s = interval_s
        self._admitted = 0
        add, safe = self._runtime.job, self._supervisor.supervised
        self._announcer = add("announce", safe("announce", self._announce_step))
        self._planner = add("plan", safe("plan", self._plan_step))
        self._puller = Puller(
            inventory,
            self._runtime,
            self._peers,
            self._counters,
            wake=self._wake_planner,
            on_proven=transport.prefer,
            on_refused=on_refused,
            on_error=self._reporter("pull"),
            on_unsaved=on_unsaved,
        )
        self._repeat("parts", PartExchange, desk)
        self._repeat("lists", ListExchange, lists)

    def _repeat(self, name: str, kind: type[PeerExchange[Desk]], desk: Desk | None) -> None:
        """Start an exchange with peers, if there is a desk for it."""
        if desk is not None:
            exchange = kind(
                desk,
                self._runtime,
                self._peers,
                on_received=self._counters.count_received,
                on_error=self._reporter(name),
            )
            self._runtime.job(name, self._supervisor.supervised(name, exchange.step))

    def _reporter(self, name: str) -> Callable[[BaseException], None]:
        return lambda error: self._supervisor.record(name, error)

    def number_from(self, sequence: int) -> None:
        """Set the number of the first announcement; by default, the wall clock in milliseconds.

        Peers take announcements with smaller numbers than before for replays, until they forget
        this agent.
        """
        self._sequence = sequence

    def start(self) -> None:
        """Open the transport and start the threads.

        Raises:
            NetworkError: the endpoint cannot be used.
        """
        self._transport.start(self)
        self._runtime.start()

    def notify(self) -> None:
        """Trigger an announcement after a change of the bank; returns at once."""
        self._announcer.wake()

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
        """Stop within two seconds, even if peers hang; may be called twice."""
        if self._closed:
            return
        self._closed = True
        deadline_s = self._runtime.now_s() + CLOSE_TIMEOUT_S
        self._puller.stop()
        self._transport.close()
        self._runtime.close(deadline_s)

    def stats(self) -> GossipStats:
        """Return the current counters and peers.

        Raises:
            StorageError: the inventory cannot be read.
        """
        own = self._inventory.ids()
        digests = digest_of(own), digest_of(self._inventory.tombstones())
        peers = self._peers.current()
        gaps = self._puller.gaps(peers)
        states = tuple(
            self._state_of(agent_id, peer, gaps[agent_id], digests, len(own))
            for agent_id, peer in peers.items()
        )
        totals = self._counters.totals()
        return GossipStats(
            totals.sent,
            totals.received,
            totals.admitted,
            totals.refused,
            totals.dropped,
            states,
            twin=self._twin.is_present(),
            faults=self._supervisor.faults(),
            tombstones=totals.tombstones,
            deferred=totals.deferred,
            publications=self._publications.all(),
            progress=self._puller.progress(),
            shared=len(own),
            digest=digests[0],
        )

    def _state_of(
        self, agent_id: str, peer: Peer, gap: Gap, digests: tuple[str, str], own_count: int
    ) -> PeerState:
        said = peer.announcement
        in_sync = said.digests == digests or self._puller.has_all(said)
        same_skills = said.digest == digests[0]
        return PeerState(
            agent_id,
            said.alias,
            said.count,
            said.digest,
            in_sync,
            round(self._runtime.now_s() - peer.seen_s, 3),
            ""
            if in_sync
            else explain(gap, own_count=own_count, peer_count=said.count, same_skills=same_skills),
        )

    def fetch_blob(self, sha256: str, timeout_s: float = BLOB_TIMEOUT_S) -> bytes | None:
        """Request content by its hash from one peer after another.

        Args:
            sha256: hash of the content, 64 hex digits.
            timeout_s: time limit in seconds, for all peers together.

        Returns:
            The content, or None if no peer sent it in time.
        """
        deadline_s = self._runtime.now_s() + timeout_s
        peers = self._peers.current()
        agents = sorted(peers, key=lambda agent_id: (not peers[agent_id].is_proven, agent_id))
        for index, agent_id in enumerate(agents):
            # Divide the time equally, so that a frozen peer uses up only its own part.
            share_s = (deadline_s - self._runtime.now_s()) / (len(agents) - index)
            data = self._transport.request(agent_id, "blob", sha256, max(0.0, share_s))
            if data is None:
                continue
            self._counters.count_received(len(data))
            if hashlib.sha256(data).hexdigest() == sha256:
                return data
        return None

    def on_announcement(self, data: bytes) -> None:
        """Record an announcement. The transport calls this; another thread does the pulling.

        An unexpected error is reported, because it would end the thread of the transport.
        """
        try:
            self._hear(data)
        except Exception as error:  # noqa: BLE001 - reported
            self._supervisor.record("receive", error)

    def _hear(self, data: bytes) -> None:
        if not self._peers.has_time_for(claimed_agent(data)):
            self._counters.count_dropped()
            return
        announcement = decode_announcement(data, self._peers.is_useless)
        if announcement is not None and announcement.author == self._author:
            # Some transports deliver an agent's own broadcasts; they do not count as traffic.
            self._twin.note(announcement.sequence)
            return
        self._counters.count_received(len(data))
        if announcement is None:
            self._counters.count_dropped()
            return
        self._publications.note(announcement)
        if self._peers.note(announcement) and self._peers.has_time_to_greet():
            _log.info("new peer %s (%s)", announcement.agent_id, announcement.alias)
            # Announce this agent to the new peer at once, without waiting for the next interval.
            self._announcer.wake()
        self._wake_planner(announcement.agent_id)

    def on_request(self, kind: str, key: str) -> bytes | None:
        """Return content for a peer; None if it is missing. Called by the transport."""
        return self._server.answer(kind, key)

    def _announce_step(self) -> float:
        """Announce the bank; return the seconds until the next announcement."""
        now_s = self._runtime.now_s()
        if now_s < self._next_announcement_s:
            return self._next_announcement_s - now_s
        try:
            skills, tombstones = self._inventory.ids(), self._inventory.tombstones()
            published = self._published()
        except StorageError:
            return self._interval_s  # the bank is announced later
        self._announce(skills, tombstones, published)
        # News are repeated soon, because a broadcast may be lost.
        is_new, self._announced = self._announced != (skills, tombstones), (skills, tombstones)
        if is_new:
            # Announce many changes together: each announcement makes every peer request the ids.
            # Greetings and repetitions do not, so news after them need not wait.
            self._next_announcement_s = now_s + min(ANNOUNCE_PAUSE_S, self._interval_s)
        self._pause_s = self._interval_s / 4 if is_new else min(2 * self._pause_s, self._interval_s)
        return self._pause_s

    def _announce(self, skills: frozenset[str], tombstones: frozenset[str], published: int) -> None:
        announcement = Announcement(
            self._author,
            self._alias,
            self._server.keep(encode_ids(skills)),
            self._server.keep(encode_ids(tombstones)),
            len(skills),
            published,
            self._sequence,
        )
        data = encode_announcement(announcement, self._key)
        self._twin.sent(self._sequence)
        self._sequence += 1
        self._transport.announce(data)
        _log.debug("announced %d skills, number %d", announcement.count, announcement.sequence)
        self._counters.count_sent(len(data))
        self._planner.wake()

    def _wake_planner(self, agent_id: str) -> None:
        """Plan soon, because of something that a peer sent; news of proven peers do not wait."""
        if self._peers.is_proven(agent_id):
            self._is_urgent = True
        self._planner.wake()

    def _plan_step(self) -> float:
        """Request missing content; return the seconds until the next round."""
        now_s = self._runtime.now_s()
        rest_s = self._next_plan_s - now_s
        is_urgent, self._is_urgent = self._is_urgent, False
        if rest_s > 0 and not is_urgent:
            return rest_s  # a flood of announcements must not use up the CPU
        try:
            delay_s = self._puller.plan(only_proven=rest_s > 0)
        except StorageError:
            delay_s = self._interval_s  # try again in the next round
        if rest_s > 0:
            delay_s = min(delay_s, rest_s)
        else:
            took_s = self._runtime.now_s() - now_s
            self._next_plan_s = now_s + took_s + max(PLAN_PAUSE_S, PLAN_REST * took_s)
        totals = self._counters.totals()
        admitted = totals.admitted + totals.tombstones
        if admitted != self._admitted:
            # Peers that cannot reach the author may reach us, so announce news at once.
            self._admitted = admitted
            self._announcer.wake()
        return max(PLAN_PAUSE_S, min(delay_s, self._interval_s))
