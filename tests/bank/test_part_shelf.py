"""Parts on the disk: in any order of arrival, after any failure, and only of invited agents."""

from __future__ import annotations

import errno
import itertools
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from teachmesh.bank import part_shelf
from teachmesh.bank.hashed_files import HashedFiles
from teachmesh.bank.store import Bank
from teachmesh.data.splits import SplitRule
from teachmesh.errors import SkillRefused, StorageError
from teachmesh.packet.part import Part, PartFacts, sign_part
from teachmesh.packet.roster import Roster, RosterFacts, sign_roster
from teachmesh.packet.signing import AgentKey
from teachmesh.packet.tombstone import Tombstone, sign_tombstone
from tests.bank.failing import FailingOps
from tests.packet.sample_skills import ALICE, BOB, MALLORY

TASK = (ALICE.public_key, "screws")
PRINT = "ab" * 32


def roster(
    number: int, *members: AgentKey, owner: AgentKey = ALICE, task: str = "screws"
) -> Roster:
    """A roster of a task."""
    keys = frozenset(key.public_key for key in members)
    return sign_roster(RosterFacts(task, PRINT, SplitRule(), keys, number, {}), owner)


def part(key: AgentKey, number: int, replaces: str | None = None, fingerprint: str = PRINT) -> Part:
    """A part of Alice's task."""
    facts = PartFacts("screws", ALICE.public_key, fingerprint, 3, number, replaces)
    return sign_part(facts, b"sums", key)


FIRST, SECOND = roster(1, BOB), roster(2, BOB, MALLORY)
OWN, BOBS, MALLORYS = part(ALICE, 1), part(BOB, 1), part(MALLORY, 1)
BETTER = part(BOB, 2, replaces=BOBS.id)


def arrive(bank: Bank, item: Part | Roster | Tombstone) -> None:
    """Deliver something; a part that comes before its roster is refused."""
    with suppress(SkillRefused):
        if isinstance(item, Part):
            bank.parts.add(item)
        elif isinstance(item, Roster):
            bank.parts.add_roster(item)
        else:
            bank.withdrawals.add(item, keep_file=False)


def live(bank: Bank) -> list[str]:
    """Ids of the parts that count."""
    return [entry.id for entry in bank.parts.live(TASK)]


def test_any_order_of_arrival_gives_the_same_parts(tmp_path: Path) -> None:
    """A withdrawn and a replaced part do not count, whichever statement comes first."""
    items = (OWN, BOBS, BETTER, MALLORYS, sign_tombstone(MALLORYS.id, ALICE), SECOND)
    orders = list(itertools.permutations(items))[::72]
    for n, order in enumerate(orders):
        with Bank(tmp_path / str(n)) as bank:
            arrive(bank, FIRST)
            for item in (*order, *order):  # every agent asks again for what it lacks
                arrive(bank, item)
            bank.parts.sweep()
            assert live(bank) == [OWN.id, BETTER.id]
            assert bank.parts.rosters() == [SECOND]
            assert not (bank.folder / "parts" / f"{MALLORYS.id}.part").exists()


def test_who_may_add_and_withdraw_parts(tmp_path: Path) -> None:
    """Uninvited agents cannot add one; only its author and the owner can withdraw one."""
    with Bank(tmp_path) as bank:
        with pytest.raises(SkillRefused, match="has not invited") as caught:
            bank.parts.add(BOBS)
        assert caught.value.reason == "AUTHOR"
        assert bank.parts.add_roster(FIRST)
        assert not bank.parts.add_roster(FIRST)
        with pytest.raises(SkillRefused, match=f"skills invite screws {MALLORY.public_key}"):
            bank.parts.add(MALLORYS)
        with pytest.raises(SkillRefused, match="another backbone"):
            bank.parts.add(part(BOB, 9, fingerprint="cd" * 32))
        bank.parts.add(BOBS)
        bank.parts.add(OWN)
        for key, item in ((MALLORY, BOBS), (BOB, OWN), (MALLORY, OWN)):
            bank.withdrawals.add(sign_tombstone(item.id, key), keep_file=False)
        bank.parts.sweep()
        assert live(bank) == [OWN.id, BOBS.id]
        bank.withdrawals.add(sign_tombstone(BOBS.id, BOB), keep_file=False)
        assert live(bank) == [OWN.id]
        with pytest.raises(SkillRefused, match="withdrawn for good"):
            bank.parts.add(BOBS)
        bank.parts.add(BETTER)
        bank.parts.add_roster(roster(3))  # Bob is excluded
        bank.parts.sweep()
        assert [entry.id for entry in bank.parts.entries()] == [OWN.id]
        assert not bank.parts.add_roster(SECOND), "an older roster has no effect"


def test_a_reader_never_misses_a_roster_that_is_being_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old file is deleted after a reader has listed it."""
    with Bank(tmp_path) as writer, Bank(tmp_path) as reader:
        writer.parts.add_roster(FIRST)
        listed = HashedFiles.ids
        waiting = [SECOND]

        def ids(files: HashedFiles) -> set[str]:
            found = listed(files)
            if waiting and FIRST.id in found:
                writer.parts.add_roster(waiting.pop())
            return found

        monkeypatch.setattr(HashedFiles, "ids", ids)
        assert reader.parts.rosters() == [SECOND]


def test_a_thread_never_misses_what_another_thread_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second reader comes while the first one decodes a file."""
    with Bank(tmp_path) as writer:
        for item in (FIRST, OWN):
            arrive(writer, item)
    with Bank(tmp_path) as bank:
        seen: list[object] = []
        for name, again in (("read_roster", bank.parts.rosters), ("read_part", bank.parts.entries)):
            decode = getattr(part_shelf, name)

            def slowly(
                data: bytes, name: str = name, decode: Any = decode, again: Any = again
            ) -> Any:
                with monkeypatch.context() as patch:
                    patch.setattr(part_shelf, name, decode)
                    seen.append(len(again()))
                return decode(data)

            monkeypatch.setattr(part_shelf, name, slowly)
            assert len(again()) == 1
        assert seen == [1, 1]


