"""Peers that lie, freeze or send garbage do not affect others."""

from __future__ import annotations

import time

import pytest

from teachmesh.sharing.back_off import PATIENCE
from tests.sharing.inventories import BytesInventory, FrozenInventory, LyingInventory, id_of
from tests.sharing.meshes import Mesh, own_threads, wait_until
from tests.sharing.test_messages import garbage


def test_a_liar_is_counted_and_does_not_stop_convergence(mesh: Mesh) -> None:
    """Wrong bytes are dropped, and another peer delivers the skill."""
    items = [b"skill %d" % index for index in range(6)]
    bank, liar, author = BytesInventory(), LyingInventory(*items), BytesInventory(*items)
    agent = mesh.agent("bank", bank)
    mesh.agent("liar", liar)
    wait_until(lambda: agent.stats().refused.get("HASH", 0) >= 1, "the lie is counted")
    assert bank.ids() == frozenset()
    mesh.agent("author", author)
    wait_until(lambda: bank.ids() == author.ids(), "the bank is complete")
    # Back-off: far fewer requests than there was time for.
    assert sum(liar.reads.values()) < 30


@pytest.mark.parametrize("lies", [True, False], ids=["other bytes", "no skill"])
def test_a_peer_with_endless_bad_skills_is_asked_less_and_less(mesh: Mesh, lies: bool) -> None:
    """The whole peer waits, not just one id, for a wrong hash or format."""
    inventions = [b"invention %d" % index for index in range(500)]
    bank, author = BytesInventory(), BytesInventory()
    bank.refuse = author.refuse = set(map(id_of, inventions))
    bad = (LyingInventory if lies else BytesInventory)(*inventions)
    mesh.agent("bank", bank)
    mesh.agent("bad", bad)
    agent = mesh.agent("author", author)
    for index in range(10):
        author.add(b"good %d" % index)
        agent.notify()
        wait_until(lambda: bank.ids() == author.ids(), "the good skill is here")
    wait_until(lambda: sum(bad.reads.values()) > PATIENCE, "the bad peer used up its credit")
    assert sum(bad.reads.values()) < 30


def test_a_frozen_peer_does_not_hold_up_the_skills_of_others(mesh: Mesh) -> None:
    """The skills of a working peer arrive while all requests to the frozen one hang."""
    bank, frozen = BytesInventory(), FrozenInventory(*(b"frozen %d" % i for i in range(8)))
    mesh.agent("bank", bank)
    mesh.agent("frozen", frozen)
    wait_until(frozen.asked.is_set, "the frozen peer is asked")
    working = BytesInventory(*(b"good %d" % i for i in range(8)))
    mesh.agent("working", working)
    wait_until(lambda: bank.ids() >= working.ids(), "the good skills arrive")
    frozen.released.set()


def test_closing_does_not_wait_for_a_frozen_peer(mesh: Mesh) -> None:
    """A request that hangs does not keep the agent from leaving."""
    bank, frozen = BytesInventory(), FrozenInventory(b"one")
    agent = mesh.agent("bank", bank)
    mesh.agent("frozen", frozen)
    wait_until(frozen.asked.is_set, "the frozen peer is asked")
    begin_s = time.monotonic()
    agent.close()
    agent.close()
    took_s = time.monotonic() - begin_s
    frozen.released.set()
    assert took_s < 60  # two seconds on a machine that does not stop


def test_closing_leaves_no_threads(mesh: Mesh) -> None:
    """Two agents in sync close, and nothing is left."""
    banks = BytesInventory(b"one"), BytesInventory()
    agents = mesh.agent("alice", banks[0]), mesh.agent("bob", banks[1])
    wait_until(lambda: banks[0].ids() == banks[1].ids(), "the banks are equal")
    for agent in agents:
        agent.close()
    wait_until(lambda: own_threads() == [], "all threads end")


def test_garbage_on_the_announcement_channel_is_ignored(mesh: Mesh) -> None:
    """Nothing that a stranger broadcasts becomes a peer or stops the others."""
    alice, bob = BytesInventory(b"one"), BytesInventory()
    first = mesh.agent("alice", alice)
    stranger = mesh.transport("stranger")
    stranger.start(first)
    second = mesh.agent("bob", bob)
    wait_until(lambda: bool(second.stats().peers), "bob hears of alice")

    def is_dropped() -> bool:
        for data in garbage():
            stranger.announce(data)
        return second.stats().dropped > 0

    wait_until(is_dropped, "bob drops the garbage")
    alice.add(b"two")
    first.notify()
    wait_until(lambda: bob.ids() == alice.ids(), "the banks are equal")
    stats = second.stats()
    assert [peer.alias for peer in stats.peers] == ["alice"]
    assert stats.refused == {}


@pytest.mark.usefixtures("patient")
def test_a_refused_skill_is_pulled_once(mesh: Mesh) -> None:
    """The bytes of an id never change, so the refusal stays; it is counted by reason."""
    alice, bob = BytesInventory(b"bad", b"good"), BytesInventory()
    bob.refuse = {id_of(b"bad")}
    first = mesh.agent("alice", alice)
    second = mesh.agent("bob", bob)
    for later in (b"later 1", b"later 2"):
        wait_until(lambda: len(bob.ids()) == len(alice.ids()) - 1, "all but the bad one are here")
        alice.add(later)
        first.notify()
    wait_until(lambda: id_of(b"later 2") in bob.ids(), "the last one is here")
    wait_until(lambda: bool(second.stats().refused), "the refusal is counted")
    assert alice.reads[id_of(b"bad")] == 1
    assert second.stats().refused == {"FORMAT": 1}


def test_a_refused_skill_is_pulled_again_after_it_was_forgotten(mesh: Mesh) -> None:
    """A skill may be good later, for example after an import of its backbone."""
    items = b"one", b"two"
    alice, bob = BytesInventory(*items), BytesInventory()
    bob.refuse = set(map(id_of, items))
    mesh.agent("alice", alice)
    second = mesh.agent("bob", bob)
    both = dict.fromkeys(bob.refuse, "FORMAT")
    wait_until(lambda: second.refused() == both, "both are refused")
    bob.refuse = set()
    second.forget([id_of(b"two"), "never heard of"])
    wait_until(lambda: bob.ids() == {id_of(b"two")}, "the forgotten one is here")
    assert second.refused() == {id_of(b"one"): "FORMAT"}
    second.forget()
    wait_until(lambda: bob.ids() == alice.ids(), "the other one too")
