"""Run a module, and kill this process as soon as it has written a file whose name matches.

    python -m tests.killed_writer PATTERN MODULE ARGUMENT ...

The file was written under another name and then renamed. A test that looked for the file and then
sent the signal would depend on the speed of the machine.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
from fnmatch import fnmatch
from typing import Any

_replace = os.replace


def main(pattern: str, module: str, *arguments: str) -> None:
    """Run the module as the main module, with these arguments."""

    def replace(source: Any, target: Any, **options: Any) -> None:
        _replace(source, target, **options)
        if fnmatch(os.fspath(target), pattern):
            os.kill(os.getpid(), signal.SIGKILL)

    os.replace = replace  # type: ignore[assignment]
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
