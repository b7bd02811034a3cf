"""An author with two versions in one place, and an author whose newer skills are withheld."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from teachmesh.agent.known_skills.bank_view import BankView
from teachmesh.agent.known_skills.withdraw_skills import retire_replaced
from teachmesh.agent.on_mesh.known_agents import withheld
from teachmesh.packet.signing import VerifiedSkill
from teachmesh.packet.tombstone import sign_tombstone
from teachmesh.sharing.messages import Announcement
from teachmesh.sharing.publications import MAX_AUTHORS, Publications
from tests.packet.sample_skills import ALICE, BOB, sample_signed

ROOT = sample_signed(ALICE)
FORK = [sample_signed(ALICE, seed=seed, replaces=ROOT.id) for seed in (1, 2)]
LATER = sample_signed(ALICE, seed=3, replaces=FORK[0].id)
OTHER = sample_signed(BOB, seed=4)


def view_of(folder: Path, *skills: VerifiedSkill) -> BankView:
    """Return the view of a home with these skills, in this order of arrival."""
    view = BankView(folder)
    for skill in skills:
        view.bank.put(skill)
    return view


def said(published: int, sequence: int, author: str = ALICE.public_key) -> Announcement:
    """Return an announcement of an author."""
    return Announcement(author, "alice", "ab" * 32, "cd" * 32, 3, published, sequence)


def test_a_fork_has_one_active_version_in_any_order_and_both_are_shown(tmp_path: Path) -> None:
    """The winner depends on the skills alone; a successor of either side takes part like it."""
    active = set()
    for number, order in enumerate(itertools.permutations((ROOT, *FORK, OTHER))):
        view = view_of(tmp_path / str(number), *order)
        mine = [entry.id for entry in view.bank.active() if entry.author == ALICE.public_key]
        active.add(tuple(mine))
    assert active == {(max(skill.id for skill in FORK),)}
    shown = {info.id: info for info in view.infos()}
    (winner,) = active.pop()
    (loser,) = {skill.id for skill in FORK} - {winner}
    assert "signed another version in its place" in shown[loser].reason
    assert winner[:12] in shown[loser].reason
    assert "also signed another version" in shown[winner].remark
    assert (shown[loser].active, view.status()["forks"]) == (False, 1)
    names = [info.display_name for info in shown.values()]
    assert len(set(names)) == len(names)


def test_a_withdrawn_side_ends_a_fork(tmp_path: Path) -> None:
    """The author, or a person who removes one side, decides."""
    view = view_of(tmp_path, ROOT, *FORK, LATER)
    view.bank.withdrawals.add(sign_tombstone(FORK[1].id, ALICE), keep_file=False)
    assert [entry.id for entry in view.bank.active()] == [LATER.id]
    assert view.status()["forks"] == 0


def test_the_author_itself_never_buries_a_side_of_a_fork(tmp_path: Path) -> None:
    """A copied home may have made the other side, and a tombstone is for good."""
    view = view_of(tmp_path, *FORK)
    retire_replaced(view.bank, ALICE)
    assert sorted(view.bank.ids()) == sorted(skill.id for skill in FORK)
    assert view.bank.withdrawals.ids() == []


def test_skills_that_an_author_announced_and_that_do_not_come_are_noticed(tmp_path: Path) -> None:
    """Also after the author left, and for a newer version that a relay keeps back."""
    known, view = Publications(), view_of(tmp_path, ROOT, OTHER)
    known.note(said(2, 1))
    known.note(said(1, 2))  # numbers never fall
    assert [(one["announced"], one["here"]) for one in withheld(view, known.all())] == [(2, 1)]
    view.bank.put(FORK[0])
    assert withheld(view, known.all()) == []


def test_withdrawn_skills_count_as_published(tmp_path: Path) -> None:
    """Nobody takes a withdrawal for a skill that is withheld, whichever of the two came."""
    view = view_of(tmp_path, ROOT)
    for skill in (ROOT, FORK[0]):
        view.bank.withdrawals.add(sign_tombstone(skill.id, ALICE), keep_file=False)
    assert (view.bank.ids(), view.bank.published(ALICE.public_key)) == ([], 2)


def test_the_number_of_remembered_authors_is_limited() -> None:
    """The one that was heard of longest ago is forgotten."""
    known = Publications()
    for number in range(MAX_AUTHORS + 1):
        known.note(said(1, 1, f"{number:064x}"))
    assert len(known.all()) == MAX_AUTHORS
    assert known.all()[0].author == f"{1:064x}"


@pytest.mark.parametrize("later", [True, False])
def test_the_newest_version_of_a_fork_wins(tmp_path: Path, later: bool) -> None:
    """Time of creation comes before the id, so a version learned again by mistake is the one."""
    times = {True: "2026-11-24T11:00:00Z", False: "2026-11-22T11:00:00Z"}
    other = sample_signed(ALICE, seed=5, replaces=ROOT.id, created=times[later])
    view = view_of(tmp_path, FORK[0], other)
    assert [entry.id for entry in view.bank.active()] == [(other if later else FORK[0]).id]
