"""Disks that fail: real operations until the n-th one."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path

from teachmesh.bank.atomic import FileOps


class FailingOps(FileOps):
    """Works like the real disk, but operation number `fail_at` (from 1) fails.

    Args:
        fail_at: which operation fails; 0 for none.
        code: the errno of the failure.
        for_ever: whether every later operation fails too, as on a full disk.
    """

    def __init__(self, fail_at: int = 0, code: int = errno.ENOSPC, for_ever: bool = False) -> None:
        self.fail_at = fail_at
        self.code = code
        self.for_ever = for_ever
        self.count = 0

    @property
    def has_failed(self) -> bool:
        """Whether the operation was reached."""
        return 0 < self.fail_at <= self.count

    def _fails(self) -> bool:
        self.count += 1
        return self.count == self.fail_at or (self.for_ever and self.has_failed)

    def _step(self) -> None:
        if self._fails():
            raise OSError(self.code, os.strerror(self.code))

    def _step_index(self) -> None:
        if self._fails():
            raise sqlite3.OperationalError("database or disk is full")

    def make_folder(self, path: Path) -> None:
        self._step()
        super().make_folder(path)

    def create(self, path: Path, mode: int) -> int:
        self._step()
        return super().create(path, mode)

    def write(self, descriptor: int, data: memoryview) -> int:
        if self._fails():
            # Half of it is on the disk when the error comes: that is what tears files.
            super().write(descriptor, data[: len(data) // 2])
            raise OSError(self.code, os.strerror(self.code))
        return super().write(descriptor, data)

    def sync(self, descriptor: int) -> None:
        self._step()
        super().sync(descriptor)

    def rename(self, source: Path, target: Path) -> None:
        self._step()
        super().rename(source, target)

    def remove(self, path: Path) -> None:
        self._step()
        super().remove(path)

    def sync_folder(self, path: Path) -> None:
        self._step()
        super().sync_folder(path)

    def begin(self, connection: sqlite3.Connection) -> None:
        self._step_index()
        super().begin(connection)

    def commit(self, connection: sqlite3.Connection) -> None:
        self._step_index()
        super().commit(connection)


class ShortWrites(FileOps):
    """A disk that takes a few bytes at a time, as the system may at any time."""

    def write(self, descriptor: int, data: memoryview) -> int:
        return super().write(descriptor, data[:100])
