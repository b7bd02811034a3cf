"""Small files of a home that several processes read and change."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from teachmesh.bank.atomic import FILE_OPS, FileOps, storage_errors, write_atomic
from teachmesh.errors import StorageError

MAX_BYTES = 16 << 20
LOCK_TIMEOUT_S = 10.0
_POLL_S = 0.01
Stamp = tuple[int, int, int]
"""Identity of a version of a file: inode, time of change, size."""


@contextmanager
def file_lock(path: Path, busy: str, timeout_s: float = LOCK_TIMEOUT_S) -> Iterator[None]:
    """Hold a lock file, so that no other process and no other thread holds it.

    Args:
        path: the lock file, in an existing folder; only the owner can open it.
        busy: message of the error if another process keeps the lock.
        timeout_s: seconds to wait for the lock.

    Raises:
        StorageError: another process keeps the lock, or the file cannot be used.
    """
    lock = FileLock(path, mode=0o600, poll_interval=_POLL_S)
    with storage_errors(f"could not lock {path}"):
        try:
            lock.acquire(timeout=timeout_s)
        except Timeout as error:  # an OSError too, so it is caught first
            raise StorageError(busy) from error
    try:
        yield
    finally:
        lock.release()


class SharedFile:
    """A file that is written atomically, by one process at a time; only the owner can read it.

    All methods raise StorageError if the file cannot be used.

    Args:
        path: path of the file.
        ops: disk operations; tests pass their own.
        max_bytes: number of bytes that are read at most.
        busy: message of the error if another process keeps the lock.
    """

    def __init__(
        self, path: Path, ops: FileOps = FILE_OPS, *, max_bytes: int = MAX_BYTES, busy: str = ""
    ) -> None:
        self.path = path
        self._ops = ops
        self._max_bytes = max_bytes
        self._busy = busy or f"another process uses {path}; try again"

    def stamp(self) -> Stamp | None:
        """Return a value that differs after every change; None without a file."""
        with storage_errors(f"could not read {self.path}"):
            try:
                found = self.path.stat()
            except FileNotFoundError:
                return None
        return found.st_ino, found.st_mtime_ns, found.st_size

    def read_bytes(self) -> bytes | None:
        """Return the content; None without a file."""
        with storage_errors(f"could not read {self.path}"):
            try:
                with self.path.open("rb") as stream:
                    return stream.read(self._max_bytes)
            except FileNotFoundError:
                return None

    def read(self) -> Any:
        """Return the JSON document; None without a file, and {} if the file is not JSON."""
        data = self.read_bytes()
        if data is None:
            return None
        try:
            return json.loads(data)
        except (ValueError, RecursionError):
            return {}

    def write_bytes(self, data: bytes) -> None:
        """Replace the content; it is on the disk when this returns. Hold `locked`."""
        with storage_errors(f"could not save {self.path}"):
            write_atomic(self.path, data, ops=self._ops)

    def write(self, document: Any) -> None:
        """Replace the JSON document; it is on the disk when this returns. Hold `locked`."""
        self.write_bytes(json.dumps(document, indent=1).encode())

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the file's lock, so that no other process changes the file."""
        with file_lock(self.path.with_suffix(".lock"), self._busy):
            yield
