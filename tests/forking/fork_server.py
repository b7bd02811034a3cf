"""A process that has imported the product once, and forks for each Python program of a test.

`python -m tests.forking.fork_server FD` reads orders from the socket with that number. For each
order it forks twice and lets the process in between end. The new process then belongs to the test
process, which is a subreaper (see `forked_popen`), and runs the program as `python -m` or
`python -c` would. So the program pays for no import of torch, but is a process of its own.

Before a fork, modules are imported, commands built, and the embedded backbone loaded, none of which
changes. The server has one thread and opens no network.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import io
import json
import os
import runpy
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

PRELOADED = (
    "torch",
    "teachmesh.agent.agent",
    "teachmesh.agent.on_mesh.node",
    "teachmesh.cli.main",
    "teachmesh.sharing.zenoh_transport",
    "teachmesh_lab.evaluation.measure",
    "tests.packet.sample_skills",
)
MAYBE_THERE = ("PIL.PngImagePlugin", "numpy.ma", "typer._adapters")
"""Modules that most programs import late, and that other versions of packages may not have."""
HEADER = 8
"""Bytes of a number on the socket."""


def serve(channel: socket.socket) -> dict[str, Any] | None:
    """Fork for each order; return the order in the new process, and None at the end of orders."""
    while True:
        header, files, _, _ = socket.recv_fds(channel, HEADER, 3)
        if not header:
            return None
        order = json.loads(_read(channel, int.from_bytes(header, "big")))
        reader, writer = os.pipe()
        between = os.fork()
        if between == 0:
            between, child = os.getpid(), os.fork()
            if child == 0:
                channel.close()
                os.close(reader)
                os.close(writer)
                while os.getppid() == between:
                    time.sleep(0.001)
                return {**order, "files": files}
            os.write(writer, child.to_bytes(HEADER, "big"))
            os._exit(0)
        os.waitpid(between, 0)
        channel.sendall(os.read(reader, HEADER))
        for file in (reader, writer, *files):
            os.close(file)


def _read(channel: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += channel.recv(size - len(data))
    return data


def become(order: dict[str, Any]) -> None:
    """Take over streams, folder, environment, path and arguments of an order."""
    for number, file in enumerate(order["files"]):
        os.dup2(file, number)
        os.close(file)
    os.chdir(order["cwd"])
    ours = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    os.environ.clear()
    os.environ.update(order["env"])
    theirs = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    first = str(Path.cwd()) if order["kind"] == "-m" else ""
    sys.path[:] = [first, *theirs, *(path for path in sys.path[1:] if path not in ours)]
    sys.argv = [order["kind"], *order["arguments"]]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if os.environ.get("PYTHONUNBUFFERED"):
        modes = {"encoding": sys.stdout.encoding, "errors": sys.stdout.errors}
        sys.stdout = io.TextIOWrapper(io.FileIO(1, "w"), write_through=True, **modes)


def run(kind: str, program: str) -> None:
    """Run a module or a program text as the main module."""
    if kind == "-m":
        sys.modules.pop(program, None)
        runpy.run_module(program, run_name="__main__", alter_sys=True)
    else:
        main = sys.modules["__main__"] = type(sys)("__main__")
        exec(compile(program, "<string>", "exec"), main.__dict__)


def end(code: int) -> None:
    """End as Python does, but leave its memory to the system: tidying it up takes 0.3 s.

    Streams that cannot be written are left to Python too.
    """
    threading._shutdown()
    atexit._run_exitfuncs()
    with contextlib.suppress(OSError, ValueError):
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        os._exit(code & 0xFF)
    sys.exit(code)


def preload() -> None:
    """Import the modules that most programs need, and load the backbone of the package."""
    for module in PRELOADED:
        importlib.import_module(module)
    for module in MAYBE_THERE:
        with contextlib.suppress(ImportError):
            importlib.import_module(module)
    registry = importlib.import_module("teachmesh.model.backbone_registry")
    kept_passes = importlib.import_module("tests.kept_passes")
    registry.load_backbone(Path(), "embedded").macs_per_image  # noqa: B018 # counted once
    if folder := os.environ.get(kept_passes.FOLDER):
        kept_passes.keep_passes(Path(folder))
    cli = importlib.import_module("teachmesh.cli.main")
    for module in cli.PRODUCT.values():
        cli._built(cli._own(module))  # kept for all programs
    gc.collect()
    gc.freeze()  # otherwise each program would copy and search all that was imported
    tasks = Path("/proc/self/task")
    if tasks.is_dir() and len(list(tasks.iterdir())) > 1:
        raise RuntimeError("expected imports that start no thread: a fork would not have it")


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    preload()
    order = serve(socket.socket(fileno=int(sys.argv[1])))
    if order is not None:
        become(order)
        try:
            run(order["kind"], order["program"])
        except SystemExit as ended:
            if not isinstance(ended.code, int | None):
                raise
            end(ended.code or 0)
        end(0)
