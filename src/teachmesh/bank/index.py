"""The SQLite index of a bank, which gives fast access to facts about skills and tombstones.

`index_repair.tidy` updates the index from the files, also if the index is lost or damaged.
"""

from __future__ import annotations

import re
import secrets
import sqlite3
import threading
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from teachmesh.bank.atomic import FileOps
from teachmesh.bank.entry import BankEntry, Usage
from teachmesh.bank.index_rows import (
    CHECKED,
    TABLES,
    checked,
    skill_row,
    to_entry,
    tombstone_row,
)
from teachmesh.errors import StorageError
from teachmesh.packet.tombstone import Tombstone

FORMAT = 5
_BUSY_TIMEOUT_S = 5.0
_COLUMNS = CHECKED["skills"]
_MARKS = ", ".join("?" for _ in _COLUMNS.split(","))
_NEWER = 100
"""Number of newer formats; larger numbers are damage."""
_SCHEMA = re.compile("no such|unsupported file format|malformed|near |table .* has no")
# A tombstone has effect on a skill of its own author only, whichever of the two comes first.
_WITHDRAWN = """EXISTS (SELECT 1 FROM tombstones
    WHERE tombstones.skill = skills.id AND tombstones.author = skills.author)"""


class Index:
    """A connection to the index; several threads can share the connection.

    With write-ahead logging, several processes can read while one writes. The writer must hold the
    bank's lock. Every change is on the disk when its commit returns (synchronous FULL).

    Args:
        connection: an open connection in autocommit mode; `close` closes it.
        ops: disk operations; tests pass their own.
        path: path of the database file; None for a database in memory.
    """

    def __init__(self, connection: sqlite3.Connection, ops: FileOps, path: Path | None) -> None:
        self._connection = connection
        self._ops = ops
        self._path = path
        self._file = _identity(path)
        self._lock = threading.RLock()
        # Closes the connection at exit, to avoid a ResourceWarning if the bank was not closed.
        self.close = weakref.finalize(self, connection.close)

    @classmethod
    def open(cls, path: Path, ops: FileOps, *, mode: str = "rw") -> Index:
        """Open the index file.

        Args:
            path: the database file.
            ops: disk operations; tests pass their own.
            mode: "ro" to only read; "rw" to read and write; "rwc" to also create a missing
                index. Creating it requires the bank's lock.

        Raises:
            sqlite3.OperationalError: the operating system denied access.
            sqlite3.DatabaseError: the file is not a database, is damaged or empty, or has an older
                format and may not be changed.
            StorageError: a newer version of teachmesh wrote the file.
        """
        index = cls(_connect(f"{path.absolute().as_uri()}?mode={mode}"), ops, path)
        try:
            index._prepare(mode)
        except (OSError, sqlite3.Error, StorageError):
            index.close()
            raise
        index._file = _identity(path)
        return index

    @classmethod
    def in_memory(cls, entries: Iterable[BankEntry], ops: FileOps) -> Index:
        """Create an index of these entries in memory."""
        index = cls(_connect("file::memory:"), ops, None)
        index._create()
        index.update(add=entries)
        return index

    def _prepare(self, mode: str) -> None:
        # Detect damage now, while the index can be rebuilt, and not in the middle of a write.
        found = self._connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise sqlite3.DatabaseError(f"database is malformed: {found}")
        (written,) = self._connection.execute("PRAGMA user_version").fetchone()
        if FORMAT < written <= FORMAT + _NEWER:
            raise StorageError(f"{self._path} was made by a newer teachmesh; update to use it")
        if written > FORMAT + _NEWER:
            raise sqlite3.DatabaseError(f"the index has no format {written}")
        if written < FORMAT and mode != "rwc":
            raise sqlite3.DatabaseError("the index is empty or of an older format")
        if written == FORMAT:
            self._check_rows()
        if mode == "ro":
            return
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        if written < FORMAT:
            self._create()

    def _check_rows(self) -> None:
        for table, columns in CHECKED.items():
            for row in self._connection.execute(f"SELECT {columns} FROM {table}"):
                checked(row)

    def _create(self) -> None:
        with self._transaction():
            for name, table in TABLES.items():
                # An index of an older format is filled again from the files.
                self._connection.execute(f"DROP TABLE IF EXISTS {name}")
                self._connection.execute(table)
            # The counter starts at a random value, so that pollers notice a new database.
            start = secrets.randbits(48)
            self._connection.execute("INSERT INTO counter VALUES (?)", (start,))
            self._connection.execute(f"PRAGMA user_version = {FORMAT}")

    def is_current(self) -> bool:
        """Return whether the file at `path` is still the open file."""
        return _identity(self._path) == self._file

    def changes(self) -> int:
        """Return a number that changes with every commit by any process."""
        with self._lock:
            (changes,) = self._connection.execute("SELECT changes FROM counter").fetchone()
        return int(changes)

    def ids(self) -> list[str]:
        """Return the ids of all skills, sorted."""
        return self._column("SELECT id FROM skills ORDER BY id")

    def live(self) -> list[tuple[str, str]]:
        """Return (id, author) of all skills that are not withdrawn, sorted by id."""
        return self._pairs(f"SELECT id, author FROM skills WHERE NOT {_WITHDRAWN} ORDER BY id")

    def withdrawn_ids(self) -> list[str]:
        """Return the ids of all skills that their author withdrew, sorted."""
        return self._column(f"SELECT id FROM skills WHERE {_WITHDRAWN} ORDER BY id")

    def tombstone_ids(self) -> list[str]:
        """Return the ids of all tombstones, sorted."""
        return self._column("SELECT id FROM tombstones ORDER BY id")

    def tombstones(self) -> list[tuple[str, str]]:
        """Return (id, author) of all tombstones, sorted by id."""
        return self._pairs("SELECT id, author FROM tombstones ORDER BY id")

    def authors(self) -> list[str]:
        """Return the public keys of all authors of skills or tombstones, sorted."""
        return self._column(
            "SELECT author FROM skills UNION SELECT author FROM tombstones ORDER BY 1"
        )

    def ids_of(self, author: str) -> list[str]:
        """Return the ids of all skills of an author, sorted."""
        with self._lock:
            query = "SELECT id FROM skills WHERE author = ? ORDER BY id"
            return [row[0] for row in self._connection.execute(query, (author,)).fetchall()]

    def tombstones_of(self, author: str) -> dict[str, str]:
        """Return the skills that the tombstones of an author name, by the tombstones' ids."""
        with self._lock:
            query = "SELECT id, skill FROM tombstones WHERE author = ?"
            return dict(self._connection.execute(query, (author,)).fetchall())

    def has_tombstone(self, author: str, skill: str) -> bool:
        """Return whether a tombstone of this author names the skill."""
        with self._lock:
            query = "SELECT 1 FROM tombstones WHERE author = ? AND skill = ?"
            return self._connection.execute(query, (author, skill)).fetchone() is not None

    def usage(self, author: str) -> Usage:
        """Return the part of the bank that an author uses."""
        query = """SELECT COALESCE(SUM(author = ?1), 0),
            COALESCE(SUM((author = ?1) * size_bytes), 0), COUNT(*) FROM skills"""
        with self._lock:
            return Usage(*self._connection.execute(query, (author,)).fetchone())

    def usages(self) -> dict[str, tuple[int, int]]:
        """Return (number of skills, bytes) by author."""
        query = "SELECT author, COUNT(*), SUM(size_bytes) FROM skills GROUP BY author"
        with self._lock:
            rows = self._connection.execute(query).fetchall()
        return {author: (count, size_bytes) for author, count, size_bytes in rows}

    def _pairs(self, query: str) -> list[tuple[str, str]]:
        with self._lock:
            return [(row[0], row[1]) for row in self._connection.execute(query).fetchall()]

    def _column(self, query: str) -> list[str]:
        with self._lock:
            return [row[0] for row in self._connection.execute(query).fetchall()]

    def entries(self) -> list[BankEntry]:
        """Return all entries, sorted by id."""
        with self._lock:
            query = f"SELECT {_COLUMNS} FROM skills ORDER BY id"
            rows = self._connection.execute(query).fetchall()
        return [to_entry(row) for row in rows]

    def find(self, skill: str) -> BankEntry | None:
        """Return the entry with this id, or None if the index has no such entry."""
        with self._lock:
            query = f"SELECT {_COLUMNS} FROM skills WHERE id = ?"
            row = self._connection.execute(query, (skill,)).fetchone()
        return None if row is None else to_entry(row)

    def update(self, add: Iterable[BankEntry] = (), drop: Iterable[str] = ()) -> None:
        """Change entries in one transaction; the changes are on the disk when this returns.

        Args:
            add: entries to insert or overwrite.
            drop: ids of entries to delete before adding; unknown ids are ignored.
        """
        with self._transaction():
            self._connection.executemany(
                "DELETE FROM skills WHERE id = ?", [(skill,) for skill in drop]
            )
            self._connection.executemany(
                f"INSERT OR REPLACE INTO skills ({_COLUMNS}) VALUES ({_MARKS})",
                [skill_row(entry) for entry in add],
            )
            self._count_change()

    def update_tombstones(self, add: Iterable[Tombstone] = (), drop: Iterable[str] = ()) -> None:
        """Change tombstones in one transaction; the changes are on the disk when this returns.

        Args:
            add: tombstones to insert.
            drop: ids of tombstones to delete; unknown ids are ignored.
        """
        with self._transaction():
            self._connection.executemany(
                "DELETE FROM tombstones WHERE id = ?", [(tombstone,) for tombstone in drop]
            )
            self._connection.executemany(
                f"INSERT OR REPLACE INTO tombstones ({CHECKED['tombstones']}) VALUES (?, ?, ?, ?)",
                [tombstone_row(tombstone) for tombstone in add],
            )
            self._count_change()

    def _count_change(self) -> None:
        self._connection.execute("UPDATE counter SET changes = changes + 1")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock:
            self._ops.begin(self._connection)
            try:
                yield
                self._ops.commit(self._connection)
            except (OSError, sqlite3.Error):
                # On a full disk SQLite may have rolled back already; a second rollback is an error.
                with suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
                raise


