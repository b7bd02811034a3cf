"""Events about peers: who came and left, how much is missing, and why."""

from __future__ import annotations

from dataclasses import replace

from teachmesh.sharing.gossip_stats import GossipStats, PeerState
from teachmesh.sharing.join_watch import JoinState
from teachmesh.sharing.peer_changes import MAX_SINGLE, PeerChanges
from teachmesh.sharing.sync_progress import Gap, Progress, explain
from tests.sharing.inventories import BytesInventory, id_of
from tests.sharing.meshes import MemoryMesh, wait_until

NOTHING = GossipStats(0, 0, 0, {}, 0, ())


def with_peers(*names: str) -> GossipStats:
    """A state with peers."""
    peers = tuple(PeerState(name, name, 3, "", in_sync=True, last_seen_s=0) for name in names)
    return replace(NOTHING, peers=peers)


def test_each_change_is_one_event_and_no_change_is_none() -> None:
    """Peers, joined endpoints and missing skills; a smaller rest is no news."""
    changes = PeerChanges()
    away = JoinState("tcp/a:1", is_joined=False, reason="connection refused")
    found = changes.events(with_peers("A", "B"), [away])
    assert [name for name, _ in found] == ["unreachable", "peer_came", "peer_came"]
    assert found[0][1] == {"endpoint": "tcp/a:1", "reason": "connection refused"}
    assert found[1][1] == {"id": "A", "alias": "A", "count": 3}
    again = JoinState("tcp/a:1", is_joined=False, reason="no answer")
    assert changes.events(with_peers("A", "B"), [again]) == []
    there = JoinState("tcp/a:1", is_joined=True)
    fetching = replace(with_peers("A"), progress=Progress(5, 2))
    assert [name for name, _ in changes.events(fetching, [there])] == [
        "joined",
        "peer_left",
        "fetching",
    ]
    fewer = replace(with_peers("A"), progress=Progress(4, 2))
    assert changes.events(fewer, [there]) == []
    lost = changes.events(fewer, [away])
    assert [name for name, _ in lost] == ["unreachable"]


def test_a_crowd_of_peers_is_one_event() -> None:
    """Invented identities cannot fill the file of events."""
    changes = PeerChanges()
    crowd = [f"P{n}" for n in range(MAX_SINGLE + 1)]
    ((name, details),) = changes.events(with_peers(*crowd), [])
    assert (name, details) == (
        "peers_changed",
        {"came": len(crowd), "left": 0, "peers": len(crowd)},
    )


def test_the_reason_names_each_part_of_a_gap() -> None:
    """Missing and refused skills, and skills that the peer lacks, add up to the counts."""
    gap = Gap(missing=2, refused={"BACKBONE": 1})
    text = explain(gap, own_count=10, peer_count=8, same_skills=False)
    assert text == (
        "2 of its skills are still to be fetched; 1 of its skills is refused here (BACKBONE); "
        "it has not fetched 5 skills of this agent yet"
    )
    unknown = explain(Gap(is_known=False), own_count=1, peer_count=1, same_skills=False)
    assert "list of skills has not come" in unknown
    assert "withdrawals" in explain(Gap(), own_count=1, peer_count=1, same_skills=True)


def test_a_peer_whose_skill_is_refused_is_not_in_sync_for_that_reason() -> None:
    """The other side lacks nothing to fetch, and says that its skill was not fetched."""
    mesh = MemoryMesh()
    try:
        alice, bob = BytesInventory(b"one", b"bad"), BytesInventory(b"two")
        bob.refuse.add(id_of(b"bad"))
        first, second = mesh.agent("alice", alice), mesh.agent("bob", bob)
        wait_until(
            lambda: (
                [peer.reason for peer in second.stats().peers]
                == ["1 of its skills is refused here (FORMAT)"]
            ),
            "bob refuses a skill of alice",
        )
        assert second.stats().progress == Progress(0, 0)
        wait_until(
            lambda: (
                [peer.reason for peer in first.stats().peers]
                == ["it has not fetched 1 skill of this agent yet"]
            ),
            "alice sees that bob lacks a skill",
        )
    finally:
        mesh.close()
