"""Deadlines that adapt to how fast each peer answers."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Collection

FIRST_DEADLINE_S = 1.0
SHORTEST_DEADLINE_S = 0.5
LONGEST_DEADLINE_S = 10.0
LONGEST_TIMEOUT_S = 20.0
_MEAN_GAIN = 1 / 8
_SPREAD_GAIN = 1 / 4
_SPREADS = 4
_PATIENCE = 3
_MAX_DOUBLINGS = 3

Key = tuple[str, str]
"""Id of a peer, and kind of the content: lists are much smaller than skills."""


class ResponseTimes:
    """Expected time of an answer, per peer and kind; every method may be called from any thread.

    Mean and mean deviation of the times are smoothed as in TCP (RFC 6298, Sec. 2), and the deadline
    doubles after each missing answer (Sec. 5.5). Only right answers change the mean.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._times: dict[Key, tuple[float, float]] = {}  # mean, mean deviation
        self._silences: Counter[Key] = Counter()

    def deadline_s(self, peer: Key) -> float:
        """Return the seconds after which an answer is overdue, so that others are asked too."""
        with self._lock:
            return self._deadline_s(peer)

    def timeout_s(self, peer: Key) -> float:
        """Return the seconds after which a request is given up."""
        with self._lock:
            factor = 2.0 ** min(self._silences[peer], _MAX_DOUBLINGS)
            return min(_PATIENCE * factor * self._deadline_s(peer), LONGEST_TIMEOUT_S)

    def _deadline_s(self, peer: Key) -> float:
        if peer not in self._times:
            return FIRST_DEADLINE_S
        mean_s, spread_s = self._times[peer]
        return min(max(mean_s + _SPREADS * spread_s, SHORTEST_DEADLINE_S), LONGEST_DEADLINE_S)

    def record(self, peer: Key, took_s: float) -> None:
        """Record the time of a right answer."""
        with self._lock:
            del self._silences[peer]
            if peer not in self._times:
                self._times[peer] = (took_s, took_s / 2)
                return
            mean_s, spread_s = self._times[peer]
            spread_s += _SPREAD_GAIN * (abs(took_s - mean_s) - spread_s)
            self._times[peer] = (mean_s + _MEAN_GAIN * (took_s - mean_s), spread_s)

    def record_silence(self, peer: Key) -> None:
        """Record that no answer came, which may be due to a slow link."""
        with self._lock:
            self._silences[peer] += 1

    def forget(self, present: Collection[str]) -> None:
        """Drop the times of absent peers."""
        with self._lock:
            for peer in self._times.keys() | self._silences.keys():
                if peer[0] not in present:
                    self._times.pop(peer, None)
                    del self._silences[peer]