def open_or_replace(path: Path, ops: FileOps) -> Index:
    """Open the index for writing; a missing or damaged index is replaced by an empty one.

    The caller must hold the bank's lock, and add the missing entries from the files.
    """
    if not path.exists():
        discard(path, ops)
    try:
        return Index.open(path, ops, mode="rwc")
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        discard(path, ops)
        return Index.open(path, ops, mode="rwc")


def is_damage(error: sqlite3.DatabaseError) -> bool:
    """Return whether an error means that the index is damaged, not that the disk is full or busy.

    SQLite calls it an operational error if a damaged schema lacks a table or column. A closed index
    is not damaged: a thread may still read while the bank is being closed.
    """
    if isinstance(error, sqlite3.ProgrammingError):
        return False
    return not isinstance(error, sqlite3.OperationalError) or bool(_SCHEMA.match(str(error)))


def discard(path: Path, ops: FileOps) -> None:
    """Remove the index and its logs; the caller must hold the bank's lock."""
    # Remove the write-ahead log first: an old log must never be applied to a new database.
    for name in (f"{path.name}-wal", f"{path.name}-shm", path.name):
        ops.remove(path.with_name(name))


def _connect(uri: str) -> sqlite3.Connection:
    return sqlite3.connect(
        uri,
        uri=True,
        timeout=_BUSY_TIMEOUT_S,
        isolation_level=None,  # only Index begins and commits transactions
        check_same_thread=False,  # every use holds Index's lock
    )


def _identity(path: Path | None) -> tuple[int, int] | None:
    if path is None:
        return None
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino
