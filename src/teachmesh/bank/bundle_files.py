"""Bundles: many skills and tombstones in one tar file or folder, for machines without a network.

- `skills/<id>.skill`: a signed skill, named by its SHA-256.
- `tombstones/<id>.json`: a signed withdrawal, named by its SHA-256.

Nothing else is read. A tar file is neither compressed nor extended, so its reader needs no memory
beyond one skill, whatever the file claims.
"""

from __future__ import annotations

import os
import re
import secrets
import tarfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

from teachmesh.bank.atomic import TEMP_PREFIX, storage_errors, write_atomic
from teachmesh.bank.output_file import check_output
from teachmesh.errors import StorageError
from teachmesh.packet.limits import DEFAULT_LIMITS
from teachmesh.packet.tombstone import TOMBSTONE_BYTES

_NAME = re.compile(r"(skills|tombstones)/([0-9a-f]{64})\.(skill|json)")
_ENDS = {"skills": "skill", "tombstones": "json"}
_LIMITS = {"skills": DEFAULT_LIMITS.file_bytes, "tombstones": TOMBSTONE_BYTES}
_BLOCK = tarfile.BLOCKSIZE
_MAX_SKIPPED = 1 << 40


@dataclass(frozen=True)
class BundlePart:
    """One file of a bundle.

    Attributes:
        folder: "skills" or "tombstones"; empty if the file does not belong to a bundle.
        id: hash in its name; empty if the file does not belong to a bundle.
        name: its name, for people.
        data: its bytes, which are not checked; None if they cannot be read.
        problem: reason why they cannot be read; empty if they can.
    """

    folder: str
    id: str
    name: str
    data: bytes | None
    problem: str = ""


def part_name(folder: str, content_id: str) -> str:
    """Return the name of a file in a bundle.

    >>> part_name("tombstones", "ab")
    'tombstones/ab.json'
    """
    return f"{folder}/{content_id}.{_ENDS[folder]}"


def write_bundle(path: Path, parts: Iterable[tuple[str, bytes]]) -> int:
    """Write a bundle: a folder if the path is one, otherwise a tar file.

    Equal parts give equal bytes. A file is complete or not there.

    Args:
        path: the tar file, or an existing folder.
        parts: name, from `part_name`, and bytes of each file.

    Returns:
        Number of bytes of all parts.

    Raises:
        StorageError: the bundle cannot be written.
    """
    with storage_errors(f"could not write {path}"):
        return _write_folder(path, parts) if path.is_dir() else _write_tar(path, parts)


def _write_folder(path: Path, parts: Iterable[tuple[str, bytes]]) -> int:
    total = 0
    for name, data in parts:
        (path / name).parent.mkdir(exist_ok=True)
        write_atomic(path / name, data, mode=0o644)
        total += len(data)
    return total


def _write_tar(path: Path, parts: Iterable[tuple[str, bytes]]) -> int:
    target, total = check_output(path), 0
    temporary = target.with_name(f"{TEMP_PREFIX}{secrets.token_hex(8)}")
    try:
        with temporary.open("xb") as stream:
            for name, data in parts:
                header = tarfile.TarInfo(name)
                header.size, header.mode = len(data), 0o644
                stream.write(header.tobuf(tarfile.USTAR_FORMAT))
                stream.write(data)
                stream.write(bytes(-len(data) % _BLOCK))
                total += len(data)
            stream.write(bytes(2 * _BLOCK))
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(target)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    return total


def read_bundle(path: Path, is_known: Callable[[str, str], bool]) -> Iterator[BundlePart]:
    """Yield the files of a bundle; skills come first if `write_bundle` wrote it.

    Args:
        path: a tar file, or a folder.
        is_known: returns whether a file need not be read, given its folder and id.

    Raises:
        StorageError: the bundle cannot be read, or is neither a tar file nor a folder of a bundle.
    """
    with storage_errors(f"could not read {path}"):
        if path.is_dir():
            yield from _read_folder(path, is_known)
        else:
            with path.open("rb") as stream:
                yield from _read_tar(path, stream, is_known)


def _read_folder(path: Path, is_known: Callable[[str, str], bool]) -> Iterator[BundlePart]:
    if not any((path / folder).is_dir() for folder in _ENDS):
        raise StorageError(
            f"expected a bundle with the folder `skills` or `tombstones`, got {path}; write one "
            "with: teachmesh bundle export"
        )
    for folder in _ENDS:
        for file in sorted((path / folder).glob("*")):
            name = f"{folder}/{file.name}"
            with suppress(FileNotFoundError):
                if not file.name.startswith("."):
                    yield _part(name, file.stat().st_size, is_known, partial(_read_start, file))


def _read_tar(
    path: Path, stream: BinaryIO, is_known: Callable[[str, str], bool]
) -> Iterator[BundlePart]:
    is_first = True
    while True:
        block = stream.read(_BLOCK)
        if block == bytes(_BLOCK):
            return
        header = _header(block)
        if header is None and is_first:
            raise StorageError(
                f"expected a bundle, which is a tar file without compression, got {path}"
            )
        if header is None:
            yield BundlePart("", "", path.name, None, "the file is cut off or damaged here")
            return
        is_first, start = False, stream.tell()
        name = header.name if header.type in (tarfile.REGTYPE, tarfile.AREGTYPE) else ""
        yield _part(name or f"{header.name} (no file)", header.size, is_known, stream.read)
        stream.seek(start + header.size + -header.size % _BLOCK)


def _header(block: bytes) -> tarfile.TarInfo | None:
    """Return the header in a block; None if it is damaged."""
    try:
        header = tarfile.TarInfo.frombuf(block, "utf-8", "replace")
    except tarfile.HeaderError:
        return None
    return header if 0 <= header.size <= _MAX_SKIPPED else None


def _read_start(file: Path, size: int) -> bytes:
    with file.open("rb") as stream:
        return stream.read(size)


def _part(
    name: str,
    size: int,
    is_known: Callable[[str, str], bool],
    read: Callable[[int], bytes],
) -> BundlePart:
    found = _NAME.fullmatch(name)
    if found is None or found[3] != _ENDS[found[1]]:
        return BundlePart("", "", name, None, "it is no file of a bundle")
    folder, content_id = found[1], found[2]
    if is_known(folder, content_id):
        return BundlePart(folder, content_id, name, b"")
    if size > _LIMITS[folder]:
        reason = f"expected at most {_LIMITS[folder]} bytes, got {size}"
        return BundlePart(folder, content_id, name, None, reason)
    data = read(size)
    if len(data) < size:
        return BundlePart(folder, content_id, name, None, "the file is cut off")
    return BundlePart(folder, content_id, name, data)
