"""All agents end with equal sets of skills; the laws hold over memory and over Zenoh."""

from __future__ import annotations

from teachmesh.sharing.gossip import Gossip
from teachmesh.sharing.transport import MAX_BODY_BYTES
from tests.sharing.inventories import BytesInventory, UnreadableInventory, id_of
from tests.sharing.meshes import MemoryMesh, Mesh, id_of_agent, key_of, wait_until
from tests.trust.virtual_network import Faults, VirtualRuntime, VirtualTransport, World

NAMES = ("alice", "bob", "carol", "dave")
BIG = bytes(range(256)) * 4096


def wait_equal(*banks: BytesInventory, count: int) -> None:
    """Wait for equal banks of a size."""
    wait_until(
        lambda: all(len(bank.ids()) == count for bank in banks), f"all banks hold {count} skills"
    )
    assert len({bank.digest() for bank in banks}) == 1


def wait_in_sync(gossip: Gossip, peers: int) -> None:
    """Wait until all peers are there and equal."""
    wait_until(
        lambda: [peer.in_sync for peer in gossip.stats().peers] == [True] * peers,
        f"{peers} peers in sync",
    )


def test_two_agents_end_with_the_union_of_their_skills(mesh: Mesh) -> None:
    """Both directions, a body of 1 MiB, and the counters show what travelled."""
    alice, bob = BytesInventory(b"one", BIG), BytesInventory(b"two")
    first, second = mesh.agent("alice", alice), mesh.agent("bob", bob)
    wait_equal(alice, bob, count=3)
    wait_in_sync(first, 1)
    wait_in_sync(second, 1)
    wait_until(lambda: second.stats().received == 2, "both are counted")
    stats = second.stats()
    assert stats.refused == {}
    assert stats.bytes_received > len(BIG)
    assert first.stats().bytes_sent > len(BIG)
    assert stats.peers[0].alias == "alice"
    assert stats.peers[0].count == 3
    assert 0 <= stats.peers[0].last_seen_s < 60


def test_four_agents_converge_while_all_of_them_add_skills(mesh: Mesh) -> None:
    """Skills that are added during pulls are not lost, and no skill is admitted twice."""
    banks = [BytesInventory(name.encode()) for name in NAMES]
    agents = [mesh.agent(name, bank) for name, bank in zip(NAMES, banks, strict=True)]
    for index, (bank, agent) in enumerate(zip(banks * 3, agents * 3, strict=True)):
        bank.add(b"later %d" % index)
        agent.notify()
    wait_equal(*banks, count=16)
    for agent, bank in zip(agents, banks, strict=True):
        wait_in_sync(agent, 3)
        wait_until(lambda a=agent: a.stats().received == 12, "all are counted")  # type: ignore[misc]
        assert set(bank.admissions.values()) == {1}


def test_what_is_said_a_hundred_times_by_two_holders_is_admitted_once(mesh: Mesh) -> None:
    """Duplicates of a message cost no second admission."""
    items = [b"skill %d" % index for index in range(4)]
    first, second, student = BytesInventory(*items), BytesInventory(*items), BytesInventory()
    mesh.agent("first", first, times=100)
    mesh.agent("second", second, times=100)
    agent = mesh.agent("student", student)
    wait_equal(first, second, student, count=4)
    wait_in_sync(agent, 2)
    assert student.admissions == dict.fromkeys(map(id_of, items), 1)


def test_what_is_said_twice_by_two_holders_is_pulled_once() -> None:
    """Duplicates cost no second body; in virtual time, as a slow holder is no reason to ask both.

    A machine may stop a thread until its answer is overdue, and then both are asked.
    """
    items = [b"skill %d" % index for index in range(4)]
    first, second, student = BytesInventory(*items), BytesInventory(*items), BytesInventory()
    world = World(0)
    world.faults = Faults(repeats=1.0, delay_s=0.1)
    for name, bank in (("first", first), ("second", second), ("student", student)):
        own = id_of_agent(name)
        transport, runtime = VirtualTransport(world, own), VirtualRuntime(world, own)
        Gossip(bank, transport, key_of(name), alias=name, runtime=runtime).start()
    world.run(60)
    assert student.ids() == first.ids()
    assert first.reads + second.reads == dict.fromkeys(map(id_of, items), 1)


def test_both_sides_of_a_partition_go_on_and_are_equal_after_it_heals() -> None:
    """Nothing that was learned on either side is lost."""
    mesh = MemoryMesh()
    banks = [BytesInventory() for _ in NAMES]
    ids = [id_of_agent(name) for name in NAMES]
    across = [(one, other) for one in ids[:2] for other in ids[2:]]
    try:
        agents = [mesh.agent(name, bank) for name, bank in zip(NAMES, banks, strict=True)]
        for agent in agents:
            wait_in_sync(agent, 3)
        for one, other in across:
            mesh.hub.cut(one, other)
        for side, data in ((0, b"left"), (2, b"right")):
            banks[side].add(data)
            agents[side].notify()
            wait_equal(*banks[side : side + 2], count=1)
        assert banks[0].ids().isdisjoint(banks[2].ids())
        for one, other in across:
            mesh.hub.heal(one, other)
        wait_equal(*banks, count=2)
        for agent in agents:
            wait_in_sync(agent, 3)
    finally:
        mesh.close()


