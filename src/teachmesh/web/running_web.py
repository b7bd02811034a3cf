"""The file in a home that tells commands where the running agent answers.

Nothing here loads a package, so that a command that uses the agent starts fast.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

_MOST_BYTES = 4096


@dataclass(frozen=True)
class WebAddress:
    """Where and how a running agent answers.

    Attributes:
        url: address of the server, such as "http://127.0.0.1:8765/".
        token: secret for changes.
        pid: process of the agent.
    """

    url: str
    token: str
    pid: int


class RunningWeb:
    """`web.json` of a home, which only the owner can read; it exists while the server runs.

    Args:
        home: the agent's home folder.
    """

    def __init__(self, home: Path) -> None:
        self.path = home / "web.json"

    def write(self, address: WebAddress) -> None:
        """Write the address.

        Raises:
            StorageError: the file cannot be written.
        """
        # Imported here because commands only read the file.
        from teachmesh.bank.atomic import storage_errors, write_atomic

        with storage_errors(f"could not save {self.path}"):
            data = json.dumps(asdict(address)).encode()
            write_atomic(self.path, data, mode=0o600, durable=False)

    def read(self) -> WebAddress | None:
        """Return the address; None without one, or if its process has ended."""
        try:
            with self.path.open("rb") as file:
                found = WebAddress(**json.loads(file.read(_MOST_BYTES)))
            if os.name == "posix":  # elsewhere a refused connection shows that it ended
                os.kill(int(found.pid), 0)
        except (OSError, ValueError, TypeError):
            return None
        return found

    def remove(self) -> None:
        """Remove the file when the server stops."""
        with suppress(OSError):  # a read-only disk; the process id shows that the server ended
            self.path.unlink(missing_ok=True)
