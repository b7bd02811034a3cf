"""Damaged files, lost indexes and unfinished work are found and repaired."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from teachmesh.bank.atomic import TEMP_PREFIX
from teachmesh.bank.index import FORMAT
from teachmesh.bank.store import Bank
from teachmesh.errors import StorageError
from teachmesh.packet.codec import skill_id
from tests.bank.index_files import lose_index
from tests.packet.sample_skills import sample_bytes, sample_signed


def file_of(bank: Bank, skill: str) -> Path:
    """Return the path of a skill's file; part of the documented layout."""
    return bank.folder / "skills" / f"{skill}.safetensors"


def damage(path: Path, kind: str) -> None:
    """Damage a file in one of the ways in which disks do."""
    data = bytearray(path.read_bytes())
    if kind == "first bit":
        data[0] ^= 1
    elif kind == "last bit":
        data[-1] ^= 128
    elif kind == "middle byte":
        data[len(data) // 2] ^= 255
    elif kind == "truncated":
        del data[-100:]
    elif kind == "empty":
        data.clear()
    elif kind == "zeros":
        data[:] = bytes(len(data))
    path.write_bytes(bytes(data))


@pytest.mark.parametrize(
    "kind", ["first bit", "last bit", "middle byte", "truncated", "empty", "zeros"]
)
def test_a_damaged_file_is_set_aside_and_can_come_back(bank: Bank, kind: str) -> None:
    """The error names the id. The entry is dropped, so that peers deliver it again."""
    entry, other = bank.put(sample_signed()), bank.put(sample_signed(seed=1))
    damage(file_of(bank, entry.id), kind)

    assert bank.check().damaged == (entry.id,)
    with pytest.raises(StorageError, match=entry.id):
        bank.get(entry.id)

    assert bank.ids() == [other.id]
    assert (bank.folder / "damaged" / f"{entry.id}.safetensors").exists()
    assert bank.check().is_clean
    bank.put(sample_signed(), restore=False)
    assert bank.get(entry.id) == sample_bytes()


def test_a_flipped_bit_at_any_place_is_found(bank: Bank) -> None:
    """Positions all over the file."""
    entry = bank.put(sample_signed())
    path = file_of(bank, entry.id)
    whole = path.read_bytes()
    for position in range(0, len(whole), 13):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 4]) + whole[position + 1 :])
        assert bank.check().damaged == (entry.id,)


def test_a_read_only_bank_says_damaged_and_moves_nothing(bank: Bank) -> None:
    """A read-only bank has no right to change files."""
    entry = bank.put(sample_signed())
    damage(file_of(bank, entry.id), "zeros")

    with Bank(bank.folder, read_only=True) as reader, pytest.raises(StorageError, match=entry.id):
        reader.get(entry.id)
    assert file_of(bank, entry.id).exists()


def test_a_file_that_vanished_is_forgotten(bank: Bank) -> None:
    """After a removal by hand there is one error, then the skill can be delivered again."""
    entry = bank.put(sample_signed())
    file_of(bank, entry.id).unlink()

    assert bank.check().missing == (entry.id,)
    with pytest.raises(StorageError, match=entry.id):
        bank.get(entry.id)
    assert bank.ids() == []
    assert bank.put(sample_signed()) == entry


def test_putting_again_repairs_a_damaged_file(bank: Bank) -> None:
    """A delivery by a peer repairs damage that nobody has noticed yet."""
    entry = bank.put(sample_signed())
    damage(file_of(bank, entry.id), "truncated")
    bank.put(sample_signed())

    assert bank.get(entry.id) == sample_bytes()


def fill(folder: Path) -> tuple[list[str], str, list[object]]:
    """A bank with a removed skill and a replaced one; ids, digest, entries."""
    with Bank(folder) as bank:
        first = bank.put(sample_signed())
        bank.put(sample_signed(seed=1, replaces=first.id))
        bank.remove(bank.put(sample_signed(seed=2)).id)
        return bank.ids(), bank.digest(), list(bank.entries())


@pytest.mark.parametrize("kind", ["deleted", "deleted but its log", "garbage", "empty", "half"])
def test_a_lost_index_is_derived_from_the_files(tmp_path: Path, kind: str) -> None:
    """Same ids, digest, entries and removal marks."""
    ids, digest, entries = fill(tmp_path / "bank")
    path = tmp_path / "bank" / "index.sqlite3"
    if kind.startswith("deleted"):
        path.unlink()
        if kind == "deleted but its log":
            path.with_name("index.sqlite3-wal").write_bytes(bytes(range(256)) * 16)
    elif kind == "garbage":
        path.write_bytes(b"no database at all" * 1000)
    elif kind == "empty":
        path.write_bytes(b"")
    else:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    with Bank(tmp_path / "bank") as again:
        assert (again.ids(), again.digest(), again.entries()) == (ids, digest, entries)
        assert len(again.removed_ids()) == 1
        assert again.check().is_clean


