"""Each disk operation fails once, in turn; no acknowledged skill is lost and no file is torn."""

from __future__ import annotations

import errno
from collections.abc import Callable
from functools import partial
from pathlib import Path
from shutil import copytree

import pytest

from teachmesh.bank.atomic import TEMP_PREFIX
from teachmesh.bank.home import Config, Home
from teachmesh.bank.output_file import write_file
from teachmesh.bank.store import Bank
from teachmesh.errors import StorageError
from teachmesh.packet.codec import skill_id
from teachmesh.packet.tombstone import sign_tombstone
from tests.bank.failing import FailingOps, ShortWrites
from tests.bank.index_files import lose_index
from tests.packet.sample_skills import ALICE, sample_signed

OLD, NEW = sample_signed(), sample_signed(seed=1)
GROWN = sample_signed(seed=3, replaces=OLD.id)
OLD_ID, NEW_ID = OLD.id, NEW.id
CODES = [errno.ENOSPC, errno.EIO, errno.EACCES, errno.EROFS, errno.EDQUOT]


def put_new(bank: Bank) -> None:
    """Save a second skill."""
    bank.put(NEW)


def replace_old(bank: Bank) -> None:
    """Save a newer version of the first skill."""
    bank.put(GROWN)
    assert GROWN.id in {entry.id for entry in bank.active()}


def remove_old(bank: Bank) -> None:
    """Remove the first skill."""
    bank.remove(OLD_ID)


def rebuild(bank: Bank) -> None:
    """Derive the index again."""
    lose_index(bank.folder)
    bank.ids()


def restore_removed(bank: Bank) -> None:
    """Take back a skill that was removed."""
    bank.put(sample_signed(seed=2))


def withdraw_old(bank: Bank) -> None:
    """Withdraw the first skill and keep its file, as its author does."""
    bank.withdrawals.add(sign_tombstone(OLD_ID, ALICE), keep_file=True)


def drop_withdrawn(bank: Bank) -> None:
    """Withdraw the first skill and delete its file, as a peer does."""
    bank.withdrawals.add(sign_tombstone(OLD_ID, ALICE), keep_file=False)


def prune_withdrawn(bank: Bank) -> None:
    """Withdraw the first skill, and delete its file later."""
    withdraw_old(bank)
    bank.withdrawals.prune()


def repair_clean(bank: Bank) -> None:
    """Hash every file and make the index again."""
    bank.repair()


OPERATIONS = [put_new, replace_old, remove_old, rebuild, restore_removed]
OPERATIONS += [withdraw_old, drop_withdrawn, prune_withdrawn, repair_clean]


def make_dirty(folder: Path) -> None:
    """Leave a file without a row, a removed skill with its file, and temporary files."""
    skills = folder / "skills"
    (skills / f"{NEW_ID}.safetensors").write_bytes(NEW.data)
    (folder / "removed" / OLD_ID).write_bytes(b"")
    (folder / "removed" / f"{TEMP_PREFIX}1").write_bytes(b"")
    (skills / f"{TEMP_PREFIX}2").write_bytes(NEW.data[:100])
    tombstone = sign_tombstone("ab" * 32, ALICE)
    (folder / "tombstones" / f"{tombstone.id}.json").write_bytes(tombstone.data)


def lose_dirty_index(folder: Path) -> None:
    """Also lose the index."""
    make_dirty(folder)
    lose_index(folder)


def damage_dirty_index(folder: Path) -> None:
    """Also damage the index, and leave an old log next to it."""
    make_dirty(folder)
    (folder / "index.sqlite3").write_bytes(b"no database" * 1000)
    (folder / "index.sqlite3-wal").write_bytes(bytes(range(256)) * 16)


def open_bank(folder: Path, ops: FailingOps) -> None:
    """Open and close a bank."""
    Bank(folder, ops=ops).close()


def refusal_of(act: Callable[[], None]) -> str | None:
    """Call a function; return the message of its StorageError, or None."""
    try:
        act()
    except StorageError as error:
        return str(error)
    return None


