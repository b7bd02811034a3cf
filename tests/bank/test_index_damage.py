"""A damaged index is noticed and made again from the files, also while the bank is open."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from teachmesh.bank.atomic import OLD_S, TEMP_PREFIX, sweep_old
from teachmesh.bank.entry import Usage
from teachmesh.bank.home import Home
from teachmesh.bank.index_rows import skill_row, to_entry
from teachmesh.bank.store import Bank
from tests.bank.index_files import lose_index
from tests.bank.test_damage import damage, file_of
from tests.packet.sample_skills import sample_signed

FORMAT_BYTE = 63
"""Lowest byte of the format's number; a changed one may look like a newer format."""
STEP = 499


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Bank:
    """A closed bank with three skills."""
    with Bank(tmp_path_factory.mktemp("whole") / "bank") as bank:
        for seed in range(3):
            bank.put(sample_signed(seed=seed))
    return bank


def test_a_changed_byte_of_the_index_changes_no_answer(whole: Bank) -> None:
    """Positions in the header of SQLite and all over the file."""
    path = whole.folder / "index.sqlite3"
    with Bank(whole.folder) as bank:
        entries = bank.entries()
    data = path.read_bytes()
    for position in (*range(0, 100, 9), *range(100, len(data), STEP)):
        if position == FORMAT_BYTE:
            continue
        lose_index(whole.folder)
        path.write_bytes(data[:position] + bytes([data[position] ^ 0x55]) + data[position + 1 :])
        with Bank(whole.folder) as bank:
            assert bank.entries() == entries, position


def test_a_row_with_a_changed_value_has_a_wrong_checksum(bank: Bank) -> None:
    """Every value of a skill's row counts; the row itself gives its entry back."""
    entry = bank.put(sample_signed())
    row = skill_row(entry)
    assert to_entry(row) == entry
    for position, value in enumerate(row):
        other = "x" if isinstance(value, str) else 7
        with pytest.raises(sqlite3.DatabaseError, match="a row is damaged"):
            to_entry((*row[:position], other, *row[position + 1 :]))


@pytest.mark.parametrize("read_only", [False, True])
def test_a_row_that_is_damaged_while_the_bank_is_open_is_made_again(
    bank: Bank, read_only: bool
) -> None:
    """The index is checked again when a row is read; a read-only bank uses memory instead."""
    entry = bank.put(sample_signed())
    with Bank(bank.folder, read_only=read_only) as other:
        with sqlite3.connect(bank.folder / "index.sqlite3") as connection:
            connection.execute("UPDATE skills SET task = 'other'")
        connection.close()
        assert other.entries() == [entry]
        assert other.get(entry.id)
    assert bank.entries() == [entry]


def test_a_lost_table_is_made_again_under_an_open_bank(bank: Bank) -> None:
    """SQLite calls this an operational error, like a full disk."""
    entry = bank.put(sample_signed())
    with sqlite3.connect(bank.folder / "index.sqlite3") as connection:
        connection.execute("DROP TABLE skills")
    connection.close()
    assert bank.ids() == [entry.id]
    assert bank.put(sample_signed(seed=1)).id in bank.ids()


def test_repair_sets_aside_what_check_found(bank: Bank) -> None:
    """Skills that nobody reads are hashed too; afterwards the bank is clean and smaller."""
    good, bad, gone = (bank.put(sample_signed(seed=seed)) for seed in range(3))
    damage(file_of(bank, bad.id), "middle byte")
    file_of(bank, gone.id).unlink()
    (bank.folder / "skills" / f"{TEMP_PREFIX}1234").write_bytes(b"half")
    report = bank.repair()
    assert (report.damaged, report.missing) == ((bad.id,), (gone.id,))
    assert bank.check().is_clean
    assert bank.ids() == [good.id]
    assert (bank.folder / "damaged" / f"{bad.id}.safetensors").exists()
    bank.put(sample_signed(seed=1), restore=False)
    assert bad.id in bank.ids()


def test_the_usage_of_an_author_counts_its_skills(bank: Bank) -> None:
    """Number and bytes of one author, and the number of all."""
    entries = [bank.put(sample_signed(seed=seed)) for seed in range(2)]
    size_bytes = sum(entry.size_bytes for entry in entries)
    assert bank.usage(entries[0].author) == Usage(2, size_bytes, 2)
    assert bank.usage("00" * 32) == Usage(0, 0, 2)


def test_old_temporary_files_of_a_home_are_swept_and_new_ones_are_not(tmp_path: Path) -> None:
    """Another process may be writing a file right now, so age decides."""
    home = Home(tmp_path / "home")
    names = (f"{TEMP_PREFIX}12ab", ".running.json.77.tmp", f"{TEMP_PREFIX}notes", "config.json")
    for name in names:
        (home.path / name).write_bytes(b"half")
    Home(home.path)
    assert {path.name for path in home.path.iterdir() if path.is_file()} == set(names)
    assert sweep_old(home.path, older_than_s=-OLD_S) == 2
    assert {path.name for path in home.path.iterdir() if path.is_file()} == set(names[2:])
    assert sweep_old(home.path / "nowhere") == 0