def test_a_listing_made_during_a_replacement_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has neither the old nor the new file."""
    with Bank(tmp_path) as bank:
        bank.parts.add_roster(FIRST)
        listed, short = HashedFiles.ids, [set[str]()]
        monkeypatch.setattr(
            HashedFiles, "ids", lambda files: short.pop() if short else listed(files)
        )
        assert bank.parts.rosters() == [FIRST]


def test_a_part_that_arrives_while_it_is_read_is_not_set_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reader finds no file; then the writer stores it."""
    with Bank(tmp_path) as writer, Bank(tmp_path) as reader:
        writer.parts.add_roster(FIRST)
        read, waiting = HashedFiles.read_whole, [OWN]

        def late(files: HashedFiles, name: str) -> bytes | None:
            data = read(files, name)
            if name == OWN.id and waiting:
                writer.parts.add(waiting.pop())
            return data

        monkeypatch.setattr(HashedFiles, "read_whole", late)
        found = reader.parts.load(OWN.id)
        assert found is not None
        assert found.data == OWN.data
        assert live(reader) == [OWN.id]


def test_numbers_of_parts_and_tasks_are_limited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An author who exceeds them harms only itself."""
    monkeypatch.setattr(part_shelf, "MAX_PER_AUTHOR", 3)
    monkeypatch.setattr(part_shelf, "MAX_PER_OWNER", 3)
    with Bank(tmp_path) as bank:
        bank.parts.add_roster(FIRST)
        for number in range(3):
            bank.parts.add(part(BOB, number))
        with pytest.raises(SkillRefused, match="at most 3 parts"):
            bank.parts.add(part(BOB, 99))
        bank.parts.add(OWN)
        for number in range(3):
            bank.parts.add_roster(roster(1, ALICE, owner=MALLORY, task=f"task {number}"))
        with pytest.raises(SkillRefused, match="at most 3 tasks"):
            bank.parts.add_roster(roster(1, ALICE, owner=MALLORY, task="another"))
        assert bank.parts.add_roster(SECOND)


def test_every_disk_operation_may_fail(tmp_path: Path) -> None:
    """After each failure the parts are those of before or after, and the work can be repeated."""
    for fail_at in itertools.count(1):
        folder = tmp_path / str(fail_at)
        with Bank(folder) as bank:
            bank.parts.add_roster(FIRST)
            bank.parts.add(OWN)
        ops = FailingOps()
        with Bank(folder, ops=ops) as bank:
            ops.count, ops.fail_at, ops.code = 0, fail_at, errno.ENOSPC
            done = 0
            with suppress(StorageError):
                bank.parts.add(BOBS)
                done = 1
                bank.parts.add_roster(SECOND)
                done = 2
            if not ops.has_failed:
                break
        with Bank(folder) as bank:
            assert OWN.id in live(bank)
            assert (BOBS.id in live(bank)) >= (done >= 1)
            assert bank.parts.rosters() in ([FIRST], [SECOND])
            if done == 2:
                assert bank.parts.rosters() == [SECOND]
            bank.parts.add(BOBS)
            bank.parts.add_roster(SECOND)
            bank.parts.sweep()
            bank.repair()
            assert (live(bank), bank.parts.rosters()) == ([OWN.id, BOBS.id], [SECOND])
            assert bank.check().is_clean
    assert fail_at > 10


def test_check_and_repair_find_damaged_parts(tmp_path: Path) -> None:
    """A damaged part is set aside, so that another agent can send it again."""
    with Bank(tmp_path) as bank:
        bank.parts.add_roster(FIRST)
        bank.parts.add(OWN)
        bank.parts.add(BOBS)
    for item, folder, end in ((BOBS, "parts", "part"), (FIRST, "rosters", "json")):
        path = tmp_path / folder / f"{item.id}.{end}"
        path.write_bytes(item.data[:-1] + b"!")
    (tmp_path / "parts" / "notes.txt").write_text("of a person")
    (tmp_path / "parts" / ".tmp-ab12").write_text("of a killed process")
    with Bank(tmp_path) as bank:
        report = bank.check()
        assert report.damaged == tuple(sorted((BOBS.id, FIRST.id)))
        assert (report.unlisted, report.temporary) == (("notes.txt",), (".tmp-ab12",))
        bank.parts.sweep()  # without its roster, no part is deleted
        assert bank.repair() == report
        assert (tmp_path / "damaged" / f"{BOBS.id}.part").exists()
        assert bank.check().damaged == ()
        assert [entry.id for entry in bank.parts.entries()] == [OWN.id]
        bank.parts.add_roster(FIRST)
        bank.parts.add(BOBS)
        assert live(bank) == [OWN.id, BOBS.id]
        bank.parts.load(BOBS.id)
        (tmp_path / "parts" / f"{OWN.id}.part").write_bytes(b"torn")
        assert bank.parts.load(OWN.id) is None
        assert live(bank) == [BOBS.id]
