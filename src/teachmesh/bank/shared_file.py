"""A small JSON file of a home that several processes read and change."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from teachmesh.bank.atomic import FILE_OPS, FileOps, storage_errors, write_atomic
from teachmesh.errors import StorageError

_MAX_BYTES = 16 << 20
_LOCK_TIMEOUT_S = 10.0
Stamp = tuple[int, int, int]
"""Identity of a version of the file: inode, time of change, size."""


class SharedFile:
    """A file that is written atomically, by one process at a time; only the owner can read it.

    All methods raise StorageError if the file cannot be used.

    Args:
        path: path of the file.
        ops: disk operations; tests pass their own.
    """

    def __init__(self, path: Path, ops: FileOps = FILE_OPS) -> None:
        self.path = path
        self._ops = ops
        self._lock = FileLock(path.with_suffix(".lock"), mode=0o600)

    def stamp(self) -> Stamp | None:
        """Return a value that differs after every change; None without a file."""
        with storage_errors(f"could not read {self.path}"):
            try:
                found = self.path.stat()
            except FileNotFoundError:
                return None
        return found.st_ino, found.st_mtime_ns, found.st_size

    def read(self) -> Any:
        """Return the document; None without a file, or if the file is not JSON."""
        with storage_errors(f"could not read {self.path}"):
            try:
                with self.path.open("rb") as stream:
                    data = stream.read(_MAX_BYTES)
            except FileNotFoundError:
                return None
        try:
            return json.loads(data)
        except (ValueError, RecursionError):
            return {}

    def write(self, document: Any) -> None:
        """Replace the document; it is on the disk when this returns. Hold `locked`."""
        with storage_errors(f"could not save {self.path}"):
            write_atomic(self.path, json.dumps(document, indent=1).encode(), ops=self._ops)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the file's lock, so that no other process changes the file."""
        with storage_errors(f"could not lock {self.path}"):
            try:
                self._lock.acquire(timeout=_LOCK_TIMEOUT_S)
            except Timeout as error:  # an OSError too, so it is caught first
                raise StorageError(f"another process uses {self.path}; try again") from error
        try:
            yield
        finally:
            self._lock.release()
