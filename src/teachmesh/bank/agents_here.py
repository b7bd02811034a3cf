"""The agents of this user that run on this machine, to name the one that uses a port."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from teachmesh.bank.atomic import write_atomic
from teachmesh.bank.running import RunningLock

_MAX_BYTES = 16 * 1024
_MAX_FILES = 1000


@dataclass(frozen=True)
class AgentHere:
    """An agent that runs on this machine.

    Attributes:
        pid: id of its process.
        home: its home folder.
        endpoints: endpoints that it listens on.
    """

    pid: int
    home: str
    endpoints: tuple[str, ...]

    def uses(self, port: str) -> bool:
        """Return whether the agent listens on a port."""
        return any(endpoint.rpartition(":")[2] == port for endpoint in self.endpoints)


class AgentsHere:
    """Files with one running agent each, in the state folder of the user.

    They are for messages only. So nothing fails if the folder cannot be used.

    Args:
        folder: the folder; by default `agents` in the user's state folder of teachmesh.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = _default_folder() if folder is None else folder

    def add(self, home: Path, endpoints: Sequence[str]) -> None:
        """List an agent of this process."""
        document = {"pid": os.getpid(), "home": str(home), "endpoints": list(endpoints)}
        with suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Atomic, because others remove a file that they cannot read.
            write_atomic(self._file(home), json.dumps(document).encode(), durable=False)

    def remove(self, home: Path) -> None:
        """Remove an agent of this process."""
        with suppress(OSError):
            self._file(home).unlink(missing_ok=True)

    def using(self, port: str) -> AgentHere | None:
        """Return the running agent that listens on a port; None if it is none of this user's."""
        return next((agent for agent in self._running() if agent.uses(port)), None)

    def _file(self, home: Path) -> Path:
        return self._folder / f"{hashlib.sha256(os.fsencode(home)).hexdigest()[:16]}.json"

    def _running(self) -> list[AgentHere]:
        """Return the running agents; remove the files of those that were killed."""
        found = []
        with suppress(OSError):
            for path in sorted(self._folder.glob("*.json"))[:_MAX_FILES]:
                agent = _parsed(path)
                if agent is not None and RunningLock(Path(agent.home)).is_held():
                    found.append(agent)
                else:
                    path.unlink(missing_ok=True)
        return found


def _default_folder() -> Path:
    from platformdirs import user_state_dir

    return Path(user_state_dir("teachmesh", appauthor=False)) / "agents"


def _parsed(path: Path) -> AgentHere | None:
    try:
        with path.open("rb") as stream:
            found = json.loads(stream.read(_MAX_BYTES))
        return AgentHere(int(found["pid"]), str(found["home"]), tuple(map(str, found["endpoints"])))
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None
