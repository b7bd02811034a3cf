"""Images in tar and zip archives, read in place; nothing is extracted to a named file.

An uncompressed tar is scanned once; then reading a member takes one seek and one read. A compressed
tar is unpacked once into an unlinked temporary file, because gzip streams cannot be read from the
middle. The system removes the temporary file even if the process is killed.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
import tempfile
import threading
import zipfile
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from stat import S_ISLNK
from typing import Protocol

from teachmesh.data.names import shown
from teachmesh.errors import DataError

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
ZIP_SUFFIXES = (".zip",)
MAX_UNPACKED_BYTES = 16 << 30
"""Maximum size of a compressed tar after unpacking."""

_UTF8_FLAG = 0x800
_ENCRYPTED_FLAG = 0x1

_BROKEN = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    ValueError,
    KeyError,
    RuntimeError,  # zipfile raises it for encrypted members and for unknown compression
)


@dataclass(frozen=True)
class Member:
    """One entry of an archive.

    Attributes:
        name: path as stored in the archive, with "/" as separator.
        is_folder: whether the entry is a folder; otherwise it is a regular file.
        size_bytes: unpacked size in bytes.
        offset: position of the bytes in the (unpacked) tar; None for a zip.
    """

    name: str
    is_folder: bool
    size_bytes: int
    offset: int | None


def is_archive(path: Path) -> bool:
    """Return whether a file name has the ending of a supported archive."""
    return path.name.lower().endswith(TAR_SUFFIXES + ZIP_SUFFIXES)


@dataclass(frozen=True)
class Contents:
    """Entries of an archive.

    Attributes:
        members: folders and regular files; a hard link to an earlier file counts as that file.
        links: number of other links, which are never followed.
        remarks: remarks on the archive, one sentence each.
    """

    members: list[Member]
    links: int = 0
    remarks: tuple[str, ...] = ()


def scan_archive(path: Path, max_unpacked_bytes: int = MAX_UNPACKED_BYTES) -> Contents:
    """List the entries of an archive, ignoring symbolic links and devices.

    Raises:
        DataError: the archive cannot be read or is encrypted, or an unpacked tar exceeds the limit.
    """
    try:
        if path.name.lower().endswith(ZIP_SUFFIXES):
            return _zip_members(path)
        return _tar_members(path, max_unpacked_bytes)
    except _BROKEN as error:
        raise DataError(
            f"expected a tar or zip archive at '{shown(str(path))}', got one that cannot be read "
            f"({shown(str(error)) or type(error).__name__}); pack it again"
        ) from error


def read_tar_range(path: Path, offset: int, size_bytes: int) -> bytes:
    """Read `size_bytes` bytes at `offset` of the (unpacked) tar, or fewer if it ends earlier."""
    spool = _spool(*_identity(path), MAX_UNPACKED_BYTES)
    if spool is not None:
        return spool.read_range(offset, size_bytes)
    with path.open("rb", buffering=0) as file:
        file.seek(offset)
        return file.read(size_bytes)


def read_zip_member(path: Path, name: str, size_bytes: int) -> bytes:
    """Read the first `size_bytes` unpacked bytes of a zip member.

    Raises:
        DataError: the member is damaged, encrypted or compressed in an unknown way.
    """
    try:
        with _zip(*_identity(path)).open(name) as file:
            return file.read(size_bytes)
    except _BROKEN as error:
        raise DataError(
            f"expected a readable member '{shown(name)}' in '{shown(str(path))}', got "
            f"'{shown(str(error))}'; pack the archive again without a password"
        ) from error


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _Spool:
    """A compressed tar, unpacked into an anonymous file; several threads may read from the file."""

    def __init__(self, source: _Readable, max_bytes: int) -> None:
        self._lock = threading.Lock()
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by __del__
        left = max_bytes
        while chunk := source.read(1 << 20):
            left -= len(chunk)
            if left < 0:
                raise DataError(
                    f"expected an archive that unpacks to at most {max_bytes >> 20} MiB, got a "
                    "larger one; unpack it and learn from the folder"
                )
            self._file.write(chunk)

    def read_range(self, offset: int, size_bytes: int) -> bytes:
        with self._lock:
            self._file.seek(offset)
            return self._file.read(size_bytes)

    def contents(self) -> Contents:
        with self._lock:
            self._file.seek(0)
            with tarfile.open(fileobj=self._file, mode="r:") as tar:
                return _scan(tar)

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            self._file.close()


def _identity(path: Path) -> tuple[str, int, int]:
    """Return the path, modification time and size of a file, as a cache key."""
    state = path.stat()
    return str(path), state.st_mtime_ns, state.st_size


@lru_cache(maxsize=8)
def _zip(path: str, _mtime_ns: int, _size_bytes: int) -> zipfile.ZipFile:
    archive = zipfile.ZipFile(path)
    for info in archive.infolist():
        info.filename = _zip_name(info)
        archive.NameToInfo[info.filename] = info
    return archive


def _zip_name(info: zipfile.ZipInfo) -> str:
    """Return a member's name; names without an encoding mark are UTF-8 if they can be."""
    if info.flag_bits & _UTF8_FLAG or info.filename.isascii():
        return info.filename
    try:
        return info.filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return info.filename


