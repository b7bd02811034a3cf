"""Versions of a task: their order, and restoring one as a new version."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from teachmesh.agent.known_skills.bank_view import BankView
from teachmesh.agent.known_skills.skill_versions import restore_version, skill_history
from teachmesh.bank.entry import BankEntry, oldest_first
from teachmesh.errors import UsageError
from teachmesh.packet.codec import decode
from teachmesh.packet.signing import AgentKey, VerifiedSkill, verify
from tests.packet.sample_skills import ALICE, BOB, sample_signed

FIRST = BankEntry.of(sample_signed())


def some_versions(seed: int) -> list[BankEntry]:
    """Versions of one task with any clock, of which some replace an older one or a missing one."""
    draw = random.Random(seed)
    entries: list[BankEntry] = []
    for number in range(draw.randrange(1, 9)):
        older = [one.id for one in entries] + ["f" * 64]
        entries.append(
            dataclasses.replace(
                FIRST,
                id=f"{draw.randrange(2**32):064x}",
                created=f"2026-11-30T08:00:0{draw.randrange(10)}Z",
                replaces=draw.choice(older) if number and draw.random() < 0.8 else None,
            )
        )
    return entries


@given(st.builds(some_versions, st.integers(0, 2**32)), st.integers(0, 2**32))
@settings(max_examples=100, deadline=None)
def test_versions_follow_those_that_they_replace(entries: list[BankEntry], order: int) -> None:
    """Wrong clocks change no predecessor, and the order of arrival changes nothing."""
    ordered = oldest_first(random.Random(order).sample(entries, len(entries)))
    assert sorted(one.id for one in ordered) == sorted(one.id for one in entries)
    assert ordered == oldest_first(entries)
    place = {one.id: i for i, one in enumerate(ordered)}
    for one in entries:
        assert place.get(one.replaces or "", -1) < place[one.id]
    roots = [one for one in ordered if one.replaces not in place]
    assert roots == sorted(roots, key=lambda one: (one.created, one.id))


def home_of(folder: Path, key: AgentKey) -> BankView:
    """An agent with this key, and an empty bank."""
    view = BankView(folder)
    view.home.key_file.write_bytes(key.to_bytes())
    return view


def put_versions(view: BankView, key: AgentKey, count: int, **changes: str) -> list[VerifiedSkill]:
    """Put versions into a bank, of which each replaces the one before."""
    versions: list[VerifiedSkill] = []
    for seed in range(count):
        before = versions[-1].id if versions else None
        versions.append(sample_signed(key, seed, replaces=before, **changes))
        view.bank.put(versions[-1])
    return versions


def test_restoring_goes_back_one_version_and_again_forth(tmp_path: Path) -> None:
    """The new version has the old tensors, names its predecessor, and is signed by the author."""
    view = home_of(tmp_path, ALICE)
    first, second = put_versions(view, ALICE, 2, alias="before")
    done = restore_version(view, "flowers")
    assert (done.version, done.restored_id, done.changed) == (1, first.id, True)
    new = verify(decode(view.read(done.skill_id)))
    assert new.skill.tensors.keys() == first.skill.tensors.keys()
    for name, tensor in first.skill.tensors.items():
        assert new.skill.tensors[name].tobytes() == tensor.tobytes()
    assert new.skill.card == dataclasses.replace(
        first.skill.card,
        replaces=second.id,
        created=new.skill.card.created,
        alias=view.alias,
        version=new.skill.card.version,
    )
    again = restore_version(view, "flowers")
    assert (again.version, again.restored_id) == (2, second.id)
    history = skill_history(view, "flowers")
    assert [one.version for one in history] == [4, 3, 2, 1]
    assert [one.id for one in history] == [again.skill_id, done.skill_id, second.id, first.id]
    assert [one.active for one in history] == [True, False, False, False]
    assert [one.replaces for one in history] == [done.skill_id, second.id, first.id, None]
    assert {one.validation_accuracy for one in history} == {0.875}


@pytest.mark.parametrize("by", ["number", "text", "id", "as task"])
def test_any_version_is_restored_by_its_number_or_id(tmp_path: Path, by: str) -> None:
    """`1`, "1", the start of the id, or the id instead of the task's name."""
    view = home_of(tmp_path, ALICE)
    first, _, third = put_versions(view, ALICE, 3)
    asked: dict[str, tuple[str, str | int | None]] = {
        "number": ("flowers", 1),
        "text": ("flowers", "1"),
        "id": ("flowers", first.id[:12]),
        "as task": (first.id[:12], None),
    }
    done = restore_version(view, *asked[by])
    assert (done.version, done.restored_id, done.changed) == (1, first.id, True)
    assert view.bank.load(done.skill_id).skill.card.replaces == third.id


