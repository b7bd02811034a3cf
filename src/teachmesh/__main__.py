"""Run the `teachmesh` command as `python -m teachmesh`, with a clean end at Ctrl-C."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

EXIT_INTERRUPTED = 130


class Interrupts:
    """Handler of SIGINT: the first one raises KeyboardInterrupt, later ones end the process."""

    def __init__(self) -> None:
        self.is_last = False

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        """Handle one signal. All files are written atomically, so the process may end anywhere."""
        if self.is_last:
            os._exit(EXIT_INTERRUPTED)
        self.is_last = True
        raise KeyboardInterrupt


def run() -> None:
    """Entry point of the `teachmesh` script."""
    interrupts = Interrupts()
    try:
        signal.signal(signal.SIGINT, interrupts)
        # Imported here, because imports take time in which a user may press Ctrl-C.
        from teachmesh.cli.plain_lines import run_plain

        if (code := run_plain(sys.argv[1:])) is not None:
            sys.exit(code)
        from teachmesh.cli.main import run as run_application

        run_application()
    except KeyboardInterrupt:
        if sys.stderr is not None:
            sys.stderr.write("interrupted: nothing half-written was kept\n")
        sys.exit(EXIT_INTERRUPTED)
    finally:
        interrupts.is_last = True  # Ctrl-C during the exit of Python must not print a traceback


if __name__ == "__main__":
    run()
