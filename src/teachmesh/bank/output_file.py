"""Write a file at a path chosen by the user: into pipes, devices and links, never over them."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from teachmesh.bank.atomic import write_atomic
from teachmesh.errors import StorageError

_REASONS = {
    errno.ENOSPC: "the disk is full; free some space and try again",
    errno.EDQUOT: "the disk quota is used up; free some space and try again",
    errno.EFBIG: "the file would be larger than this system allows",
    errno.EROFS: "the disk is read-only; choose another folder",
    errno.EACCES: "there is no permission; choose another folder",
    errno.EPERM: "there is no permission; choose another folder",
    errno.ENOTDIR: "a part of its path is a file; choose another folder",
    errno.ENAMETOOLONG: "its name is too long; choose a shorter one",
    errno.ELOOP: "its links form a circle; choose another file",
    errno.EPIPE: "its reader closed the pipe",
    errno.ENXIO: "nothing reads from it; start a reader or choose another file",
}


def write_file(path: Path, data: bytes) -> None:
    """Write a file to a path chosen by the user.

    A regular file is written atomically and keeps its permissions. A link stays, and the file that
    it points to is written. Data for a pipe or a character device is written into it.

    Raises:
        StorageError: the path is a folder, a block device or a socket, its folder is missing,
            writing is not permitted, or the disk is full.
    """
    with _clear_errors(path):
        target = check_output(path)
        mode = _mode(target)
        if mode is None or stat.S_ISREG(mode):
            write_atomic(target, data, mode=0o644 if mode is None else stat.S_IMODE(mode))
        else:
            _write_into(target, data)


def check_output(path: Path) -> Path:
    """Check that a file can probably be written, before work starts whose result it will hold.

    Returns:
        The path without links.

    Raises:
        StorageError: as for `write_file`.
    """
    with _clear_errors(path):
        target = Path(os.path.realpath(path))
        if _mode(target) is None and _mode(path) is not None:
            target = path  # a link of /proc/self/fd to a pipe, which has no path of its own
        mode = _mode(target)
        if mode is None or stat.S_ISREG(mode):
            _check_folder(path, target.parent)
        elif stat.S_ISDIR(mode):
            raise StorageError(f"expected a file, got the folder {path}; name a file in it")
        elif not (stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)):
            raise StorageError(f"expected a file, pipe or character device: {path}")
        return target


def _check_folder(path: Path, folder: Path) -> None:
    mode = _mode(folder)
    if mode is None:
        raise StorageError(f"could not write {path}: its folder does not exist; create it first")
    if not stat.S_ISDIR(mode):
        raise NotADirectoryError(errno.ENOTDIR, "not a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, "no permission")


def _mode(path: Path) -> int | None:
    """Return the kind and permissions of a file; None if it is missing."""
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        return None


def _write_into(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | getattr(os, "O_NOCTTY", 0))
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    finally:
        os.close(descriptor)


@contextmanager
def _clear_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = _REASONS.get(error.errno or 0, error.strerror or "the system refused")
        raise StorageError(f"could not write {path}: {reason}") from error
