"""Agents of the demo as child processes, which always end with their parent."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

from teachmesh.errors import NetworkError, TeachmeshError
from teachmesh.model.number_type import USUAL, Arithmetic

_STOP_TIMEOUT_S = 15.0


class AgentProcess:
    """One `teachmesh up` process with its own home.

    The key `seen_s` of every event is the value of `time.monotonic()` when the event was read.

    Args:
        name: name of the agent in messages.
        home: home folder of the agent.
        join: endpoints of other agents.
        learn: paths of the tasks to learn, in this order.
        backbone: alias of the backbone, or None for the default.
        method: learning method, or None for the default.
        seed: seed for splits and all random numbers.
        web: whether the agent serves its page.
        arithmetic: engine and number type of latents.
    """

    def __init__(
        self,
        name: str,
        home: Path,
        *,
        join: Sequence[str] = (),
        learn: Sequence[Path] = (),
        backbone: str | None = None,
        method: str | None = None,
        seed: int = 0,
        web: bool = False,
        arithmetic: Arithmetic = USUAL,
    ) -> None:
        self.name = name
        self.home = home
        arguments = ["up", "--json", "--home", str(home), "--listen", "tcp/127.0.0.1:0"]
        arguments += [part for endpoint in join for part in ("--join", endpoint)]
        arguments += [part for path in learn for part in ("--learn", str(path))]
        # The images of experiments are public, so small classes may be shared.
        arguments += ["--seed", str(seed), "--allow-few", *([] if web else ["--no-web"])]
        arguments += ["--engine", arithmetic.engine, "--dtype", arithmetic.dtype]
        if backbone is not None:
            arguments += ["--backbone", backbone]
        if method is not None:
            arguments += ["--method", method]
        self._errors = (home.parent / f"{name}.log").open("wb")
        try:
            self._process = start_tethered(
                "teachmesh", arguments, stdout=subprocess.PIPE, stderr=self._errors
            )
        except OSError:
            self._errors.close()
            raise
        self.events: list[dict[str, Any]] = []
        self._arrived: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, name=f"read-{name}", daemon=True)
        self._reader.start()
        self.killed = False

    def wait_for(
        self, wanted: Callable[[dict[str, Any]], bool], what: str, deadline_s: float
    ) -> dict[str, Any]:
        """Wait for a wanted event, which may have arrived before this call.

        Args:
            wanted: function that returns whether an event is the wanted event.
            what: description of the event, for error messages.
            deadline_s: deadline, as a value of `time.monotonic()`.

        Raises:
            TeachmeshError: the process ended before the event.
            NetworkError: the deadline passed.
        """
        seen = 0
        while True:
            for event in self.events[seen:]:
                if wanted(event):
                    return event
            seen = len(self.events)
            self._receive(what, deadline_s)

    def last(self, kind: str) -> dict[str, Any] | None:
        """Return the latest event of a kind, or None if none was read so far."""
        self._drain()
        found = [event for event in self.events if event["event"] == kind]
        return found[-1] if found else None

    def kill(self) -> None:
        """Send SIGKILL, so that the process cannot shut down cleanly."""
        self.killed = True
        self._process.kill()
        self._finish()

    def stop(self) -> None:
        """Send SIGTERM, then SIGKILL if the process does not end; may be called twice."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._finish()

    def _finish(self) -> None:
        close_tethered(self._process)
        self._reader.join(_STOP_TIMEOUT_S)
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._errors.close()
        self._drain()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            try:
                self._arrived.put({**json.loads(line), "seen_s": time.monotonic()})
            except ValueError:
                # If the process was killed, its last line may be incomplete.
                continue

    def _drain(self) -> None:
        while not self._arrived.empty():
            self.events.append(self._arrived.get())

    def _receive(self, what: str, deadline_s: float) -> None:
        left_s = deadline_s - time.monotonic()
        if left_s <= 0:
            raise NetworkError(f"{self.name}: expected {what} in time; see {self._errors.name}")
        try:
            self.events.append(self._arrived.get(timeout=min(left_s, 0.5)))
        except queue.Empty:
            if self._process.poll() is not None and self._arrived.empty():
                tail = self.log_tail()
                raise TeachmeshError(f"{self.name} ended before {what}: {tail}") from None

    def log_tail(self) -> str:
        """Return the last lines that the process wrote to stderr."""
        return tail(Path(self._errors.name))


def tail(log: Path) -> str:
    """Return the last lines that a child wrote to stderr, as one line."""
    text = log.read_text(encoding="utf-8", errors="replace")
    return " | ".join(text.strip().splitlines()[-5:]) or "no message"


def start_tethered(
    module: str, arguments: Sequence[str], *, stderr: IO[bytes], stdout: int | None = None
) -> subprocess.Popen[bytes]:
    """Start `python -m module ...` as a child that ends when this process ends.

    Do **not** call `communicate` on the child: it closes the child's standard input and so ends it.

    Args:
        module: the module to run.
        arguments: its arguments.
        stderr: file for the standard error of the child.
        stdout: `subprocess.PIPE`, or None to inherit the standard output of this process.
    """
    return subprocess.Popen(
        [sys.executable, "-m", "teachmesh_lab.demo.tethered", module, *arguments],
        stdin=subprocess.PIPE,  # never written to; end of file means that the parent ended
        stdout=stdout,
        stderr=stderr,
        env=child_environment(),
    )


def close_tethered(process: subprocess.Popen[bytes]) -> int:
    """Wait until a child has ended, then close its standard input.

    Returns:
        The exit code of the child.
    """
    code = process.wait()
    if process.stdin is not None:
        process.stdin.close()
    return code


def child_environment() -> dict[str, str]:
    """Return a child's environment, with one thread per child because children share cores."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
