"""Withdrawn skills: in any order of arrival, a bank answers as if they had never come."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from teachmesh.bank import withdrawals
from teachmesh.bank.hashed_files import HashedFiles
from teachmesh.bank.store import Bank, digest_of
from teachmesh.errors import SkillRefused
from teachmesh.packet.signing import VerifiedSkill
from teachmesh.packet.tombstone import Tombstone, sign_tombstone
from tests.bank.index_files import lose_index
from tests.packet.sample_skills import ALICE, BOB, MALLORY, sample_signed

FIRST = sample_signed()
SECOND = sample_signed(seed=1, replaces=FIRST.id)
THIRD = sample_signed(seed=2, replaces=SECOND.id)
OTHER = sample_signed(BOB, seed=3)
SKILLS = (FIRST, SECOND, THIRD, OTHER)
GRAVES = tuple(sign_tombstone(skill.id, ALICE) for skill in (FIRST, SECOND, THIRD))
FORGED = (sign_tombstone(OTHER.id, ALICE), sign_tombstone(THIRD.id, MALLORY))
ARRIVALS: tuple[VerifiedSkill | Tombstone, ...] = (*SKILLS, *GRAVES, *FORGED)


def file_of(bank: Bank, tombstone: Tombstone) -> Path:
    """Return the path of a tombstone's file; part of the documented layout."""
    return bank.folder / "tombstones" / f"{tombstone.id}.json"


def arrive(bank: Bank, arrival: VerifiedSkill | Tombstone, *, keep_file: bool = False) -> None:
    """Deliver a skill or a tombstone, as peers do."""
    if isinstance(arrival, Tombstone):
        bank.withdrawals.add(arrival, keep_file=keep_file)
        return
    with suppress(SkillRefused):
        bank.put(arrival, restore=False)


def check_never_came(bank: Bank, arrived: Sequence[VerifiedSkill | Tombstone]) -> None:
    """The bank is that of an agent to which the withdrawn skills never came."""
    graves = {(grave.author, grave.skill) for grave in arrived if isinstance(grave, Tombstone)}
    live = [
        skill
        for skill in arrived
        if isinstance(skill, VerifiedSkill) and (skill.skill.card.author, skill.id) not in graves
    ]
    with tempfile.TemporaryDirectory() as folder, Bank(Path(folder)) as never:
        for skill in live:
            never.put(skill)
        assert bank.active() == never.active()
        assert (bank.ids(), bank.digest()) == (never.ids(), never.digest())
    assert bank.withdrawals.ids() == sorted({g.id for g in arrived if isinstance(g, Tombstone)})
    assert bank.check().is_clean


@settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(
    order=st.lists(st.sampled_from(range(len(ARRIVALS))), max_size=16),
    keep_file=st.booleans(),
    trouble=st.sampled_from(["none", "reopen", "lose index"]),
)
def test_any_order_of_arrival_is_as_if_withdrawn_skills_had_never_come(
    order: list[int], keep_file: bool, trouble: str
) -> None:
    """Skills of a chain, tombstones, forged tombstones and duplicates; also after a restart."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "bank"
        with Bank(folder) as bank:
            for number in order:
                arrive(bank, ARRIVALS[number], keep_file=keep_file)
        if trouble == "lose index":
            lose_index(folder)
        with Bank(folder, read_only=trouble == "none") as bank:
            check_never_came(bank, [ARRIVALS[number] for number in order])


@pytest.mark.parametrize("order", list(itertools.permutations((FIRST, SECOND, GRAVES[1]))))
def test_the_withdrawn_version_replaces_nothing(
    order: tuple[VerifiedSkill | Tombstone, ...], bank: Bank
) -> None:
    """The older version is active then, as if the newer one had never come."""
    for arrival in order:
        arrive(bank, arrival)
    assert [entry.id for entry in bank.active()] == [FIRST.id]
    assert bank.digest() == digest_of([FIRST.id])


def test_a_withdrawn_skill_never_comes_back(bank: Bank) -> None:
    """From a peer or a file, before and after its file was deleted: refused, and not wanted."""
    bank.put(FIRST)
    bank.withdrawals.add(GRAVES[0], keep_file=False)
    assert bank.entries() == []
    assert bank.removed_ids() == [FIRST.id]
    for restore in (True, False):
        with pytest.raises(SkillRefused, match="withdrawn by its author") as caught:
            bank.put(FIRST, restore=restore)
        assert caught.value.reason == "WITHDRAWN"
    assert bank.ids() == []


def test_a_skill_that_comes_after_its_tombstone_is_downloaded_once_at_most(bank: Bank) -> None:
    """Only its bytes show who the author is; then it is marked, and not wanted any more."""
    bank.withdrawals.add(GRAVES[0], keep_file=False)
    assert bank.removed_ids() == []
    with pytest.raises(SkillRefused):
        bank.put(FIRST, restore=False)
    assert bank.removed_ids() == [FIRST.id]
    assert not list((bank.folder / "skills").iterdir())


def test_the_author_keeps_the_file_until_it_is_pruned(bank: Bank) -> None:
    """It is in no answer, but can be read, and neither a peer nor a restart deletes it."""
    bank.put(FIRST)
    bank.withdrawals.add(GRAVES[0], keep_file=True)
    assert (bank.ids(), bank.active(), bank.withdrawals.skills()) == ([], [], [FIRST.id])
    with pytest.raises(SkillRefused):
        bank.put(FIRST, restore=False)
    bank.close()
    with Bank(bank.folder) as again:
        assert again.get(FIRST.id) == FIRST.data
        assert [entry.id for entry in again.withdrawals.prune()] == [FIRST.id]
        assert again.withdrawals.prune() == []
        assert not list((again.folder / "skills").iterdir())
        assert again.check().is_clean
        with pytest.raises(SkillRefused):
            again.put(FIRST)


def test_another_authors_tombstone_has_no_effect(bank: Bank) -> None:
    """Whichever comes first; the bank stores it, so that all banks end with the same set."""
    bank.withdrawals.add(FORGED[0], keep_file=False)
    bank.put(OTHER)
    bank.put(THIRD)
    bank.withdrawals.add(FORGED[1], keep_file=False)
    assert bank.ids() == sorted([OTHER.id, THIRD.id])
    assert bank.withdrawals.skills() == []
    assert bank.withdrawals.of_author(MALLORY.public_key) == [THIRD.id]


def test_an_author_fills_only_its_own_part_of_the_bank(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The smallest ids stay, so that the order of arrival makes no difference."""
    monkeypatch.setattr(withdrawals, "MAX_PER_AUTHOR", 3)
    many = [sign_tombstone(f"{number:064x}", MALLORY) for number in range(6)]
    kept = sorted(grave.id for grave in many)[:3]
    for name, order in (("one", many), ("other", many[::-1])):
        with Bank(tmp_path / name) as bank:
            bank.withdrawals.add(GRAVES[0], keep_file=False)
            for grave in order:
                with suppress(SkillRefused):
                    bank.withdrawals.add(grave, keep_file=False)
            assert bank.withdrawals.ids() == sorted([*kept, GRAVES[0].id])
            assert bank.check().is_clean
            with pytest.raises(SkillRefused, match="at most 3 tombstones") as caught:
                bank.withdrawals.add(max(many, key=lambda grave: grave.id), keep_file=False)
            assert caught.value.reason == "LIMIT"