def test_a_late_joiner_gets_everything_from_a_survivor(mesh: Mesh) -> None:
    """The author's skills outlive the author."""
    survivor, author, late = BytesInventory(), BytesInventory(b"one", b"two"), BytesInventory()
    mesh.agent("survivor", survivor)
    leaving = mesh.agent("author", author)
    wait_equal(survivor, count=2)
    leaving.close()
    mesh.agent("late", late)
    wait_equal(late, survivor, count=2)


def test_a_skill_crosses_a_line_through_the_agent_in_the_middle(mesh: Mesh) -> None:
    """Peers do not relay: the middle agent serves its own skills, and the ends never connect."""
    middle, left, right = BytesInventory(), BytesInventory(b"left"), BytesInventory(b"right")
    mesh.agent("middle", middle)
    one = mesh.agent("left", left, at_the_side=True)
    other = mesh.agent("right", right, at_the_side=True)
    wait_equal(left, middle, right, count=2)
    for end in (one, other):
        assert [peer.agent_id for peer in end.stats().peers] == [id_of_agent("middle")]


def test_a_notification_is_spread_long_before_the_next_second(mesh: Mesh) -> None:
    """With a minute between announcements only `notify` can have caused the pull."""
    alice, bob = BytesInventory(), BytesInventory()
    first = mesh.agent("alice", alice, interval_s=60)
    second = mesh.agent("bob", bob)
    wait_until(lambda: bool(second.stats().peers), "bob hears of alice")
    alice.add(b"news")
    first.notify()
    wait_equal(alice, bob, count=1)


def test_a_removed_skill_is_not_fetched_again(mesh: Mesh) -> None:
    """Unwanted skills are not pulled, and the others are."""
    alice, bob = BytesInventory(b"removed", b"kept"), BytesInventory()
    bob.unwanted = {id_of(b"removed")}
    mesh.agent("alice", alice)
    mesh.agent("bob", bob)
    wait_equal(bob, count=1)
    assert bob.ids() == {id_of(b"kept")}
    assert alice.reads[id_of(b"removed")] == 0


def test_a_full_disk_is_tried_again(mesh: Mesh) -> None:
    """A skill that could not be saved is not refused."""
    alice, bob = BytesInventory(b"one"), BytesInventory()
    bob.full = 1
    mesh.agent("alice", alice)
    second = mesh.agent("bob", bob)
    wait_equal(alice, bob, count=1)
    assert second.stats().refused == {}


def test_sharing_survives_a_bank_that_cannot_be_read_for_a_while(mesh: Mesh) -> None:
    """A locked database ends no thread."""
    alice, bob = UnreadableInventory(b"one"), BytesInventory()
    alice.broken.set()
    mesh.agent("alice", alice)
    second = mesh.agent("bob", bob)
    second.notify()
    alice.broken.clear()
    wait_equal(alice, bob, count=1)


def test_a_blob_is_fetched_by_its_hash_from_whoever_has_it(mesh: Mesh) -> None:
    """References of backbones travel on demand; a missing one is not an error."""
    alice, bob = BytesInventory(b"one"), BytesInventory()
    alice.blobs = {id_of(b"reference"): b"reference", id_of(b"x"): b"wrong bytes"}
    mesh.agent("alice", alice)
    second = mesh.agent("bob", bob)
    wait_equal(alice, bob, count=1)
    assert second.fetch_blob(id_of(b"reference"), timeout_s=60) == b"reference"
    assert second.fetch_blob(id_of(b"nobody has it"), timeout_s=1) is None
    assert second.fetch_blob(id_of(b"x"), timeout_s=1) is None
    assert second.fetch_blob("../not/a/hash", timeout_s=1) is None


def test_notify_returns_at_once_while_the_bank_is_busy(mesh: Mesh) -> None:
    """Learning never waits for sharing."""
    alice = BytesInventory(b"one")
    agent = mesh.agent("alice", alice)
    with alice._lock:  # who waits for the bank here waits for ever
        for _ in range(1000):
            agent.notify()


def test_the_largest_body_travels_and_a_larger_one_is_not_served(mesh: Mesh) -> None:
    """16 MiB is the limit of a skill, of its transport, and of the served content."""
    largest, larger = bytes(MAX_BODY_BYTES), bytes(MAX_BODY_BYTES + 1)
    alice, bob = BytesInventory(largest, larger), BytesInventory()
    first = mesh.agent("alice", alice)
    mesh.agent("bob", bob)
    wait_until(lambda: alice.reads[id_of(larger)] > 0, "the larger one was asked for")
    wait_until(lambda: bob.ids() == {id_of(largest)}, "the largest one is here")
    assert first.on_request("skill", id_of(largest)) == largest
    assert first.on_request("skill", id_of(larger)) is None
