"""References to images: files and members of archives, read in whole or in part."""

from __future__ import annotations

from dataclasses import dataclass
from errno import EINVAL
from pathlib import Path
from stat import S_ISREG
from typing import TYPE_CHECKING

from teachmesh.data.archives import read_tar_range, read_zip_member
from teachmesh.data.decoding import decode_upright
from teachmesh.data.image_headers import SNIFF_BYTES
from teachmesh.data.names import shown
from teachmesh.errors import DataError

if TYPE_CHECKING:
    import numpy as np

MAX_FILE_BYTES = 256 << 20
"""Maximum size of an image file that is read into memory."""


@dataclass(frozen=True)
class ImageRef:
    """Reference to the bytes of one image, which is a file or a member of an archive.

    Attributes:
        path: path of the image file or of the archive.
        member: name inside the archive; None for a file.
        offset: position of the member's bytes in an (unpacked) tar; None otherwise.
        size_bytes: size of the member in bytes; None for a file.
    """

    path: Path
    member: str | None = None
    offset: int | None = None
    size_bytes: int | None = None

    def __str__(self) -> str:
        where = shown(str(self.path), 200)
        return where if self.member is None else f"{where}:{shown(self.member, 200)}"

    def read(self) -> bytes:
        """Read all bytes of the image.

        Raises:
            DataError: the file is missing, unreadable, larger than `MAX_FILE_BYTES`, or shorter
                than listed in the archive.
        """
        return self._read(MAX_FILE_BYTES)

    def head(self) -> bytes:
        """Read the first bytes, enough for `image_headers.sniff`.

        Raises:
            DataError: for the same reasons as in `read`.
        """
        return self._read(SNIFF_BYTES)

    def read_at(self, offset: int, size_bytes: int) -> bytes:
        """Read a part of the image's bytes, shorter if it ends earlier.

        Raises:
            DataError: the file or the archive cannot be read.
        """
        try:
            if self.member is None:
                with self.path.open("rb", buffering=0) as file:
                    file.seek(offset)
                    return file.read(size_bytes)
            if self.offset is None:
                return read_zip_member(self.path, self.member, offset + size_bytes)[offset:]
            left = max(0, (self.size_bytes or 0) - offset)
            return read_tar_range(self.path, self.offset + offset, min(size_bytes, left))
        except OSError as error:
            raise self._unreadable(error) from error

    def n_bytes(self) -> int:
        """Return the size of the image in bytes, without reading it.

        Raises:
            DataError: the file is missing, or no regular file.
        """
        try:
            return _file_size(self.path) if self.size_bytes is None else self.size_bytes
        except OSError as error:
            raise self._unreadable(error) from error

    def upright(self, size: int) -> np.ndarray:
        """Return the result of `decode_upright` for the image's bytes.

        Raises:
            DataError: for the same reasons as in `read` and `decode_upright`.
        """
        return decode_upright(self.read(), size, source=self)

    def _read(self, limit: int) -> bytes:
        try:
            size_bytes = _file_size(self.path) if self.size_bytes is None else self.size_bytes
            if size_bytes > MAX_FILE_BYTES:
                raise DataError(
                    f"expected an image of at most {MAX_FILE_BYTES >> 20} MiB, got "
                    f"{size_bytes >> 20} MiB in '{self}'; save it smaller"
                )
            wanted = min(limit, size_bytes)
            data = self._read_first(wanted)
        except OSError as error:
            raise self._unreadable(error) from error
        if len(data) < wanted:
            raise DataError(
                f"expected {wanted} bytes at '{self}', got {len(data)}; the file is damaged, "
                "copy or pack it again"
            )
        return data

    def _unreadable(self, error: OSError) -> DataError:
        reason = error.strerror or type(error).__name__
        return DataError(f"expected a readable image at '{self}', got '{reason}'; check the file")

    def _read_first(self, size_bytes: int) -> bytes:
        if self.member is None:
            with self.path.open("rb", buffering=0) as file:
                return file.read(size_bytes)
        if self.offset is None:
            return read_zip_member(self.path, self.member, size_bytes)
        return read_tar_range(self.path, self.offset, size_bytes)


def _file_size(path: Path) -> int:
    """Return a file's size in bytes; reject pipes and devices, which could block forever."""
    state = path.stat()
    if not S_ISREG(state.st_mode):
        raise OSError(EINVAL, "not a regular file")
    return state.st_size