def zeros(path: Path) -> None:
    """Damage a file."""
    path.write_bytes(bytes(path.stat().st_size))


@pytest.mark.parametrize("harm", [zeros, Path.unlink], ids=["zeros", "deleted"])
def test_a_damaged_tombstone_is_found_and_can_come_back(
    bank: Bank, harm: Callable[[Path], None]
) -> None:
    """It is not served; a peer sends it again, and a restart does the same."""
    bank.put(FIRST)
    bank.withdrawals.add(GRAVES[0], keep_file=True)
    harm(file_of(bank, GRAVES[0]))
    report = bank.check()
    assert report.damaged + report.missing == (GRAVES[0].id,)
    assert bank.withdrawals.get(GRAVES[0].id) is None
    assert bank.withdrawals.ids() == []
    assert bank.check().is_clean
    bank.withdrawals.add(GRAVES[0], keep_file=True)
    assert bank.withdrawals.get(GRAVES[0].id) == GRAVES[0].data
    harm(file_of(bank, GRAVES[0]))
    bank.close()
    lose_index(bank.folder)
    with Bank(bank.folder) as again:
        assert again.withdrawals.ids() == []
        assert again.check().is_clean


def test_a_tombstone_that_arrives_while_it_is_read_is_not_set_aside(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reader finds no file; then another process stores it."""
    read, waiting = HashedFiles.read_whole, [GRAVES[0]]
    with Bank(bank.folder) as writer:

        def late(files: HashedFiles, name: str) -> bytes | None:
            data = read(files, name)
            if waiting:
                writer.withdrawals.add(waiting.pop(), keep_file=False)
            return data

        monkeypatch.setattr(HashedFiles, "read_whole", late)
        assert bank.withdrawals.get(GRAVES[0].id) == GRAVES[0].data
        assert bank.withdrawals.ids() == [GRAVES[0].id]


def test_opening_lists_a_tombstone_whose_row_was_never_committed(bank: Bank) -> None:
    """Killed between rename and commit; strange files are reported and left alone."""
    bank.put(FIRST)
    bank.close()
    file_of(bank, GRAVES[0]).write_bytes(GRAVES[0].data)
    (bank.folder / "tombstones" / ".tmp-1234").write_bytes(b"half")
    (bank.folder / "tombstones" / "notes.txt").write_bytes(b"hello")
    with Bank(bank.folder) as again:
        assert again.ids() == []
        report = again.check()
        assert (report.unlisted, report.temporary) == (("notes.txt",), ())


def test_a_bank_of_an_earlier_version_gets_the_folder(bank: Bank) -> None:
    """Reading such a bank works without it."""
    bank.put(FIRST)
    bank.close()
    (bank.folder / "tombstones").rmdir()
    lose_index(bank.folder)
    with Bank(bank.folder, read_only=True) as reader:
        assert (reader.ids(), reader.withdrawals.ids()) == ([FIRST.id], [])
    with Bank(bank.folder) as again:
        again.withdrawals.add(GRAVES[0], keep_file=True)
        assert again.ids() == []
