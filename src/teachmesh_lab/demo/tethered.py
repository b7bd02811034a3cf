"""Run a module so that it ends with its parent: `python -m ...demo.tethered MODULE ...`.

A parent that is killed runs no `finally`, and its children would go on for ever. So the parent
holds the other end of the child's standard input and never writes: end of file means that the
parent is gone, however it went. No signal of one operating system is needed.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading
import time

_GRACE_S = 10.0


def watch_parent(grace_s: float = _GRACE_S) -> None:
    """End this process soon after its standard input was closed; returns at once.

    Args:
        grace_s: seconds between SIGTERM, which lets it save and say goodbye, and the hard end.
    """

    def wait() -> None:
        while os.read(sys.__stdin__.fileno(), 1024) if sys.__stdin__ else b"":
            pass
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(grace_s)
        os._exit(1)

    threading.Thread(target=wait, name="teachmesh-tether", daemon=True).start()


def main() -> None:
    """Run the module that the first argument names with the others as its own."""
    watch_parent()
    module = sys.argv[1]
    del sys.argv[1]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
