"""Write files atomically: temporary file, fsync, rename, fsync of the folder."""

from __future__ import annotations

import errno
import os
import re
import secrets
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from teachmesh.errors import StorageError

TEMP_PREFIX = ".tmp-"
OLD_S = 3600.0
_TEMPORARY = re.compile(r"\.tmp-[0-9a-f]+|\.running\.json\.\d+\.tmp")
_REASONS = {
    errno.ENOSPC: "the disk is full; free some space and try again",
    errno.EDQUOT: "the disk quota is used up; free some space and try again",
    errno.EFBIG: "the file would be larger than this system allows",
    errno.EROFS: "the disk is read-only; choose another folder with --home",
    errno.EACCES: "there is no permission; check the folder's owner or choose another with --home",
    errno.EPERM: "there is no permission; check the folder's owner or choose another with --home",
    errno.ENOENT: "it does not exist",
    errno.ENOTDIR: "a part of its path is a file; choose another folder with --home",
}


class FileOps:
    """All of teachmesh's disk writes, one method per operation.

    Tests pass a subclass whose n-th operation fails.
    """

    def make_folder(self, path: Path) -> None:
        """Create a folder and missing parents, with access for the owner only."""
        path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def create(self, path: Path, mode: int) -> int:
        """Create a file for writing and return its descriptor; an existing file is an error."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
        return os.open(path, flags | getattr(os, "O_BINARY", 0), mode)

    def write(self, descriptor: int, data: memoryview) -> int:
        """Write some of the data and return the number of bytes written."""
        return os.write(descriptor, data)

    def sync(self, descriptor: int) -> None:
        """Flush the file; its bytes are on the disk when this returns."""
        os.fsync(descriptor)

    def rename(self, source: Path, target: Path) -> None:
        """Rename a file, replacing any file that already has the new name."""
        source.replace(target)

    def remove(self, path: Path) -> None:
        """Remove a file; a missing file is not an error."""
        path.unlink(missing_ok=True)

    def sync_folder(self, path: Path) -> None:
        """Flush the folder; the names of its files are on the disk when this returns."""
        if os.name == "nt":  # Windows cannot open folders, but its file system journals renames
            return
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def begin(self, connection: sqlite3.Connection) -> None:
        """Begin a write transaction of the index."""
        connection.execute("BEGIN IMMEDIATE")

    def commit(self, connection: sqlite3.Connection) -> None:
        """Commit the transaction; its changes are on the disk when this returns."""
        connection.execute("COMMIT")


FILE_OPS = FileOps()


@contextmanager
def storage_errors(doing: str) -> Iterator[None]:
    """Convert disk and SQLite errors to a `StorageError` with a clear message.

    Args:
        doing: beginning of the message, such as "could not save skill 3f9a".

    Raises:
        StorageError: the code in the `with` block raised OSError or sqlite3.Error.
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


def create_folder(path: Path, ops: FileOps = FILE_OPS) -> None:
    """Create a folder and missing parents; their names are on the disk when this returns.

    Raises:
        OSError: a folder cannot be created or flushed.
    """
    missing = [folder for folder in (path, *path.parents) if not folder.is_dir()]
    if not missing:
        return
    ops.make_folder(path)
    for folder in missing:
        # A folder of another user, such as /home, may be closed to this program.
        with suppress(PermissionError):
            ops.sync_folder(folder.parent)


def write_atomic(
    path: Path,
    data: bytes,
    *,
    mode: int = 0o600,
    ops: FileOps = FILE_OPS,
    durable: bool = True,
) -> None:
    """Write a file atomically; the data is on the disk when this returns.

    If the process is killed, the file has either its old or its new content. A temporary file may
    remain in the same folder until `sweep` is called.

    Args:
        path: path of the file.
        data: content of the file.
        mode: permissions of the file.
        ops: disk operations; tests pass their own.
        durable: False to skip the fsync, for data that can be computed again. After a power failure
            the file may then be damaged.

    Raises:
        OSError: the error of the first operation that failed. The temporary file is removed if
            possible.
    """
    temporary = path.with_name(f"{TEMP_PREFIX}{secrets.token_hex(8)}")
    try:
        _write_new(temporary, data, mode, ops, durable=durable)
        ops.rename(temporary, path)
    except OSError:
        with suppress(OSError):
            ops.remove(temporary)
        raise
    if durable:
        ops.sync_folder(path.parent)


def _write_new(path: Path, data: bytes, mode: int, ops: FileOps, *, durable: bool) -> None:
    descriptor = ops.create(path, mode)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[ops.write(descriptor, rest) :]
        if durable:
            ops.sync(descriptor)
    finally:
        os.close(descriptor)


def sweep(folder: Path, ops: FileOps = FILE_OPS) -> int:
    """Remove temporary files left behind by killed writers; the caller must hold the write lock.

    Returns:
        Number of removed files.
    """
    stale = [path for path in folder.iterdir() if path.name.startswith(TEMP_PREFIX)]
    for path in stale:
        ops.remove(path)
    return len(stale)


def sweep_old(folder: Path, ops: FileOps = FILE_OPS, older_than_s: float = OLD_S) -> int:
    """Remove temporary files that no process can still be writing; no lock is needed.

    Args:
        folder: the folder; a missing one is not an error.
        ops: disk operations; tests pass their own.
        older_than_s: minimum age of the files, in seconds.

    Returns:
        Number of removed files.
    """
    if not folder.is_dir():
        return 0
    limit_s = time.time() - older_than_s
    temporary = [path for path in folder.iterdir() if _TEMPORARY.fullmatch(path.name)]
    old = [path for path in temporary if path.lstat().st_mtime < limit_s]
    for path in old:
        ops.remove(path)
    return len(old)


def read_file(path: Path, limit_bytes: int = 128 * 1024 * 1024) -> bytes:
    """Read a file chosen by the user, up to a maximum size.

    Raises:
        StorageError: the file cannot be read, or is larger than `limit_bytes`.
    """
    with storage_errors(f"could not read {path}"), path.open("rb") as stream:
        data = stream.read(limit_bytes + 1)
    if len(data) > limit_bytes:
        raise StorageError(f"expected a file of at most {limit_bytes} bytes: {path}")
    return data