def prepare_bank(folder: Path) -> Path:
    """Make a bank with one skill, and one that was removed; return its folder."""
    with Bank(folder) as bank:
        bank.put(OLD)
        bank.remove(bank.put(sample_signed(seed=2)).id)
    return folder


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bank that tests copy."""
    return prepare_bank(tmp_path_factory.mktemp("prepared") / "bank")


def check_invariants(folder: Path, done: set[str], undone: set[str]) -> None:
    """Check that after a restart the operation is done or undone, and the bank is clean."""
    with Bank(folder) as bank:
        assert set(bank.ids()) in (done, undone)
        assert bank.check().is_clean
        assert not list(folder.rglob(f"{TEMP_PREFIX}*"))
        for skill in bank.ids():
            assert skill_id(bank.get(skill)) == skill
        before = bank.entries()
        lose_index(folder)
        assert bank.entries() == before


def outcomes(operation: Callable[[Bank], None], folder: Path) -> tuple[set[str], set[str], int]:
    """Ids without and with the operation, and how many disk operations it takes."""
    ops = FailingOps()
    with Bank(folder, ops=ops) as bank:
        undone, ops.count = set(bank.ids()), 0
        operation(bank)
        return undone, set(bank.ids()), ops.count


@pytest.mark.parametrize("for_ever", [False, True], ids=["once", "for ever"])
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda act: act.__name__)
def test_the_nth_operation_fails(
    operation: Callable[[Bank], None], for_ever: bool, prepared: Path, tmp_path: Path
) -> None:
    """Exhaustive over n: StorageError with one sentence, or success; the invariants after both."""
    undone, done, n_operations = outcomes(operation, copytree(prepared, tmp_path / "plan"))
    assert n_operations >= 2
    for fail_at in range(1, n_operations + 1):
        folder = copytree(prepared, tmp_path / str(fail_at))
        ops = FailingOps(code=CODES[fail_at % len(CODES)], for_ever=for_ever)
        with Bank(folder, ops=ops) as bank:
            ops.count, ops.fail_at = 0, fail_at
            message = refusal_of(partial(operation, bank))
            ops.fail_at = 0
            assert message is None or "\n" not in message
            if message is None:
                assert set(bank.ids()) == done
            elif operation is put_new:
                assert NEW_ID not in bank.ids(), "not acknowledged, so not listed"
        check_invariants(folder, done, undone)


@pytest.mark.parametrize("for_ever", [False, True], ids=["once", "for ever"])
def test_a_damaged_file_is_met_on_a_failing_disk(
    for_ever: bool, prepared: Path, tmp_path: Path
) -> None:
    """The file is never served, and is set aside as soon as the disk allows it."""
    for fail_at in range(1, 40):
        folder = copytree(prepared, tmp_path / str(fail_at))
        ops = FailingOps(for_ever=for_ever)
        with Bank(folder, ops=ops) as bank:
            (folder / "skills" / f"{OLD_ID}.safetensors").write_bytes(b"rot")
            ops.count, ops.fail_at = 0, fail_at
            with pytest.raises(StorageError, match=OLD_ID):
                bank.get(OLD_ID)
            ops.fail_at, reached = 0, ops.count >= fail_at
            if OLD_ID in bank.ids():
                with pytest.raises(StorageError, match=OLD_ID):
                    bank.get(OLD_ID)
        check_invariants(folder, set(), set())
        if not reached:
            break
    assert fail_at > 3


@pytest.mark.parametrize("for_ever", [False, True], ids=["once", "for ever"])
def test_opening_fails_at_the_nth_operation(for_ever: bool, tmp_path: Path) -> None:
    """Opening a new bank gives an error, and the next opening works."""
    for fail_at in range(1, 40):
        ops = FailingOps(fail_at, for_ever=for_ever)
        folder = tmp_path / str(fail_at)
        message = refusal_of(partial(open_bank, folder, ops))
        assert message is None or "disk" in message
        if not ops.has_failed:
            break
        check_invariants(folder, set(), set())
    else:
        raise AssertionError("opening never got through")
    assert fail_at > 8


@pytest.mark.parametrize("for_ever", [False, True], ids=["once", "for ever"])
@pytest.mark.parametrize("spoil", [make_dirty, lose_dirty_index, damage_dirty_index])
def test_opening_a_dirty_bank_fails_at_the_nth_operation(
    spoil: Callable[[Path], None], for_ever: bool, prepared: Path, tmp_path: Path
) -> None:
    """An error or a bank; the next opening finishes the work of the killed process."""
    spoil(copytree(prepared, tmp_path / "dirty"))
    for fail_at in range(1, 60):
        folder = copytree(tmp_path / "dirty", tmp_path / str(fail_at))
        ops = FailingOps(fail_at, CODES[fail_at % len(CODES)], for_ever)
        message = refusal_of(partial(open_bank, folder, ops))
        assert message is None or message.startswith("could not open the bank")
        check_invariants(folder, {NEW_ID}, {NEW_ID})
        if not ops.has_failed:
            break
    assert 8 < fail_at < 59


@pytest.mark.parametrize("for_ever", [False, True], ids=["once", "for ever"])
@pytest.mark.parametrize("act", ["put", "repair"])
def test_damage_is_mended_on_a_failing_disk(
    act: str, for_ever: bool, prepared: Path, tmp_path: Path
) -> None:
    """A skill that is delivered again, or a repair, is done or undone; a repair then cleans up."""
    for fail_at in range(1, 60):
        folder = copytree(prepared, tmp_path / str(fail_at))
        ops = FailingOps(for_ever=for_ever)
        with Bank(folder, ops=ops) as bank:
            bank.put(NEW)
            (folder / "skills" / f"{OLD_ID}.safetensors").write_bytes(b"rot")
            ops.count, ops.fail_at = 0, fail_at
            message = refusal_of(partial(bank.put, OLD) if act == "put" else bank.repair)
            ops.fail_at, reached = 0, ops.count >= fail_at
            if message is None and act == "put":
                assert bank.get(OLD_ID) == OLD.data
        with Bank(folder) as bank:
            bank.repair()
        check_invariants(folder, {NEW_ID}, {NEW_ID, OLD_ID} if act == "put" else {NEW_ID})
        if not reached:
            break
    assert 3 < fail_at < 59


@pytest.mark.parametrize("code", CODES)
def test_the_sentence_says_what_to_do(code: int, tmp_path: Path) -> None:
    """The message names the skill, the reason and the remedy; exit code 8."""
    ops = FailingOps(code=code)
    with Bank(tmp_path / "bank", ops=ops) as bank:
        ops.fail_at = ops.count + 2
        with pytest.raises(StorageError) as error:
            bank.put(NEW)

    text = str(error.value)
    assert text.startswith(f"could not save skill {NEW_ID[:12]}: ")
    assert len(text) < 200
    assert error.value.exit_code == 8


def test_short_writes_are_continued(tmp_path: Path) -> None:
    """The system may write fewer bytes than requested."""
    with Bank(tmp_path / "bank", ops=ShortWrites()) as bank:
        assert bank.get(bank.put(NEW).id) == NEW.data


def test_a_failed_export_leaves_no_file(tmp_path: Path) -> None:
    """A missing folder gives a one-line error."""
    with pytest.raises(StorageError, match="could not write"):
        write_file(tmp_path / "nowhere" / "x.skill", NEW.data)
    write_file(tmp_path / "x.skill", NEW.data)
    assert [path.name for path in tmp_path.iterdir()] == ["x.skill"]


def test_a_home_survives_the_nth_failure(tmp_path: Path) -> None:
    """Key and settings are written as a whole or not at all."""
    for fail_at in range(1, 40):
        ops = FailingOps(fail_at)
        folder = tmp_path / str(fail_at)
        try:
            home = Home(folder, ops=ops)
            home.load_key()
            home.save_config(Config(alias="alice"))
        except StorageError:
            pass
        if not ops.has_failed:
            break
        again = Home(folder)
        assert again.load_key() == again.load_key()
        assert again.config.alias in (None, "alice")
    else:
        raise AssertionError("the home was never made")
