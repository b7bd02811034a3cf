"""A number of events per second, with some at once."""

from __future__ import annotations


class Rate:
    """Limit for events of one kind; the caller holds a lock.

    Args:
        per_s: mean number of events per second.
        burst: number of events that may come at once.

    Examples:
        >>> rate = Rate(per_s=2, burst=1)
        >>> rate.spend(0.0), rate.spend(0.1), rate.spend(0.5)
        (True, False, True)
    """

    def __init__(self, per_s: float, burst: int) -> None:
        self._interval_s = 1 / per_s
        self._saved_s = (burst - 1) * self._interval_s
        self._paid_s = float("-inf")

    def has_room(self, now_s: float) -> bool:
        """Return whether one more event is within the limit."""
        return self._paid_s - now_s <= self._saved_s

    def spend(self, now_s: float) -> bool:
        """Count one event if it is within the limit, and return whether it is."""
        if not self.has_room(now_s):
            return False
        self._paid_s = max(now_s, self._paid_s) + self._interval_s
        return True
