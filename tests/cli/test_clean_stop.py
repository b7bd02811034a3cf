"""`up` ends soon after a signal, whatever the network and the main thread do.

The process ends itself after 2.5 s of a machine that does not stop. The limit of the tests only
tells a process that hangs from a slow machine.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytestmark = [
    pytest.mark.usefixtures("forked_programs"),
    pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals"),
]
HANGS_S = 100.0
BLACKHOLE = "tcp/240.0.0.1:7447"
"""An address that is reserved, so that no packet is answered."""
BUSY = """
import hashlib, sys, threading
from teachmesh.cli.stop_signals import stop_on_signals
stop_on_signals(threading.Event(), 0.2)
print("busy", flush=True)
hashlib.pbkdf2_hmac("sha256", b"", b"", 2_000_000_000)
"""

STOPPED = """
import threading, time
from teachmesh.cli.stop_signals import end_process, stop_on_signals
join, over = threading.Thread.join, iter([0.0])  # the time of the first wait is over at once
threading.Thread.join = lambda thread, timeout=None: join(thread, next(over, timeout))
stop_on_signals(stop := threading.Event(), 2000)
print("ready", flush=True)
stop.wait()
time.sleep(0.5)
end_process(7)
"""


@contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A process that is killed at the end."""
    process = subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        process.stderr.close()


@contextmanager
def agent(home: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A running agent, and its endpoint."""
    up = ("-m", "teachmesh", "up", "--json", "--home", str(home))
    with started(*up, *options) as process:
        yield process, str(next_event(process, "ready")["endpoint"])


def next_event(process: subprocess.Popen[str], name: str) -> dict[str, Any]:
    """Read events up to one with a name."""
    assert process.stdout is not None
    for line in process.stdout:
        event: dict[str, Any] = json.loads(line)
        if event["event"] == name:
            return event
    raise AssertionError(f"ended before the event {name}")


def test_up_ends_cleanly_with_a_black_hole_and_a_frozen_peer(tmp_path: Path) -> None:
    """SIGTERM while a join address swallows all packets, and while a peer is stopped; SIGHUP."""
    with agent(tmp_path / "alice") as (alice, endpoint):
        joins = ("--join", endpoint, "--join", BLACKHOLE, "--insecure")
        with agent(tmp_path / "bob", *joins) as (bob, _):
            next_event(bob, "peer_came")
            alice.send_signal(signal.SIGSTOP)
            bob.terminate()
            assert bob.wait(HANGS_S) == 0
            assert bob.stdout is not None
            assert '"stopped"' in bob.stdout.read().splitlines()[-1]
        alice.send_signal(signal.SIGCONT)
        alice.send_signal(signal.SIGHUP)
        assert alice.wait(HANGS_S) == 0


@pytest.mark.parametrize("signals", [1, 2], ids=["once", "twice"])
def test_a_main_thread_that_hears_no_signal_is_ended(signals: int) -> None:
    """A call of a C library runs no signal handler; the process ends with the code of Ctrl-C."""
    with started("-c", BUSY) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "busy\n"
        for _ in range(signals):
            process.terminate()
        assert process.wait(HANGS_S) == 130
        assert process.stderr is not None
        text = process.stderr.read()
    assert ("stopped without waiting" in text) or signals == 2


def test_the_time_in_which_the_machine_stops_the_process_does_not_count() -> None:
    """Such a process could not tidy up, so it gets the rest of its time afterwards."""
    with started("-c", STOPPED) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.terminate()
        assert process.wait(HANGS_S) == 7


def test_the_end_waits_for_no_work_of_python_itself() -> None:
    """Output is written, and nothing that is registered for the end of Python delays it."""
    program = (
        "import atexit, time; from teachmesh.cli.stop_signals import end_process; "
        "atexit.register(time.sleep, 600); print('written'); end_process(7)"
    )
    with started("-c", program) as process:
        assert process.wait(HANGS_S) == 7
        assert process.stdout is not None
        assert process.stdout.read() == "written\n"
