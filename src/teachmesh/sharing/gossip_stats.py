"""State of sharing at one moment, for people and programs."""

from __future__ import annotations

from dataclasses import dataclass

from teachmesh.sharing.publications import Publication
from teachmesh.sharing.supervisor import Fault
from teachmesh.sharing.sync_progress import Progress

NO_PROGRESS = Progress()
"""Nothing is to be fetched."""


@dataclass(frozen=True)
class PeerState:
    """State of a peer, from its last announcement.

    Attributes:
        agent_id: short id of the peer.
        alias: display name of the peer.
        count: number of skills in the peer's bank.
        digest: hash of the sorted ids of these skills.
        in_sync: whether the peer's bank has the skills and tombstones of this agent's bank, and
            nothing else that is wanted here.
        last_seen_s: seconds since its last announcement.
        reason: reason why it is not in sync; empty if it is.
    """

    agent_id: str
    alias: str
    count: int
    digest: str
    in_sync: bool
    last_seen_s: float
    reason: str = ""


@dataclass(frozen=True)
class GossipStats:
    """Counters of one run.

    Attributes:
        bytes_sent: payload bytes sent: announcements (each counted once), id lists, skills, blobs.
        bytes_received: payload bytes received in the same kinds of messages.
        received: number of received skills that were admitted.
        refused: number of refused skills for each reason.
        dropped: number of ignored broadcasts: garbage, forgeries, replays, too frequent ones, and
            messages of another version.
        peers: peers heard from recently.
        twin: whether another agent with the key of this agent was heard from recently.
        faults: unexpected errors of background work, which was restarted.
        tombstones: number of received tombstones that were saved.
        deferred: number of skills that were put off because their author's budget was used up.
        publications: numbers of skills that authors announced in this run.
        progress: skills that are still to be fetched.
        shared: number of skills that this agent announces.
        digest: hash of the sorted ids of these skills; peers in sync announce the same one.
    """

    bytes_sent: int
    bytes_received: int
    received: int
    refused: dict[str, int]
    dropped: int
    peers: tuple[PeerState, ...]
    twin: bool = False
    faults: tuple[Fault, ...] = ()
    tombstones: int = 0
    deferred: int = 0
    publications: tuple[Publication, ...] = ()
    progress: Progress = NO_PROGRESS
    shared: int = 0
    digest: str = ""
