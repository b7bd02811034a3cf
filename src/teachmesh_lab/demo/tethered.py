"""Run a module that ends with its parent: `python -m teachmesh_lab.demo.tethered MODULE ...`.

A killed parent runs no `finally` block, so its children would run forever. Therefore the child's
standard input is a pipe that the parent holds open and never writes to. End of file tells the child
that the parent has ended, for any reason. This needs no feature of a particular operating system.
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
    """Start a thread that ends this process soon after its standard input is closed.

    Args:
        grace_s: seconds between SIGTERM, which allows a clean shutdown, and a forced exit.
    """

    def wait() -> None:
        while os.read(sys.__stdin__.fileno(), 1024) if sys.__stdin__ else b"":
            pass
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(grace_s)
        os._exit(1)

    threading.Thread(target=wait, name="teachmesh-tether", daemon=True).start()


def main() -> None:
    """Run the module named by the first argument with the remaining arguments."""
    watch_parent()
    module = sys.argv[1]
    del sys.argv[1]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