def _in_cp437(info: zipfile.ZipInfo) -> bool:
    """Return whether a name has no encoding mark and is no UTF-8, so that it may look wrong."""
    unmarked = not info.flag_bits & _UTF8_FLAG and not info.filename.isascii()
    return unmarked and info.filename == info.orig_filename.replace("\\", "/")


@lru_cache(maxsize=4)
def _spool(path: str, _mtime_ns: int, _size_bytes: int, max_bytes: int) -> _Spool | None:
    """Unpack a compressed tar; return None if the tar is not compressed."""
    with Path(path).open("rb") as file:
        magic = file.read(6)
    if magic.startswith(b"\x1f\x8b"):
        with gzip.open(path) as stream:
            return _Spool(stream, max_bytes)
    if magic.startswith(b"BZh"):
        with bz2.open(path) as stream:
            return _Spool(stream, max_bytes)
    if magic == b"\xfd7zXZ\0":
        with lzma.open(path) as stream:
            return _Spool(stream, max_bytes)
    return None


def _tar_members(path: Path, max_unpacked_bytes: int) -> Contents:
    spool = _spool(*_identity(path), max_unpacked_bytes)
    if spool is not None:
        return spool.contents()
    with tarfile.open(path, mode="r:") as tar:
        return _scan(tar)


def _scan(tar: tarfile.TarFile) -> Contents:
    """Read all headers once; a hard link becomes a member with the bytes of its target."""
    members: list[Member] = []
    files: dict[str, Member] = {}
    links = 0
    for info in tar:
        if info.isdir():
            members.append(Member(info.name, True, 0, None))
        elif info.isreg() and not info.issparse():
            members.append(Member(info.name, False, info.size, info.offset_data))
            files[info.name] = members[-1]
        elif info.islnk() and info.linkname in files:
            target = files[info.linkname]
            members.append(Member(info.name, False, target.size_bytes, target.offset))
        else:
            links += info.islnk() or info.issym()
    _check_end(tar)
    return Contents(members, links)


def _check_end(tar: tarfile.TarFile) -> None:
    """Raise an error for a damaged header, which tarfile treats as the end of the archive."""
    file = tar.fileobj
    assert file is not None  # never None while the archive is open
    file.seek(tar.offset)
    if file.read(tarfile.BLOCKSIZE).strip(b"\0"):
        raise tarfile.ReadError(f"damaged header at byte {tar.offset}")


def _zip_members(path: Path) -> Contents:
    entries = _zip(*_identity(path)).infolist()
    if any(info.flag_bits & _ENCRYPTED_FLAG for info in entries):
        raise RuntimeError("encrypted; pack it without a password")
    links = [info for info in entries if S_ISLNK(info.external_attr >> 16)]
    foreign = sum(map(_in_cp437, entries))
    remark = f"{foreign} names in the zip have no encoding mark: read as code page 437"
    members = [
        Member(info.filename, info.is_dir(), info.file_size, None)
        for info in entries
        if not S_ISLNK(info.external_attr >> 16)
    ]
    return Contents(members, len(links), (remark,) if foreign else ())
