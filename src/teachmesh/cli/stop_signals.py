"""Stop a command at SIGTERM, SIGINT or SIGHUP, in any case within three seconds."""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import suppress
from types import FrameType

from teachmesh.cli.streams import finish_stdout
from teachmesh.errors import EXIT_INTERRUPTED

GRACE_S = 2.5
"""Time for a clean end, after which the process ends anyhow. No file is ever half-written."""
_WAITS = 25
"""Number of waits that make up this time. A machine that stops the process uses up one of them."""
_NAMES = ("SIGTERM", "SIGINT", "SIGHUP")


def stop_on_signals(stop: threading.Event, grace_s: float = GRACE_S) -> None:
    """Set an event at the first signal, and end the process at the second or after a time.

    Python runs signal handlers in the main thread only, and not while that thread is in a long call
    of a C library. Therefore another thread reads the signals. It also covers the end of Python
    itself, so a process that called this function must end after a signal.

    Args:
        stop: set at the first signal.
        grace_s: seconds from the first signal until the process ends anyhow.
    """
    reader, writer = os.pipe()
    numbers = {getattr(signal, name) for name in _NAMES if hasattr(signal, name)}
    thread = threading.Thread(
        target=_watch, args=(reader, numbers, stop, grace_s), name="stop-signals", daemon=True
    )

    def handler(number: int, _frame: FrameType | None) -> None:
        if not at_once:
            os.write(writer, bytes([number]))

    at_once = os.name == "posix"  # the system's handler writes the number, in any thread
    if at_once:
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in numbers:
        signal.signal(number, handler)
    thread.start()


def end_process(exit_code: int) -> None:
    """Write waiting output, and end at once: tidying up memory takes Python seconds at times.

    Args:
        exit_code: exit code of the process, unless the output cannot be written.
    """
    code = finish_stdout(exit_code)
    with suppress(OSError, ValueError):
        sys.stderr.flush()
    os._exit(code)


def _watch(reader: int, numbers: set[int], stop: threading.Event, grace_s: float) -> None:
    _next_signal(reader, numbers)
    stop.set()
    second = threading.Thread(target=_next_signal, args=(reader, numbers), daemon=True)
    second.start()
    for _ in range(_WAITS):
        second.join(grace_s / _WAITS)
        if not second.is_alive():
            os._exit(EXIT_INTERRUPTED)  # the user does not want to wait
    with suppress(OSError, ValueError):
        sys.stderr.write("stopped without waiting for the work that was under way\n")
        sys.stderr.flush()
    os._exit(EXIT_INTERRUPTED)


def _next_signal(reader: int, numbers: set[int]) -> None:
    """Wait until one of the signals comes."""
    while os.read(reader, 1)[0] not in numbers:
        pass
