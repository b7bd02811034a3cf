"""Room for activations that are kept: so much memory, then so much disk, for several stores."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

RAM_BYTES = 1 << 30
DISK_BYTES = 8 << 30
_FOR_LARGE_FILES = Path("/var/tmp")
_VARIABLES = ("TMPDIR", "TEMP", "TMP")


class Room:
    """Memory and disk that the stores of one training share; each takes what the earlier ones left.

    Args:
        ram_bytes: most bytes in memory.
        disk_bytes: most bytes on the disk; never more than half of what is free at first.
        folder: of files; default `scratch_folder`.
    """

    def __init__(
        self,
        ram_bytes: int = RAM_BYTES,
        disk_bytes: int = DISK_BYTES,
        folder: Path | None = None,
    ) -> None:
        self.folder = folder or scratch_folder()
        self._ram_left = ram_bytes
        self._disk_left = min(disk_bytes, shutil.disk_usage(self.folder).free // 2)

    def take_ram(self, count: int, bytes_each: int) -> int:
        """Places in memory for at most `count` images; they are taken from now on."""
        places = min(count, self._ram_left // bytes_each)
        self._ram_left -= places * bytes_each
        return places

    def take_disk(self, count: int, bytes_each: int) -> int:
        """Places on the disk, likewise."""
        places = min(count, self._disk_left // bytes_each)
        self._disk_left -= places * bytes_each
        return places


def scratch_folder() -> Path:
    """Where large temporary files go: the folder that TMPDIR, TEMP or TMP names, else /var/tmp.

    On many systems /tmp lies in memory, which is what a file is to spare. Where there is no
    /var/tmp, the system's folder for temporary files.
    """
    named = any(os.environ.get(variable) for variable in _VARIABLES)
    if not named and os.access(_FOR_LARGE_FILES, os.W_OK):
        return _FOR_LARGE_FILES
    return Path(tempfile.gettempdir())
