"""A disk that can lose power: every operation is recorded, and unsynced ones may be lost."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from teachmesh.bank.atomic import FileOps


class RecordingOps(FileOps):
    """The real disk, with a record of all changes of names and contents.

    Args:
        root: folder that exists before the first operation, and is on the disk.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.record: list[Callable[[Disk], None]] = []
        self._open: dict[int, int] = {}
        self._files: dict[Path, int] = {}
        self._count = 0

    def make_folder(self, path: Path) -> None:
        new = [folder for folder in (*reversed(path.parents), path) if not folder.exists()]
        super().make_folder(path)
        for folder in new:
            self.record.append(lambda disk, folder=folder: disk.name(folder, None))

    def create(self, path: Path, mode: int) -> int:
        descriptor = super().create(path, mode)
        self._count += 1
        number = self._open[descriptor] = self._files[path] = self._count
        self.record.append(lambda disk: disk.name(path, number))
        return descriptor

    def write(self, descriptor: int, data: memoryview) -> int:
        count, number = super().write(descriptor, data), self._open[descriptor]
        written = bytes(data[:count])
        self.record.append(lambda disk: disk.append(number, written))
        return count

    def sync(self, descriptor: int) -> None:
        super().sync(descriptor)
        number = self._open[descriptor]
        self.record.append(lambda disk: disk.sync(number))

    def rename(self, source: Path, target: Path) -> None:
        super().rename(source, target)
        number = self._files[target] = self._files.pop(source)
        self.record.append(lambda disk: disk.name(target, number))
        self.record.append(lambda disk: disk.unname(source))

    def remove(self, path: Path) -> None:
        is_there = path.exists()
        super().remove(path)
        if is_there and path in self._files:  # files of SQLite are copied when it commits
            del self._files[path]
            self.record.append(lambda disk: disk.unname(path))

    def sync_folder(self, path: Path) -> None:
        super().sync_folder(path)
        self.record.append(lambda disk: disk.sync_folder(path))

    def commit(self, connection: sqlite3.Connection) -> None:
        super().commit(connection)
        path = Path(connection.execute("PRAGMA database_list").fetchone()[2])
        logs = {p: p.read_bytes() for p in path.parent.glob(f"{path.name}*")}
        self.record.append(lambda disk: disk.keep_index(logs))


@dataclass
class Disk:
    """State of a disk after some operations.

    Attributes:
        synced: bytes of each file that a power loss leaves in place.
        written: all bytes of each file.
        durable: names that a power loss leaves in place, with the number of their file; None for a
            folder.
        pending: later changes of names, in order, by folder; None in place of a number and a flag
            for a name that is gone.
        indexes: files of SQLite after each commit.
    """

    synced: dict[int, bytes] = field(default_factory=dict)
    written: dict[int, bytes] = field(default_factory=dict)
    durable: dict[Path, int | None] = field(default_factory=dict)
    pending: dict[Path, list[tuple[Path, int | None, bool]]] = field(default_factory=dict)
    indexes: list[dict[Path, bytes]] = field(default_factory=list)

    def name(self, path: Path, number: int | None) -> None:
        """Give a file or folder a name, which is durable once its folder is synced."""
        self.pending.setdefault(path.parent, []).append((path, number, True))

    def unname(self, path: Path) -> None:
        """Take a name away."""
        self.pending.setdefault(path.parent, []).append((path, None, False))

    def append(self, number: int, data: bytes) -> None:
        """Write at the end of a file."""
        self.written[number] = self.written.get(number, b"") + data

    def sync(self, number: int) -> None:
        """Make the bytes of a file durable."""
        self.synced[number] = self.written.get(number, b"")

    def sync_folder(self, path: Path) -> None:
        """Make the names in a folder durable."""
        self.durable = _applied(self.durable, self.pending.pop(path, []))

    def keep_index(self, logs: dict[Path, bytes]) -> None:
        """Record the index after a commit."""
        self.indexes.append(logs)

    def lose_power(self, rng: random.Random, *, some: bool) -> dict[Path, bytes | None]:
        """Return the content of the disk after a power loss; None for a folder.

        Args:
            rng: source of random numbers.
            some: whether a random part of the unsynced changes reached the disk; otherwise none.
        """

        def part(count: int) -> int:
            return rng.randint(0, count) if some else 0

        names = self.durable
        for changes in self.pending.values():
            names = _applied(names, changes[: part(len(changes))])
        found: dict[Path, bytes | None] = {}
        for path, number in names.items():
            if number is None:
                found[path] = None
                continue
            synced, written = self.synced.get(number, b""), self.written.get(number, b"")
            found[path] = synced + written[len(synced) :][: part(len(written) - len(synced))]
        if self.indexes:  # SQLite syncs it, but the bank must not depend on that
            found |= rng.choice(self.indexes)
        return found


def disk_after(ops: RecordingOps, count: int) -> Disk:
    """Return the disk after the first operations of a record."""
    disk = Disk()
    for apply in ops.record[:count]:
        apply(disk)
    return disk


def restore(found: dict[Path, bytes | None], root: Path, target: Path) -> None:
    """Write the content of a disk below another folder; names below a lost folder are lost."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for path, data in sorted(found.items()):
        place = target / path.relative_to(root)
        if not place.parent.is_dir():
            continue
        if data is None:
            place.mkdir(exist_ok=True)
        else:
            place.write_bytes(data)


def _applied(
    names: dict[Path, int | None], changes: list[tuple[Path, int | None, bool]]
) -> dict[Path, int | None]:
    found = dict(names)
    for path, number, is_there in changes:
        if is_there:
            found[path] = number
        else:
            found.pop(path, None)
    return found
