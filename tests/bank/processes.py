"""Other processes that use a bank, for tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import teachmesh

ROOT = Path(__file__).parents[2]
SOURCE = Path(teachmesh.__file__).parents[1]


def environment() -> dict[str, str]:
    """Return an environment in which a child can import the package and the tests."""
    paths = os.pathsep.join([str(SOURCE), str(ROOT)])
    return {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}


def start(arguments: list[str], **options: object) -> subprocess.Popen[str]:
    """Start Python with these arguments and with pipes in both directions."""
    return subprocess.Popen(
        [sys.executable, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        **options,  # type: ignore[call-overload]
    )


def run(code: str, *arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    """Run a program text to its end."""
    process = start(["-c", code, *arguments], **options)
    out, err = process.communicate(timeout=100)
    return subprocess.CompletedProcess(code, process.returncode, out, err)
