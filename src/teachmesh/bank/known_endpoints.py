"""Endpoints of earlier runs: those of other agents that worked, and this agent's own ports."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from teachmesh.bank.atomic import storage_errors, write_atomic

SCHEMA = "teachmesh.known-endpoints/1"
MAX_JOINED = 16
MAX_LISTENED = 8
_MAX_BYTES = 64 * 1024
_MAX_TEXT = 300


class KnownEndpoints:
    """The file `known_endpoints.json` of a home; a missing or damaged one is empty.

    Args:
        home: the agent's home folder.
    """

    def __init__(self, home: Path) -> None:
        self._path = home / "known_endpoints.json"
        found = self._read()
        self.joined = _texts(found.get("joined"))[:MAX_JOINED]
        """Endpoints of other agents at which this agent reached them, the newest first."""
        listened = found.get("listened")
        pairs = listened if isinstance(listened, dict) else {}
        self.listened = {asked: used for asked, used in pairs.items() if _texts([used])}
        """Endpoints with the port that was chosen, for each endpoint with port 0."""

    def note(self, joined: Sequence[str], listened: Mapping[str, str]) -> None:
        """Remember endpoints that work now.

        Args:
            joined: endpoints of other agents.
            listened: endpoints with the chosen port, for each endpoint with port 0.

        Raises:
            StorageError: the file cannot be written.
        """
        new = [endpoint for endpoint in joined if endpoint not in self.joined]
        ports = {**self.listened, **listened}
        if not new and ports == self.listened:
            return
        self.joined = [*new, *self.joined][:MAX_JOINED]
        self.listened = dict(list(ports.items())[-MAX_LISTENED:])
        document = {"schema": SCHEMA, "joined": self.joined, "listened": self.listened}
        with storage_errors(f"could not save {self._path}"):
            write_atomic(self._path, json.dumps(document, indent=2).encode())

    def _read(self) -> dict[str, Any]:
        try:
            with self._path.open("rb") as stream:
                found = json.loads(stream.read(_MAX_BYTES))
        except (OSError, ValueError, RecursionError):
            return {}
        is_ours = isinstance(found, dict) and found.get("schema") == SCHEMA
        return found if is_ours else {}


def _texts(value: object) -> list[str]:
    """Return the short texts of a list; nothing if it is no list."""
    items = value if isinstance(value, list) else []
    return [item for item in items if isinstance(item, str) and len(item) <= _MAX_TEXT]
