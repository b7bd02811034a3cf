"""Counters of sharing, updated from several threads."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Totals:
    """Values of all counters in `Counters` at one moment."""

    sent: int
    received: int
    admitted: int
    refused: dict[str, int]
    dropped: int
    deferred: int
    tombstones: int


@dataclass
class Counters:
    """Counters for one run; every method may be called from any thread.

    A broadcast counts once, no matter how many peers it reaches.
    """

    _sent: int = 0
    _received: int = 0
    _admitted: int = 0
    _refused: Counter[str] = field(default_factory=Counter)
    _dropped: int = 0
    _deferred: int = 0
    _tombstones: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count_sent(self, size_bytes: int) -> None:
        """Count payload bytes that were sent."""
        with self._lock:
            self._sent += size_bytes

    def count_received(self, size_bytes: int) -> None:
        """Count received payload bytes, valid or not."""
        with self._lock:
            self._received += size_bytes

    def count_admitted(self) -> None:
        """Count a skill that was checked and saved."""
        with self._lock:
            self._admitted += 1

    def count_tombstone(self) -> None:
        """Count a tombstone that was checked and saved."""
        with self._lock:
            self._tombstones += 1

    def count_refused(self, reason: str) -> None:
        """Count a received skill or tombstone that was refused."""
        with self._lock:
            self._refused[reason] += 1

    def count_dropped(self) -> None:
        """Count an ignored broadcast, such as garbage, a forgery or a replay."""
        with self._lock:
            self._dropped += 1

    def count_deferred(self) -> None:
        """Count a skill that is fetched again later, because its author's budget is used up."""
        with self._lock:
            self._deferred += 1

    def totals(self) -> Totals:
        """Return all counters at one moment."""
        with self._lock:
            return Totals(
                self._sent,
                self._received,
                self._admitted,
                dict(self._refused),
                self._dropped,
                self._deferred,
                self._tombstones,
            )
