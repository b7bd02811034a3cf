"""Lies and floods in virtual time cost those who send them, not honest agents."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from teachmesh.errors import StorageError
from teachmesh.packet.signing import AgentKey
from teachmesh.sharing.gossip import Gossip
from teachmesh.sharing.id_list import encode_ids
from teachmesh.sharing.messages import Announcement, encode_announcement
from teachmesh.sharing.peers import CLAIMS, STRANGERS, STRANGERS_PER_S, PeerTable
from teachmesh.sharing.pulling import STRANGE_LISTS, STRANGE_LISTS_PER_S
from tests.sharing.inventories import BytesInventory, id_of
from tests.sharing.meshes import id_of_agent, key_of
from tests.sharing.test_backoff import Clock
from tests.trust.virtual_network import VirtualRuntime, VirtualTransport, World

NO_IDS = id_of(b"")
SILENT = None


def agent(world: World, name: str, bank: BytesInventory, **options: Any) -> Gossip:
    """Start an honest agent."""
    own = id_of_agent(name)
    options["runtime"] = VirtualRuntime(world, own)
    gossip = Gossip(bank, VirtualTransport(world, own), key_of(name), alias=name, **options)
    gossip.start()
    return gossip


def announce(world: World, keys: Iterable[AgentKey], digest: str, sequence: int) -> None:
    """Broadcast one announcement per key."""
    for key in keys:
        said = Announcement(key.public_key, "x", digest, NO_IDS, 1, 0, sequence)
        world.broadcast("stranger", encode_announcement(said, key))


def time_of(world: World, bank: BytesInventory, skill: str, limit_s: float = 60.0) -> float:
    """Return the virtual seconds until a bank has a skill."""
    begin_s = world.now_s
    assert world.run(begin_s + limit_s, lambda: skill in bank.ids())
    return world.now_s - begin_s


def liars(world: World, count: int, answer: bytes | None, bank: BytesInventory) -> list[AgentKey]:
    """Add peers that announce the list of a bank, and answer every other request in one way."""
    keys = [key_of(f"liar {number}") for number in range(count)]
    listed = encode_ids(bank.ids())
    for key in keys:
        name = Announcement(key.public_key, "x", NO_IDS, NO_IDS, 0, 0, 0).agent_id
        world.answers[name] = lambda kind, key: listed if kind == "ids" else answer
    return keys


def times_with_liars(answer: bytes | None, count: int) -> float:
    """Return the seconds until a student has 20 skills, with an honest holder and some others."""
    world = World(0)
    student, holder = BytesInventory(), BytesInventory(*(b"skill %d" % i for i in range(20)))
    announce(world, (), "", 0)
    agent(world, "student", student)
    keys = liars(world, count, answer, holder)
    announce(world, keys, holder.digest(), 1)
    world.run(0.5)
    agent(world, "holder", holder)
    assert world.run(60, lambda: student.ids() == holder.ids())
    return world.now_s - 0.5


def test_eight_lying_or_silent_holders_delay_a_bank_by_seconds() -> None:
    """Another holder is asked as soon as one is overdue; it was 73 s with fixed deadlines."""
    normal_s = times_with_liars(b"", 0)
    assert normal_s < 2
    assert times_with_liars(b"a lie", 8) < 2 * normal_s
    assert times_with_liars(SILENT, 8) < 5


def test_a_forged_list_is_not_believed_and_silences_nobody() -> None:
    """Others answer in the name of an honest peer for a while, with lists of their own."""
    world = World(0)
    bank, honest = BytesInventory(), BytesInventory(b"one")
    gossip = agent(world, "bank", bank)
    world.answers[id_of_agent("honest")] = lambda kind, key: encode_ids(["ab" * 32])
    agent(world, "honest", honest)
    world.run(5)
    assert bank.ids() == frozenset()
    assert gossip.stats().refused["HASH"] > 0
    world.answers.clear()
    assert world.run(world.now_s + 10, lambda: bank.ids() == honest.ids())


def test_invented_identities_do_not_shut_the_door() -> None:
    """A newcomer is heard while 300 identities announce every second, and keeps its place."""
    world = World(0)
    bank, newcomer = BytesInventory(), BytesInventory(b"one")
    gossip = agent(world, "bank", bank)
    keys = [key_of(f"invented {number}") for number in range(300)]
    for second in range(12):
        world.after(second, lambda second=second: announce(world, keys, "ab" * 32, second))
    world.run(3)
    assert len(gossip.stats().peers) == 256
    agent(world, "newcomer", newcomer)
    assert time_of(world, bank, id_of(b"one")) < 5
    newcomer.add(b"two")
    assert time_of(world, bank, id_of(b"two")) < 2
    assert id_of_agent("newcomer") in {peer.agent_id for peer in gossip.stats().peers}


def time_of_news(strangers: int) -> float:
    """Return the virtual seconds that news take just after some agents were new to both."""
    world = World(0)
    bank, teller = BytesInventory(), BytesInventory(b"one")
    agent(world, "bank", bank)
    gossip = agent(world, "teller", teller)
    world.run(10)
    announce(world, [key_of(f"invented {number}") for number in range(strangers)], "ab" * 32, 1)
    world.run(10.03)  # new peers have been greeted by now
    teller.add(b"two")
    gossip.notify()
    return time_of(world, bank, id_of(b"two"))


def test_news_do_not_wait_for_greetings() -> None:
    """New peers are greeted with an announcement; news after it are announced at once."""
    assert time_of_news(2) < time_of_news(0) + 0.05


def test_strangers_use_up_no_time_of_proven_peers() -> None:
    """Their lists are requested 32 times a second; news of a proven peer do not wait for them."""
    world = World(0)
    bank, honest = BytesInventory(), BytesInventory(b"one")
    agent(world, "bank", bank)
    quiet = agent(world, "honest", honest)
    assert time_of(world, bank, id_of(b"one")) < 2
    requests: list[str] = []
    for number in range(120):
        key = key_of(f"invented {number}")
        said = Announcement(key.public_key, "x", "ab" * 32, NO_IDS, 1, 0, 1)
        world.answers[said.agent_id] = lambda kind, digest: requests.append(digest) or b"a lie"
        data = encode_announcement(replace(said, digest=id_of(data=b"%d" % number)), key)
        for repeat in range(20):
            world.after(repeat / 10, lambda data=data: world.broadcast("stranger", data))
    world.run(world.now_s + 1)
    honest.add(b"news")
    quiet.notify()
    began_s = world.now_s
    assert time_of(world, bank, id_of(b"news")) < 0.5
    world.run(began_s + 3)
    of_each_agent = len(requests) / 2
    assert STRANGE_LISTS < of_each_agent <= STRANGE_LISTS + 4 * STRANGE_LISTS_PER_S


def test_broadcasts_of_strangers_stay_unread_when_there_are_too_many() -> None:
    """Before they are parsed; those of a proven peer have a limit of their own."""
    clock = Clock()
    table = PeerTable(clock=clock)
    table.prove("PROVEN")
    names = (f"STRANGER-{number}" for number in range(10 * STRANGERS))
    assert sum(table.has_time_for(name) for name in names) == pytest.approx(STRANGERS, abs=1)
    assert table.has_time_for("PROVEN")
    assert not table.has_time_for("")
    clock.now_s += 1.0
    strangers = sum(table.has_time_for("") for _ in range(10 * STRANGERS))
    assert strangers == pytest.approx(STRANGERS_PER_S, abs=1)
    claims = sum(table.has_time_for("PROVEN") for _ in range(2 * CLAIMS))
    assert claims == pytest.approx(CLAIMS, abs=1)


class FullDisk(BytesInventory):
    """Saves nothing while it is full."""

    def __init__(self) -> None:
        super().__init__()
        self.full, self.tries = True, 0

    def admit(self, skill_id: str, data: bytes) -> None:
        """Count the try, and save if there is room."""
        self.tries += 1
        if self.full:
            raise StorageError("the disk is full")
        super().admit(skill_id, data)


def test_a_full_disk_costs_little_traffic_and_is_over_soon_after_space_is_freed() -> None:
    """Few skills are fetched in vain; it was 48 s until the others came."""
    world = World(0)
    bank, holder = FullDisk(), BytesInventory(*(b"skill %d" % i for i in range(40)))
    said: list[str] = []
    agent(world, "bank", bank, on_unsaved=said.append)
    agent(world, "holder", holder)
    world.run(120)
    assert (len(bank.ids()), bank.tries < 80, said) == (0, True, ["the disk is full"])
    bank.full = False
    assert world.run(world.now_s + 15, lambda: bank.ids() == holder.ids())


def test_honest_news_overtake_a_flood_of_junk_skills() -> None:
    """Skills are pulled from all lists in turn, so a list of 400 delays one of 1 by few pulls."""

    def news_s(junk: int) -> float:
        world = World(0)
        bank, honest = BytesInventory(), BytesInventory(b"first")
        flooder = BytesInventory(*(b"junk %d" % number for number in range(junk)))
        agent(world, "bank", bank)
        quiet = agent(world, "honest", honest)
        world.run(1.05)
        agent(world, "flooder", flooder)
        world.run(1.3)
        honest.add(b"news")
        quiet.notify()
        return time_of(world, bank, id_of(b"news"))

    assert news_s(400) < 2 * news_s(0) + 0.1
