"""`subprocess.Popen` for Python programs that are forked from a server with all imports done.

A forked program is a child of the test process like any other. It has its own process id, streams,
folder and environment. Signals reach it, and `wait` returns its exit code. The test process is a
subreaper meanwhile: Linux gives it the orphans of its descendants, so it gets the program.
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.forking import fork_server
from tests.forking.fork_server import HEADER

ROOT = Path(__file__).parents[2]
CAN_FORK = sys.platform == "linux"
READ_EARLY = ("PYTHON", "OMP_", "MKL_", "TORCH", "OPENBLAS_")
"""Variables that are read while Python starts or while packages are imported."""
APPLIED = frozenset({"PYTHONPATH", "PYTHONUNBUFFERED"})
"""Variables of these prefixes that a forked process can still follow."""
_SET_CHILD_SUBREAPER = 36
_REAL = subprocess.Popen


class ForkServer:
    """The server of this process; it is started at the first order."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._channel: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def fork(self, files: Sequence[int], order: Mapping[str, Any]) -> int:
        """Run a program with these three standard streams, and return its process id."""
        data = json.dumps(order).encode()
        with self._lock:
            channel = self._started()
            socket.send_fds(channel, [len(data).to_bytes(HEADER, "big")], list(files))
            channel.sendall(data)
            return int.from_bytes(channel.recv(HEADER), "big")

    def _started(self) -> socket.socket:
        if self._channel is None:
            self._channel, theirs = socket.socketpair()
            command = [sys.executable, "-m", fork_server.__name__, str(theirs.fileno())]
            env = {name: text for name, text in os.environ.items() if name != "PYTHONUNBUFFERED"}
            options = {"env": env, "cwd": ROOT, "stdin": subprocess.DEVNULL}
            self._process = _REAL(command, pass_fds=[theirs.fileno()], **options)
            theirs.close()
        return self._channel

    def close(self) -> None:
        """End the server; programs that still run go on."""
        if self._channel is not None and self._process is not None:
            self._channel.close()
            self._process.wait()


SERVER = ForkServer()


class ForkedPopen(subprocess.Popen):
    """A process of `sys.executable -m` or `-c`, forked unless it needs a fresh interpreter."""

    def _execute_child(self, args: Any, *rest: Any) -> None:
        executable, preexec_fn, _, pass_fds, cwd, env, _, _, shell, *more = rest
        env = dict(os.environ if env is None else env)
        new_session = more[11]
        if executable or preexec_fn or pass_fds or shell or new_session or not can_fork(args, env):
            super()._execute_child(args, *rest)
            return
        pipes = more[:6]
        inner = (pipes[0], pipes[3], pipes[5])
        files = [number if file < 0 else file for number, file in enumerate(inner)]
        self.pid = SERVER.fork(files, order_of(args, cwd, env))
        self._child_created = True
        self._close_pipe_fds(*pipes)


def can_fork(args: Any, env: Mapping[str, str]) -> bool:
    """Return whether a command runs alike without a fresh interpreter."""
    if not isinstance(args, (list, tuple)) or len(args) < 3 or args[0] != sys.executable:
        return False
    return args[1] in ("-m", "-c") and _read_early(env) == _read_early(os.environ)


def _read_early(env: Mapping[str, str]) -> dict[str, str]:
    return {k: v for k, v in env.items() if k.startswith(READ_EARLY) and k not in APPLIED}


def order_of(args: Sequence[Any], cwd: Any, env: Mapping[str, str]) -> dict[str, Any]:
    """Return the order that the server reads."""
    _, kind, program, *arguments = map(str, args)
    place = str(Path(cwd or ".").resolve())
    return {"kind": kind, "program": program, "arguments": arguments, "cwd": place, "env": env}


@contextmanager
def forking() -> Iterator[None]:
    """Fork the Python programs that `subprocess` starts within this block, on Linux."""
    if not CAN_FORK:
        yield
        return
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    subprocess.Popen = ForkedPopen
    try:
        yield
    finally:
        subprocess.Popen = _REAL
        prctl(_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
