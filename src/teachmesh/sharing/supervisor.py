"""Work in the background that goes on after an error, and says so."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 10.0


@dataclass(frozen=True)
class Fault:
    """Unexpected errors of one kind of work.

    Attributes:
        name: name of the work, such as "plan".
        count: number of errors so far.
        error: the last error, in one line.
    """

    name: str
    count: int
    error: str

    def __str__(self) -> str:
        times = "once" if self.count == 1 else f"{self.count} times"
        return f"{self.name} failed {times} and was restarted ({self.error})"


class Supervisor:
    """Catches unexpected errors of background work, counts them, and restarts the work.

    Errors are defects of teachmesh or of the machine. Without a supervisor, the thread would end
    and the agent would only seem to run.

    Args:
        on_fault: called, from any thread, at the 1st, 2nd, 4th, 8th ... error of each work.
    """

    def __init__(self, on_fault: Callable[[Fault], None] | None = None) -> None:
        self._on_fault = on_fault
        self._lock = threading.Lock()
        self._faults: dict[str, Fault] = {}

    def faults(self) -> tuple[Fault, ...]:
        """Return the errors so far, one entry per kind of work, sorted by name."""
        with self._lock:
            return tuple(fault for _, fault in sorted(self._faults.items()))

    def supervised(self, name: str, step: Callable[[], float]) -> Callable[[], float]:
        """Return a step for `runtime.Runtime.job` that never raises.

        After an error it returns a pause of 0.1 s, which doubles with each further error in a row.
        """
        pause_s = FIRST_PAUSE_S

        def safe() -> float:
            nonlocal pause_s
            try:
                delay_s = step()
            # Whatever the error is: a thread that ends alone would stop sharing for good.
            except BaseException as error:  # noqa: BLE001
                self.record(name, error)
                delay_s, pause_s = pause_s, min(2 * pause_s, LONGEST_PAUSE_S)
            else:
                pause_s = FIRST_PAUSE_S
            return delay_s

        return safe

    def record(self, name: str, error: BaseException) -> None:
        """Count an error, and report it unless there were many of them."""
        text = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        with self._lock:
            known = self._faults.get(name)
            fault = Fault(name, 1 if known is None else known.count + 1, text)
            self._faults[name] = fault
        if self._on_fault is not None and fault.count & (fault.count - 1) == 0:
            self._on_fault(fault)
