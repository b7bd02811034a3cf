"""Lock, state and numbers of the `teachmesh up` process of a home."""

from __future__ import annotations

import json
import os
import secrets
import time
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from teachmesh.bank.atomic import storage_errors, write_atomic
from teachmesh.errors import ConfigError

RESERVED = 315_000_000
"""Numbers reserved per run: ten announcements per second for a year."""
SPREAD = 100_000_000
"""Numbers among which each run draws its first one, so that a copied home has others."""
STALE_AFTER_S = 10.0
"""Age of `running.json` from which it counts as left behind by a killed process."""
LOOK_S = 0.5
"""Time for which others may hold the lock to look whether an agent runs."""
_POLL_S = 0.01
_MAX_SEQUENCE = 2**52


class RunningLock:
    """Lock that `teachmesh up` holds while it runs; the system frees it if the process is killed.

    Args:
        home: the agent's home folder.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._path = home / "running.lock"
        self._lock = FileLock(self._path, mode=0o600, thread_local=False, poll_interval=_POLL_S)

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            ConfigError: another process has it.
            StorageError: the file cannot be created.
        """
        with storage_errors(f"could not lock the agent's home {self._home}"):
            try:
                self._lock.acquire(timeout=LOOK_S)
            except Timeout as error:  # an OSError too, so it is caught first
                raise ConfigError(
                    f"another process{self._pid()} already runs the agent of {self._home}; stop it "
                    "first, or choose another folder with --home"
                ) from error

    def _pid(self) -> str:
        state = RunningFile(self._home / "running.json").read(time.time())
        return f" ({state['pid']})" if state is not None and "pid" in state else ""

    def release(self) -> None:
        """Free the lock."""
        self._lock.release()

    def is_held(self) -> bool:
        """Return whether a process has the lock; False if the file cannot be used."""
        if not self._path.exists():
            return False
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            return True
        except OSError:
            return False
        self._lock.release()
        return False


class RunningFile:
    """`running.json` of a home, which exists while `teachmesh up` runs in that home.

    Args:
        path: path of the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, state: dict[str, Any], now_s: float) -> None:
        """Replace the state in the file. No fsync is needed: a crash makes the state useless.

        Args:
            state: the state as a JSON object.
            now_s: current time, in seconds since the epoch.
        """
        document = {"pid": os.getpid(), "written_s": now_s, **state}
        temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}.tmp")
        with storage_errors(f"writing {self.path}"):
            temporary.write_text(json.dumps(document), encoding="utf-8")
            temporary.replace(self.path)

    def read(self, now_s: float) -> dict[str, Any] | None:
        """Return the state of the agent that runs in this home, or None if no agent is running.

        A killed agent cannot remove its file, so a file that is too old is ignored.
        """
        try:
            document = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        if not isinstance(document, dict):
            return None
        written_s = document.get("written_s")
        fresh = isinstance(written_s, int | float) and abs(now_s - written_s) < STALE_AFTER_S
        return document if fresh else None

    def remove(self) -> None:
        """Remove the file when the agent stops."""
        with storage_errors(f"removing {self.path}"):
            self.path.unlink(missing_ok=True)


class SequenceFile:
    """File with a number that is larger than those of all announcements so far.

    The numbers grow from run to run, even if the wall clock is set back. A copied home goes on with
    other numbers, because an agent recognises its own announcements by their numbers.

    Args:
        path: path of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def reserve(self, at_least: int) -> int:
        """Return the first number of a run, and reserve the numbers after it.

        Args:
            at_least: smallest number to return, such as the wall clock in milliseconds. It is used
                if the file is lost or damaged.

        Raises:
            StorageError: the file cannot be written.
        """
        with storage_errors(f"could not save {self._path}"):
            first = max(at_least, self._read()) + secrets.randbelow(SPREAD)
            write_atomic(self._path, str(first + RESERVED).encode())
        return first

    def _read(self) -> int:
        try:
            found = int(self._path.read_bytes()[:32])
        except (FileNotFoundError, ValueError):
            return 0
        return found if 0 <= found < _MAX_SEQUENCE else 0
