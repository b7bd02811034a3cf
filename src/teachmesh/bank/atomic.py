"""Write a file as a whole or not at all: temporary file, fsync, rename, fsync of the folder."""

from __future__ import annotations

import errno
import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from teachmesh.errors import StorageError

TEMP_PREFIX = ".tmp-"
_REASONS = {
    errno.ENOSPC: "the disk is full; free some space and try again",
    errno.EDQUOT: "the disk quota is used up; free some space and try again",
    errno.EFBIG: "the file would be larger than this system allows",
    errno.EROFS: "the disk is read-only; choose another folder with --home",
    errno.EACCES: "there is no permission; check the folder's owner or choose another with --home",
    errno.EPERM: "there is no permission; check the folder's owner or choose another with --home",
    errno.ENOENT: "it does not exist",
}


class FileOps:
    """The operations by which teachmesh changes a disk, one method each.

    Tests pass a subclass whose n-th operation fails.
    """

    def make_folder(self, path: Path) -> None:
        """Create a folder that only its owner can enter, and its parents."""
        path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def create(self, path: Path, mode: int) -> int:
        """Create a new file for writing and return its descriptor; an existing one is an error."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
        return os.open(path, flags | getattr(os, "O_BINARY", 0), mode)

    def write(self, descriptor: int, data: memoryview) -> int:
        """Write some of the data and return the number of bytes written."""
        return os.write(descriptor, data)

    def sync(self, descriptor: int) -> None:
        """Return when the file's bytes are on the disk."""
        os.fsync(descriptor)

    def rename(self, source: Path, target: Path) -> None:
        """Rename a file; a file that has the new name is replaced."""
        source.replace(target)

    def remove(self, path: Path) -> None:
        """Remove a file; a missing one is no error."""
        path.unlink(missing_ok=True)

    def sync_folder(self, path: Path) -> None:
        """Return when the folder's names are on the disk."""
        if os.name == "nt":  # folders cannot be opened there, and renames are journalled
            return
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def begin(self, connection: sqlite3.Connection) -> None:
        """Begin a transaction of the index that may write."""
        connection.execute("BEGIN IMMEDIATE")

    def commit(self, connection: sqlite3.Connection) -> None:
        """Return when the transaction is on the disk."""
        connection.execute("COMMIT")


FILE_OPS = FileOps()


@contextmanager
def storage_errors(doing: str) -> Iterator[None]:
    """Turn errors of the disk into one sentence for a person.

    Args:
        doing: the failed action with its object ("could not save skill 3f9a").

    Raises:
        StorageError: the block raised OSError or sqlite3.Error.
    """
    try:
        yield
    except OSError as error:
        reason = _REASONS.get(error.errno or 0, error.strerror or "the system refused")
        raise StorageError(f"{doing}: {reason}") from error
    except sqlite3.Error as error:
        full = "disk is full" in str(error)
        reason = _REASONS[errno.ENOSPC] if full else f"the index cannot be used ({error})"
        raise StorageError(f"{doing}: {reason}") from error


def write_atomic(path: Path, data: bytes, *, mode: int = 0o600, ops: FileOps = FILE_OPS) -> None:
    """Make `path` hold exactly `data`; the data is on the disk when this returns.

    A kill at any moment leaves the old content or the new one. It may also leave a temporary
    file in the same folder, which `sweep` removes.

    Raises:
        OSError: from the first operation that failed; the temporary file is removed if possible.
    """
    temporary = path.with_name(f"{TEMP_PREFIX}{secrets.token_hex(8)}")
    try:
        _write_new(temporary, data, mode, ops)
        ops.rename(temporary, path)
    except OSError:
        with suppress(OSError):
            ops.remove(temporary)
        raise
    ops.sync_folder(path.parent)


def _write_new(path: Path, data: bytes, mode: int, ops: FileOps) -> None:
    descriptor = ops.create(path, mode)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[ops.write(descriptor, rest) :]
        ops.sync(descriptor)
    finally:
        os.close(descriptor)


def sweep(folder: Path, ops: FileOps = FILE_OPS) -> int:
    """Remove the temporary files that killed writers left; the caller holds the write lock.

    Returns:
        Number of removed files.
    """
    stale = [path for path in folder.iterdir() if path.name.startswith(TEMP_PREFIX)]
    for path in stale:
        ops.remove(path)
    return len(stale)


def write_file(path: Path, data: bytes) -> None:
    """Write a file to a path that a person chose, as a whole or not at all.

    Raises:
        StorageError: no permission, no space, no such folder.
    """
    with storage_errors(f"could not write {path}"):
        write_atomic(path, data, mode=0o644)


def read_file(path: Path, limit_bytes: int = 128 * 1024 * 1024) -> bytes:
    """Read a file that a person named, up to a size.

    Raises:
        StorageError: the file cannot be read, or is larger than `limit_bytes`.
    """
    with storage_errors(f"could not read {path}"), path.open("rb") as stream:
        data = stream.read(limit_bytes + 1)
    if len(data) > limit_bytes:
        raise StorageError(f"expected a file of at most {limit_bytes} bytes: {path}")
    return data
