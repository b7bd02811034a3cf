"""The files of a bank: skills, damaged files, and marks for removed skills.

    skills/<id>.safetensors    one file per skill, named by its SHA-256
    damaged/<id>.safetensors   files whose hash differs from their name, kept for inspection
    removed/<id>               empty file; marks a removed skill, which is not fetched again
    derived/<part>/<hash>.arrays   arrays computed from skills, mapped into memory at the next start

Ids consist of hexadecimal digits only, so no untrusted text is part of a path.
"""

from __future__ import annotations

import hashlib
import json
import mmap
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from teachmesh.bank.atomic import FILE_OPS, FileOps, create_folder, sweep, write_atomic
from teachmesh.bank.hashed_files import ID, HashedFiles, file_names
from teachmesh.data.tensor_file import SavedArrays
from teachmesh.errors import StorageError

ARRAYS_SUFFIX = ".arrays"
READERS = 2
"""Number of threads that hash files with arrays."""
_LENGTH_BYTES = 8
_ALIGNMENT = 64
_CHUNK_BYTES = 1 << 20


def check_id(text: str) -> str:
    """Return the text if it is a valid id, and therefore safe to use as a file name.

    Raises:
        StorageError: the text is not 64 lower-case hex digits.
    """
    if not ID.fullmatch(text):
        raise StorageError(f"expected a skill id of 64 hex digits, got {text[:80]!a}")
    return text


class SkillFolder(HashedFiles):
    """The skill files of one bank, and the marks of removed skills.

    Args:
        root: the bank's folder.
        ops: disk operations; tests pass their own.
    """

    def __init__(self, root: Path, ops: FileOps) -> None:
        super().__init__(root / "skills", ".safetensors", root / "damaged", ops)
        self.marks = root / "removed"

    def create(self) -> None:
        """Create missing folders."""
        for folder in (self.folder.parent, self.folder, self.damaged, self.marks):
            create_folder(folder, self._ops)

    def removed(self) -> set[str]:
        """Return the ids of skills that were removed from this bank."""
        return {name for name in file_names(self.marks) if ID.fullmatch(name)}

    def mark_removed(self, skill: str) -> None:
        """Mark a skill as removed from this bank."""
        write_atomic(self.marks / skill, b"", ops=self._ops)

    def unmark_removed(self, skill: str) -> None:
        """Delete the mark of a removed skill."""
        self._ops.remove(self.marks / skill)
        self._ops.sync_folder(self.marks)

    def sweep(self) -> None:
        """Remove temporary files left behind by killed writers."""
        super().sweep()
        sweep(self.marks, self._ops)


class ArrayFiles:
    """Derived arrays in one folder; a folder that cannot be used holds nothing.

    A file is named by its hash, written once and never changed, so several processes can share the
    folder. It can be deleted at any time. A damaged file, or one of another origin, is removed.

    A file begins with the length of its header (8 bytes, little-endian) and the header as JSON. The
    bytes of the arrays follow, each from a multiple of 64 on.

    Args:
        folder: the folder, which is created when the first file is saved.
        origin: text that is equal for all arrays that were computed in the same way.
        ops: disk operations; tests pass their own.
    """

    def __init__(self, folder: Path, origin: str, ops: FileOps = FILE_OPS) -> None:
        self._folder = folder
        self._origin = origin
        self._ops = ops

    def load(self) -> Iterator[SavedArrays]:
        """Yield the content of all usable files, mapped into memory; remove useless files."""
        with suppress(OSError):
            sweep(self._folder, self._ops)
        names = sorted(path.stem for path in self._folder.glob(f"*{ARRAYS_SUFFIX}"))
        with ThreadPoolExecutor(READERS) as pool:
            for name, digest in zip(names, pool.map(self._digest, names), strict=True):
                found = self._open(name, digest)
                if found is not None:
                    yield found

    def save(
        self, keys: Sequence[str], arrays: Mapping[str, np.ndarray], replaces: str
    ) -> SavedArrays | None:
        """Save arrays as one file, and map it; return None if it cannot be written.

        Args:
            keys: one text per slot of the arrays.
            arrays: arrays by name.
            replaces: name of an older file, which is removed then; empty if there is none.
        """
        data = self._encode(keys, arrays)
        name = hashlib.sha256(data).hexdigest()
        try:
            self._ops.make_folder(self._folder)
            write_atomic(self._path(name), data, ops=self._ops, durable=False)
            saved = self._map(name)
        except OSError:
            return None  # the arrays stay in memory, and are derived again at the next start
        if replaces not in ("", name):
            self.remove(replaces)
        return saved

    def remove(self, name: str) -> None:
        """Remove a file, if the system permits it."""
        with suppress(OSError):
            self._ops.remove(self._path(name))

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}{ARRAYS_SUFFIX}"

    def _digest(self, name: str) -> str:
        """Return the hash of a file; an empty text if it cannot be read."""
        found = hashlib.sha256()
        try:
            with self._path(name).open("rb") as stream:
                while chunk := stream.read(_CHUNK_BYTES):
                    found.update(chunk)
        except OSError:
            return ""
        return found.hexdigest()

    def _open(self, name: str, digest: str) -> SavedArrays | None:
        """Map a file; return None if it cannot be read, and remove it if it is of no use."""
        try:
            saved = self._map(name) if digest == name else None
        except (OSError, ValueError):  # too many open files, or an empty file
            return None
        if saved is None and digest:
            self.remove(name)
        return saved

    def _map(self, name: str) -> SavedArrays | None:
        """Map an intact file; return None if its arrays have another origin."""
        with self._path(name).open("rb") as stream:
            data = memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY))
        header, start = _read_header(data)
        if header.get("origin") != self._origin:
            return None
        arrays = {}
        for entry in header["arrays"]:
            dtype, shape = np.dtype(entry["dtype"]), tuple(entry["shape"])
            count = int(np.prod(shape))
            arrays[entry["name"]] = np.frombuffer(data, dtype, count, start).reshape(shape)
            start = _aligned(start + count * dtype.itemsize)
        return SavedArrays(name, tuple(header["keys"]), arrays)

    def _encode(self, keys: Sequence[str], arrays: Mapping[str, np.ndarray]) -> bytes:
        entries = [
            {"name": name, "dtype": array.dtype.str, "shape": array.shape}
            for name, array in arrays.items()
        ]
        header = {"origin": self._origin, "keys": list(keys), "arrays": entries}
        text = json.dumps(header).encode()
        parts = [len(text).to_bytes(_LENGTH_BYTES, "little") + text]
        parts += [np.ascontiguousarray(array).tobytes() for array in arrays.values()]
        return b"".join(part.ljust(_aligned(len(part)), b"\0") for part in parts)


def _read_header(data: memoryview) -> tuple[dict[str, Any], int]:
    """Return the header of an intact file, and the position of the first array.

    A file that another program named by its hash has no header of ours; the header is then empty.
    """
    end = _LENGTH_BYTES + int.from_bytes(data[:_LENGTH_BYTES], "little")
    try:
        header = json.loads(bytes(data[_LENGTH_BYTES:end]))
    except ValueError:
        header = {}
    return header if isinstance(header, dict) else {}, _aligned(end)


def _aligned(count: int) -> int:
    return -(-count // _ALIGNMENT) * _ALIGNMENT
