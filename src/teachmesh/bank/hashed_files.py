"""Files that are named by the SHA-256 of their content, in one folder of a bank."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from teachmesh.bank.atomic import FileOps, create_folder, sweep, write_atomic

ID = re.compile(r"[0-9a-f]{64}")
"""Hash in a file name."""


class HashedFiles:
    """Files of one kind; their content is not parsed here.

    All methods may raise OSError. To call a method that writes, hold the bank's lock.

    Args:
        folder: the folder of the files.
        suffix: end of each file name after the hash, such as ".safetensors".
        damaged: folder that files with another hash are moved to.
        ops: disk operations; tests pass their own.
    """

    def __init__(self, folder: Path, suffix: str, damaged: Path, ops: FileOps) -> None:
        self.folder = folder
        self.damaged = damaged
        self._suffix = suffix
        self._ops = ops

    def create(self) -> None:
        """Create the folder if it is missing."""
        create_folder(self.folder, self._ops)

    def ids(self) -> set[str]:
        """Return the hashes in the names of all files, intact or damaged."""
        ends = {
            n.removesuffix(self._suffix)
            for n in file_names(self.folder)
            if n.endswith(self._suffix)
        }
        return {stem for stem in ends if ID.fullmatch(stem)}

    def foreign_names(self) -> set[str]:
        """Return the names of all other files in the folder."""
        return file_names(self.folder) - {self.path(name).name for name in self.ids()}

    def path(self, name: str) -> Path:
        """Return the path of the file with this hash, which may not exist."""
        return self.folder / f"{name}{self._suffix}"

    def read_whole(self, name: str) -> bytes | None:
        """Return the bytes of a file; None if it is missing or its hash differs from its name."""
        try:
            data = self.path(name).read_bytes()
        except FileNotFoundError:
            return None
        return data if hashlib.sha256(data).hexdigest() == name else None

    def read_intact(self, ids: Iterable[str], *, move_damaged: bool = True) -> Iterator[bytes]:
        """Yield the bytes of the intact files among `ids`, in the order of their hashes.

        Args:
            ids: hashes of the files to read.
            move_damaged: whether to move files with another hash to the folder of damaged files.
        """
        for name in sorted(ids):
            data = self.read_whole(name)
            if data is not None:
                yield data
            elif move_damaged:
                self.quarantine(name)

    def write(self, name: str, data: bytes) -> None:
        """Store bytes with this hash; they are on the disk when this returns."""
        write_atomic(self.path(name), data, ops=self._ops)

    def delete(self, name: str) -> None:
        """Remove a file, if it exists."""
        self._ops.remove(self.path(name))
        self._ops.sync_folder(self.folder)

    def quarantine(self, name: str) -> None:
        """Move a file, if it exists, to the folder of damaged files."""
        source = self.path(name)
        if not source.exists():
            return
        self._ops.rename(source, self.damaged / source.name)
        self._ops.sync_folder(self.damaged)
        self._ops.sync_folder(self.folder)

    def sweep(self) -> None:
        """Remove temporary files left behind by killed writers."""
        if self.folder.is_dir():
            sweep(self.folder, self._ops)


def file_names(folder: Path) -> set[str]:
    """Return the names of all files of a folder; none if the folder is missing."""
    try:
        return {path.name for path in folder.iterdir()}
    except FileNotFoundError:
        return set()
