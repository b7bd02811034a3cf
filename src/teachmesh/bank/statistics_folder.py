"""Folder of files that an agent keeps for itself: the statistics of its own tasks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from teachmesh.bank.atomic import (
    FILE_OPS,
    FileOps,
    create_folder,
    read_file,
    storage_errors,
    write_atomic,
)
from teachmesh.bank.shared_file import file_lock
from teachmesh.errors import StorageError

_SUFFIX = ".safetensors"
_LIMIT_BYTES = 1 << 30
_LOCK_TIMEOUT_S = 60.0
_OWNER_ONLY = 0o600


class StatisticsFolder:
    """Files by name, with access for the owner only; nothing here is ever sent.

    Args:
        path: the folder; created with the first file.
        ops: disk operations; tests pass their own.
    """

    def __init__(self, path: Path, ops: FileOps = FILE_OPS) -> None:
        self._path = path
        self._ops = ops

    def file(self, name: str) -> Path:
        """Return the path of a file.

        Args:
            name: 64 hex digits.
        """
        if not re.fullmatch(r"[0-9a-f]{64}", name):
            raise ValueError(f"expected 64 hex digits, got {name!r}")
        return self._path / f"{name}{_SUFFIX}"

    def save(self, name: str, data: bytes) -> None:
        """Write a file atomically; it is on the disk when this returns.

        Raises:
            StorageError: the file cannot be written.
        """
        with storage_errors(f"could not save statistics in {self._path}"):
            create_folder(self._path, self._ops)
            write_atomic(self.file(name), data, mode=_OWNER_ONLY, ops=self._ops)

    def load(self, name: str) -> bytes | None:
        """Return the content of a file; None if there is no such file.

        Raises:
            StorageError: the file cannot be read.
        """
        try:
            return read_file(self.file(name), _LIMIT_BYTES)
        except StorageError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return None
            raise

    def discard(self, name: str) -> None:
        """Remove a file; a missing file is not an error.

        Raises:
            StorageError: the file cannot be removed.
        """
        path = self.file(name)
        if path.exists():
            with storage_errors(f"could not remove {path}"):
                self._ops.remove(path)
                self._ops.sync_folder(self._path)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Let one process at a time read statistics and save the next version.

        Raises:
            StorageError: another process holds the lock for a minute.
        """
        with storage_errors(f"could not use {self._path}"):
            create_folder(self._path, self._ops)
        busy = "another process adds images in this home; try again"
        with file_lock(self._path / ".lock", busy, _LOCK_TIMEOUT_S):
            yield