def test_restoring_what_is_active_changes_nothing(tmp_path: Path) -> None:
    """The active version itself, and the one that it was restored from."""
    view = home_of(tmp_path, ALICE)
    put_versions(view, ALICE, 2)
    done = restore_version(view, "flowers")
    digest = view.digest()
    for version in (3, 1, done.skill_id):
        again = restore_version(view, "flowers", version)
        assert (again.changed, again.skill_id) == (False, done.skill_id)
    assert view.digest() == digest


def test_a_restored_version_is_active_on_every_agent_in_any_order(tmp_path: Path) -> None:
    """A peer that gets the versions in another order has the same active skill and names."""
    view, peer = home_of(tmp_path / "a", ALICE), home_of(tmp_path / "b", BOB)
    put_versions(view, ALICE, 3)
    done = restore_version(view, "flowers", 1)
    for skill_id in sorted(view.bank.ids(), reverse=True):
        peer.bank.put(verify(decode(view.read(skill_id))), restore=False)
    assert peer.digest() == view.digest()
    assert [entry.id for entry in peer.bank.active()] == [done.skill_id]
    assert skill_history(peer, "flowers") == skill_history(view, "flowers")
    names = {info.id: info.display_name for info in view.infos()}
    assert {info.id: info.display_name for info in peer.infos()} == names
    assert names[done.skill_id] == "flowers"


@pytest.mark.parametrize(
    ("task", "version", "sentence"),
    [
        ("flowers", 3, "expected a version of 'flowers' from 1 to 2, or the start of its id"),
        ("flowers", "0", "got '0'"),
        ("flowers", "-1", "got '-1'"),
        ("flowers", "zzzz", "got 'zzzz'"),
        ("flowers", "", "got ''"),
        ("roses", None, "expected a task of this agent, got 'roses' by bob "),
        ("roses", 1, "only its author can restore a version"),
        ("trees", None, "expected an earlier version of 'trees' to restore"),
    ],
)
def test_restoring_what_cannot_be_restored_is_one_sentence(
    tmp_path: Path, task: str, version: str | int | None, sentence: str
) -> None:
    """Nothing is saved."""
    view = home_of(tmp_path, ALICE)
    put_versions(view, ALICE, 2)
    put_versions(view, BOB, 2, task="roses", alias="bob")
    put_versions(view, ALICE, 1, task="trees")
    digest = view.digest()
    with pytest.raises(UsageError) as error:
        restore_version(view, task, version)
    assert sentence in str(error.value)
    assert view.digest() == digest


def test_an_agent_without_a_key_restores_nothing_and_gets_none(tmp_path: Path) -> None:
    """A look at a home creates no identity."""
    view = BankView(tmp_path)
    put_versions(view, ALICE, 2)
    with pytest.raises(UsageError, match="only its author"):
        restore_version(view, "flowers")
    assert not view.home.key_file.exists()
    assert len(skill_history(view, "flowers")) == 2


def test_of_two_versions_in_one_place_one_is_active_and_the_author_can_choose(
    tmp_path: Path,
) -> None:
    """Two processes learned one task: both are listed, and restoring makes either one active."""
    view = home_of(tmp_path, ALICE)
    first, second = (sample_signed(ALICE, seed) for seed in range(2))
    third = sample_signed(ALICE, 2, replaces=first.id)
    for one in (first, second, third):
        view.bank.put(one)
    winner, loser = (choose((second, third), key=lambda one: one.id) for choose in (max, min))
    names = {info.id: info.display_name for info in view.infos()}
    assert (names[winner.id], names[loser.id]) == ("flowers", f"flowers@alice@{loser.id[:8]}")
    assert [entry.id for entry in view.bank.active()] == [winner.id]
    done = restore_version(view, names[loser.id])
    assert view.bank.load(done.skill_id).skill.card.replaces == winner.id
    assert [entry.id for entry in view.bank.active()] == [done.skill_id]
    assert {entry.id for entry in view.bank.current()} == {loser.id, done.skill_id}
