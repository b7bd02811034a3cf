"""Report the state of a running agent: as events, and as a file for `teachmesh status`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from teachmesh.agent.on_mesh.known_agents import withheld
from teachmesh.bank.running import RunningFile
from teachmesh.sharing.peer_changes import PeerChanges

if TYPE_CHECKING:
    from teachmesh.agent.on_mesh.run_endpoints import RunEndpoints
    from teachmesh.agent.teaching.learning_agent import LearningAgent
    from teachmesh.sharing.gossip import Gossip
    from teachmesh.sharing.gossip_stats import GossipStats
    from teachmesh.sharing.join_watch import JoinState
    from teachmesh.sharing.transport import Transport


class StateReport:
    """Compares the state of a running agent with the one before; called once per second.

    Args:
        agent: owner of the bank.
        gossip: sharing with the peers.
        transport: connection to the peers.
        emit: called with the name and the details of each event.
        endpoints: endpoints of this run and of earlier ones.
        door: returns where agents with an invite can join; None if they cannot.
    """

    def __init__(
        self,
        agent: LearningAgent,
        gossip: Gossip,
        transport: Transport,
        emit: Callable[..., None],
        endpoints: RunEndpoints,
        door: Callable[[], dict[str, Any] | None] = lambda: None,
    ) -> None:
        self._agent = agent
        self._gossip = gossip
        self._transport = transport
        self._emit = emit
        self._endpoints = endpoints
        self._door = door
        self._file = RunningFile(agent.home.running)
        self._changes = PeerChanges()
        self._synced: tuple[object, ...] | None = None
        self._shown: tuple[str, dict[str, int]] | None = None

    def state(self) -> None:
        """Emit the events since the last call, and write the state for other processes.

        Raises:
            StorageError: the bank cannot be read, or the state cannot be written.
        """
        stats = self._gossip.stats()
        joins = self._endpoints.shown(self._transport.joins())
        for name, details in self._changes.events(stats, joins):
            self._emit(name, **details)
        self._report_synced(stats)
        shown = (self._agent.bank.digest(), stats.refused)
        if shown != self._shown:
            self._shown = shown
            self.stats()
        # On a full disk, the events have been emitted before.
        self._file.write(self._document(stats, joins), time.time())
        self._endpoints.note(self._transport)

    def stats(self) -> None:
        """Emit the event with the counters of sharing.

        Raises:
            StorageError: the bank cannot be read.
        """
        stats = self._gossip.stats()
        self._emit(
            "stats",
            count=len(self._agent.bank.ids()),
            digest=self._agent.bank.digest(),
            bytes_sent=stats.bytes_sent,
            bytes_received=stats.bytes_received,
            refused=dict(stats.refused),
        )

    def remove(self) -> None:
        """Remove the file when the agent stops."""
        self._file.remove()

    def _report_synced(self, stats: GossipStats) -> None:
        peers = stats.peers
        in_sync = sum(peer.in_sync for peer in peers)
        state = (stats.digest, in_sync, len(peers))
        if peers and in_sync == len(peers) and state != self._synced:
            self._emit("synced", count=stats.shared, digest=stats.digest, peers=len(peers))
        self._synced = state

    def _document(self, stats: GossipStats, joins: Sequence[JoinState]) -> dict[str, Any]:
        have = len(self._agent.bank.ids())
        return {
            "endpoints": list(self._transport.endpoints()),
            "joins": [
                {"endpoint": join.endpoint, "joined": join.is_joined, "reason": join.reason}
                for join in joins
            ],
            "have": have,
            "known": have + stats.progress.missing,
            "missing": stats.progress.missing,
            "fetching": stats.progress.fetching,
            "peers": [
                {
                    "id": peer.agent_id,
                    "alias": peer.alias,
                    "count": peer.count,
                    "digest": peer.digest,
                    "in_sync": peer.in_sync,
                    "last_seen_s": peer.last_seen_s,
                    "reason": peer.reason,
                }
                for peer in stats.peers
            ],
            "twin": stats.twin,
            "withheld": withheld(self._agent, stats.publications),
            "faults": [str(fault) for fault in stats.faults],
            "door": self._door(),
        }
