"""The events of a home's agent in a file, for other processes and for later.

- `events.jsonl`: one JSON object per line, the newest last.
- `events.old.jsonl`: the file before, once the first one has reached its limit.
"""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

SCHEMA = "teachmesh.event/1"
MAX_BYTES = 1 << 20
"""Size at which a new file is begun; both files together have at most twice as much."""
FOLLOW_INTERVAL_S = 0.2


class EventFile:
    """Events of the agent of a home; only the running agent writes.

    Args:
        home: the agent's home folder.
        max_bytes: size at which a new file is begun.
    """

    def __init__(self, home: Path, max_bytes: int = MAX_BYTES) -> None:
        self.path = home / "events.jsonl"
        self._old = home / "events.old.jsonl"
        self._max_bytes = max_bytes
        self._lost = 0

    def append(self, event: Mapping[str, Any]) -> None:
        """Add an event. If the disk is full, it is counted, and the next event states the count.

        Args:
            event: the event as a JSON object.
        """
        lost = {"lost_before": self._lost} if self._lost else {}
        line = json.dumps({"schema": SCHEMA, **event, **lost}) + "\n"
        try:
            self._write(line.encode())
        except OSError:
            self._lost += 1
        else:
            self._lost = 0

    def _write(self, line: bytes) -> None:
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            before = os.fstat(descriptor).st_size
            if os.write(descriptor, line) < len(line):  # a full disk
                os.ftruncate(descriptor, before)
                raise OSError("short write")
        finally:
            os.close(descriptor)
        if before + len(line) >= self._max_bytes:
            self.path.replace(self._old)

    def last(self, count: int) -> list[dict[str, Any]]:
        """Return the newest events, oldest first."""
        return list(self.follow(count, lambda _seconds: True))

    def follow(self, count: int, wait: Callable[[float], bool]) -> Iterator[dict[str, Any]]:
        """Yield the newest events, then those that come, also after a new file was begun.

        Args:
            count: number of events from before.
            wait: waits for so many seconds, and returns whether to stop.
        """
        reader = _Reader(self.path, self._old)
        before = deque(_events_of(_read(self._old, 0)[1]), maxlen=count)
        before.extend(reader.new_events())
        yield from before
        while not wait(FOLLOW_INTERVAL_S):
            yield from reader.new_events()


class _Reader:
    """Reads the new lines of a file that is renamed when it is full."""

    def __init__(self, path: Path, old: Path) -> None:
        self._path, self._old = path, old
        self._identity: tuple[int, int] | None = None
        self._offset = 0

    def new_events(self) -> Iterator[dict[str, Any]]:
        """Yield the events that were added since the last call."""
        identity, data = _read(self._path, self._offset)
        if identity != self._identity or data is None:
            if self._identity is not None:
                yield from self._rest_of_old()
            self._identity, self._offset = identity, 0
            identity, data = _read(self._path, 0)
        yield from self._taken(data or b"")

    def _rest_of_old(self) -> Iterator[dict[str, Any]]:
        """Yield the lines that were written between the last reading and the renaming."""
        identity, data = _read(self._old, self._offset)
        if identity == self._identity:
            yield from self._taken(data or b"")

    def _taken(self, data: bytes) -> Iterator[dict[str, Any]]:
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        yield from _events_of(whole)


def _read(path: Path, offset: int) -> tuple[tuple[int, int] | None, bytes | None]:
    """Return the identity of a file and its bytes from an offset; None if it has fewer."""
    try:
        with path.open("rb") as stream:
            status = os.fstat(stream.fileno())
            stream.seek(offset)
            data = stream.read() if status.st_size >= offset else None
    except OSError:
        return None, None
    return (status.st_dev, status.st_ino), data


def _events_of(data: bytes | None) -> Iterator[dict[str, Any]]:
    found = (_parsed(line) for line in (data or b"").split(b"\n"))
    return (event for event in found if event is not None)


def _parsed(line: bytes) -> dict[str, Any] | None:
    """Return the event in a line; None if the line is torn."""
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and isinstance(event.get("event"), str) else None


def utc_time() -> str:
    """Return the time for people and programs, such as "2026-11-30T12:05:01.123Z"."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