def test_an_index_that_vanishes_under_a_running_agent_is_noticed(tmp_path: Path) -> None:
    """The bank checks the path, because the open file is no longer in the folder."""
    with Bank(tmp_path / "bank") as agent:
        entry = agent.put(sample_signed())
        lose_index(tmp_path / "bank")
        before = agent.version()

        assert agent.ids() == [entry.id]
        with Bank(tmp_path / "bank") as command:
            other = command.put(sample_signed(seed=1))
        assert agent.version() != before
        assert agent.ids() == sorted([entry.id, other.id])


def test_rebuilding_gives_an_equal_index(bank: Bank) -> None:
    """All content of the index is in the files too."""
    for seed in range(5):
        bank.put(sample_signed(seed=seed))
    entries, digest = bank.entries(), bank.digest()
    lose_index(bank.folder)

    assert (bank.entries(), bank.digest()) == (entries, digest)


def test_rebuilding_forgets_wrong_rows_and_sets_damaged_files_aside(bank: Bank) -> None:
    """After any change of the index by hand, the files decide."""
    good, bad = bank.put(sample_signed()), bank.put(sample_signed(seed=1))
    damage(file_of(bank, bad.id), "zeros")
    with sqlite3.connect(bank.folder / "index.sqlite3") as connection:
        connection.execute("UPDATE skills SET task = 'other'")
    connection.close()
    lose_index(bank.folder)

    assert bank.entries() == [good]
    assert (bank.folder / "damaged" / f"{bad.id}.safetensors").exists()


def test_opening_sweeps_temporary_files(tmp_path: Path) -> None:
    """Temporary files of killed writers are removed before the first read."""
    with Bank(tmp_path / "bank") as bank:
        entry = bank.put(sample_signed())
    for folder in ("skills", "removed"):
        (tmp_path / "bank" / folder / f"{TEMP_PREFIX}1234").write_bytes(b"half")

    with Bank(tmp_path / "bank") as again:
        assert again.ids() == [entry.id]
        assert again.check().is_clean
        assert not list((tmp_path / "bank").rglob(f"{TEMP_PREFIX}*"))


def test_opening_lists_a_file_whose_row_was_never_committed(tmp_path: Path) -> None:
    """Killed between rename and commit: the file was complete, so nothing is lost."""
    with Bank(tmp_path / "bank") as bank:
        kept = bank.put(sample_signed())
        data = sample_bytes(seed=1)
        file_of(bank, skill_id(data)).write_bytes(data)
        assert bank.ids() == [kept.id]
        assert bank.check().unlisted == (f"{skill_id(data)}.safetensors",)

    with Bank(tmp_path / "bank") as again:
        assert again.ids() == sorted([kept.id, skill_id(data)])


def test_opening_finishes_a_removal(tmp_path: Path) -> None:
    """Killed after the mark: the skill stays removed and its file goes."""
    with Bank(tmp_path / "bank") as bank:
        entry = bank.put(sample_signed())
        (bank.folder / "removed" / entry.id).touch()
        assert bank.check().removed_present == (entry.id,)

    with Bank(tmp_path / "bank") as again:
        assert (again.ids(), again.removed_ids()) == ([], [entry.id])
        assert again.check().is_clean


def test_strange_files_among_the_skills_are_reported_and_left_alone(tmp_path: Path) -> None:
    """No file becomes visible as a skill because of its name alone."""
    names = ["notes.txt", "ab.safetensors", f"{'ab' * 32}.safetensors"]
    with Bank(tmp_path / "bank") as bank:
        entry = bank.put(sample_signed())
        for name in names[:2]:
            (bank.folder / "skills" / name).write_bytes(b"hello")
    with Bank(tmp_path / "bank") as again:
        assert again.ids() == [entry.id]
        assert again.check().unlisted == tuple(sorted(names[:2]))
        (again.folder / "skills" / names[2]).write_bytes(b"hello")
    with Bank(tmp_path / "bank") as third:
        assert third.ids() == [entry.id]
        assert (third.folder / "damaged" / names[2]).exists()


def test_a_newer_index_is_not_touched(tmp_path: Path) -> None:
    """An older teachmesh refuses with a message."""
    fill(tmp_path / "bank")
    with sqlite3.connect(tmp_path / "bank" / "index.sqlite3") as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()

    with pytest.raises(StorageError, match="newer teachmesh"):
        Bank(tmp_path / "bank")


def test_an_index_of_an_older_format_is_derived_from_the_files(tmp_path: Path) -> None:
    """Before class names and biases were columns; read-only banks leave the file as it is."""
    ids, digest, entries = fill(tmp_path / "bank")
    path = tmp_path / "bank" / "index.sqlite3"
    with sqlite3.connect(path) as connection:
        connection.execute("ALTER TABLE skills DROP COLUMN has_biases")
        connection.execute("ALTER TABLE skills RENAME COLUMN classes TO n_classes")
        connection.execute("PRAGMA user_version = 1")
    connection.close()

    with Bank(tmp_path / "bank", read_only=True) as reader:
        assert (reader.ids(), reader.entries()) == (ids, entries)
    with Bank(tmp_path / "bank") as again:
        assert (again.ids(), again.digest(), again.entries()) == (ids, digest, entries)
        assert again.check().is_clean
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (FORMAT,)
    connection.close()
