"""Tombstones travel like skills; the laws hold over memory and over Zenoh."""

from __future__ import annotations

import pytest

from teachmesh.errors import SkillRefused
from tests.sharing.inventories import BytesInventory, id_of
from tests.sharing.meshes import Mesh, wait_until
from tests.sharing.test_convergence import wait_equal, wait_in_sync


class OrderedInventory(BytesInventory):
    """Notes the order of admissions, and refuses tombstones whose ids are in `refuse`."""

    def __init__(self, *items: bytes) -> None:
        super().__init__(*items)
        self.order: list[str] = []

    def admit(self, skill_id: str, data: bytes) -> None:
        """Note a skill before others can see it."""
        self.order.append("skill")
        super().admit(skill_id, data)

    def admit_tombstone(self, tombstone_id: str, data: bytes) -> None:
        """Note a tombstone, or refuse it."""
        self.order.append("tombstone")
        if tombstone_id in self.refuse:
            raise SkillRefused("SIGNATURE", "refused on purpose")
        super().admit_tombstone(tombstone_id, data)


def bury(bank: BytesInventory, item: bytes) -> None:
    """Withdraw an item; in these banks a tombstone is the id of its item."""
    grave = id_of(item).encode()
    bank.admit_tombstone(id_of(grave), grave)


def wait_buried(*banks: BytesInventory, count: int) -> None:
    """Wait until all banks have the same tombstones."""
    wait_until(lambda: all(len(bank.tombstones()) == count for bank in banks), "all are buried")
    assert len({bank.tombstone_digest() for bank in banks}) == 1


def test_a_withdrawal_reaches_a_peer_that_was_off_and_its_copy_revives_nothing(mesh: Mesh) -> None:
    """The author is off when the peer comes back; the skill is neither served nor fetched again."""
    author, stayed, away = (BytesInventory(b"bad", b"good") for _ in range(3))
    writer = mesh.agent("stayed", stayed)
    leaving = mesh.agent("author", author)
    returning = mesh.agent("away", away)
    wait_in_sync(returning, 2)
    returning.close()
    bury(author, b"bad")
    leaving.notify()
    wait_buried(author, stayed, count=1)
    leaving.close()
    again, late = mesh.agent("away", away), BytesInventory()
    wait_buried(stayed, away, count=1)
    mesh.agent("late", late)
    wait_buried(stayed, away, late, count=1)
    wait_equal(stayed, away, late, count=1)
    assert stayed.ids() == {id_of(b"good")}
    assert stayed.reads[id_of(b"bad")] == late.admissions[id_of(b"bad")] == 0
    wait_until(lambda: all(peer.in_sync for peer in again.stats().peers), "they are in sync")
    wait_until(lambda: [a.stats().tombstones for a in (writer, again)] == [1, 1], "counted")


@pytest.mark.usefixtures("patient")
def test_peers_that_differ_in_a_tombstone_only_are_not_in_sync(mesh: Mesh) -> None:
    """Their skills are equal, and still they exchange it, without a skill."""
    one, other = BytesInventory(b"good"), OrderedInventory(b"good")
    bury(one, b"unknown here")
    other.refuse = {id_of(id_of(b"unknown here").encode())}
    first, second = mesh.agent("one", one), mesh.agent("other", other)
    wait_until(lambda: second.stats().refused == {"SIGNATURE": 1}, "it is refused")
    wait_until(lambda: [p.in_sync for p in second.stats().peers] == [False], "it differs")
    assert one.digest() == other.digest()
    other.refuse = set()
    second.forget()
    wait_buried(one, other, count=1)
    wait_in_sync(first, 1)
    wait_in_sync(second, 1)
    assert second.stats().received == 0
    assert other.order == ["tombstone", "tombstone"]


def test_the_skills_of_a_peer_come_before_its_tombstones(mesh: Mesh) -> None:
    """A newer version is here before the older one goes, so no answer lacks the task."""
    author, student = BytesInventory(), OrderedInventory(b"old")
    author.add(*(b"new %d" % index for index in range(6)))
    for index in range(4):
        bury(author, b"replaced %d" % index)
    bury(author, b"old")
    mesh.agent("author", author)
    mesh.agent("student", student)
    wait_buried(author, student, count=5)
    wait_equal(author, student, count=6)
    assert student.order == ["skill"] * 6 + ["tombstone"] * 5
