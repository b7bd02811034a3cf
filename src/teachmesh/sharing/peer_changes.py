"""Changes of peers and of joined endpoints from one look to the next, as events."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from teachmesh.sharing.gossip_stats import GossipStats, PeerState
from teachmesh.sharing.join_watch import JoinState

Event = tuple[str, dict[str, Any]]
"""Name and details of an event."""

MAX_SINGLE = 8
"""Number of peers that came or left at once, above which only the number is reported."""


class PeerChanges:
    """Compares the state of sharing with the one before, and returns what is new as events.

    The events are `joined`, `unreachable`, `peer_came`, `peer_left`, `peers_changed` and
    `fetching`. So an invented crowd of peers causes one event per look.
    """

    def __init__(self) -> None:
        self._peers: dict[str, PeerState] = {}
        self._joins: dict[str, JoinState] = {}
        self._missing = 0

    def events(self, stats: GossipStats, joins: Sequence[JoinState]) -> list[Event]:
        """Return the events since the last call.

        Args:
            stats: state of sharing.
            joins: states of the joined endpoints.
        """
        return [*self._of_joins(joins), *self._of_peers(stats), *self._of_progress(stats)]

    def _of_joins(self, joins: Sequence[JoinState]) -> Iterator[Event]:
        for state in joins:
            before = self._joins.get(state.endpoint)
            self._joins[state.endpoint] = state
            if before is not None and before.is_joined == state.is_joined:
                continue
            if state.is_joined:
                yield "joined", {"endpoint": state.endpoint}
            else:
                yield "unreachable", {"endpoint": state.endpoint, "reason": state.reason}

    def _of_peers(self, stats: GossipStats) -> Iterator[Event]:
        before, self._peers = self._peers, {peer.agent_id: peer for peer in stats.peers}
        came = [peer for peer in stats.peers if peer.agent_id not in before]
        left = [peer for agent_id, peer in before.items() if agent_id not in self._peers]
        if len(came) + len(left) > MAX_SINGLE:
            yield "peers_changed", {"came": len(came), "left": len(left), "peers": len(self._peers)}
            return
        for name, peers in (("peer_came", came), ("peer_left", left)):
            for peer in peers:
                yield name, {"id": peer.agent_id, "alias": peer.alias, "count": peer.count}

    def _of_progress(self, stats: GossipStats) -> Iterator[Event]:
        before, self._missing = self._missing, stats.progress.missing
        if self._missing > before:
            yield "fetching", {"missing": self._missing}
