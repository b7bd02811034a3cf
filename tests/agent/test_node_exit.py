"""A node ends on request, even if nobody reads its events any more."""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from teachmesh.agent import Agent
from teachmesh.agent.on_mesh.node import Node
from teachmesh.errors import ConfigError
from tests.sharing.memory_transport import Hub, InMemoryTransport
from tests.sharing.meshes import wait_until


def test_a_node_whose_listener_is_gone_still_ends_its_threads(tmp_path: Path) -> None:
    """A closed pipe at the last event must not keep the threads and the process alive."""
    broken = threading.Event()

    def listen(event: dict[str, Any]) -> None:
        if broken.is_set():
            raise BrokenPipeError

    agent = Agent(tmp_path / "home")
    before = set(threading.enumerate())
    node = Node(agent, InMemoryTransport(Hub(), agent.id), listen)
    node.__enter__()
    # The watcher would meet the closed pipe too; here it is the last event that does.
    node._stopped.set()
    node._watcher.join()
    broken.set()
    with pytest.raises(BrokenPipeError):
        node.__exit__(None, None, None)
    wait_until(lambda: set(threading.enumerate()) <= before, "all threads end")


def test_a_listener_that_fails_ends_the_run_with_its_error(tmp_path: Path) -> None:
    """The run must not go on without a watcher, as it did after a closed pipe."""

    def listen(event: dict[str, Any]) -> None:
        if event["event"] == "stats":
            raise BrokenPipeError

    agent = Agent(tmp_path / "home")
    with (
        pytest.raises(BrokenPipeError),
        Node(agent, InMemoryTransport(Hub(), agent.id), listen) as node,
    ):
        node.run((), threading.Event())
    assert agent.status()["running"] is None


def test_a_second_node_of_one_home_is_refused_until_the_first_ends(tmp_path: Path) -> None:
    """The lock is free again after the end, and a file without a lock does not count."""
    agent = Agent(tmp_path / "home")
    (tmp_path / "home" / "running.lock").write_bytes(b"")  # left behind by a killed process
    with Node(agent, InMemoryTransport(Hub(), agent.id), lambda _event: None):
        second = Node(agent, InMemoryTransport(Hub(), agent.id), lambda _event: None)
        with pytest.raises(ConfigError, match="already runs the agent"):
            second.__enter__()
        assert agent.status()["running"] is not None
    assert agent.status()["running"] is None
    with Node(agent, InMemoryTransport(Hub(), agent.id), lambda _event: None):
        pass


def test_a_full_disk_is_an_event_and_the_node_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state cannot be written once; there is one error, and the next state is written."""
    events: list[dict[str, Any]] = []
    failed, synced = threading.Event(), threading.Event()

    def listen(event: dict[str, Any]) -> None:
        events.append(event)
        {"error": failed, "stats": synced}.get(event["event"], threading.Event()).set()

    agent = Agent(tmp_path / "home")
    blocked = tmp_path / "home" / "running.json"
    blocked.mkdir()  # the state cannot replace a folder
    (blocked / "x").write_bytes(b"")
    node = Node(agent, InMemoryTransport(Hub(), agent.id), listen)
    monkeypatch.setattr("teachmesh.agent.on_mesh.node.STATE_INTERVAL_S", 0.01)
    monkeypatch.setattr("teachmesh.agent.on_mesh.node.WATCH_INTERVAL_S", 0.01)
    with node:
        assert failed.wait(100)
        (blocked / "x").unlink()
        blocked.rmdir()
        assert synced.wait(100)
    errors = [event for event in events if event["event"] == "error"]
    assert [event["exit_code"] for event in errors] == [8]


def test_a_clock_that_goes_back_stops_no_events(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state is reported every interval, although the wall clock jumps back every time."""
    clock = iter(range(2_000_000_000, 0, -86_400))
    monkeypatch.setattr("teachmesh.agent.on_mesh.node.time.time", lambda: float(next(clock)))
    monkeypatch.setattr("teachmesh.agent.on_mesh.node.time.time_ns", lambda: next(clock) * 10**9)
    monkeypatch.setattr("teachmesh.agent.on_mesh.node.STATE_INTERVAL_S", 0.01)
    monkeypatch.setattr("teachmesh.agent.on_mesh.node.WATCH_INTERVAL_S", 0.01)
    agent = Agent(tmp_path / "home")
    states: set[float] = set()

    def is_third() -> bool:
        with suppress(OSError):
            states.add(json.loads(agent.home.running.read_text())["written_s"])
        return len(states) >= 3

    with Node(agent, InMemoryTransport(Hub(), agent.id), lambda _event: None):
        wait_until(is_third, "three states")


def test_the_watcher_goes_on_after_an_error_that_nobody_expected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error is an event and in the status, and the state is reported again."""
    monkeypatch.setattr("teachmesh.agent.on_mesh.node.STATE_INTERVAL_S", 0.01)
    monkeypatch.setattr("teachmesh.agent.on_mesh.node.WATCH_INTERVAL_S", 0.01)
    agent = Agent(tmp_path / "home")
    errors = iter([OSError(5, "Input/output error"), MemoryError(), ZeroDivisionError("a defect")])
    version = agent.bank.version

    def faulty() -> int:
        is_watcher = threading.current_thread().name == "teachmesh-watch"
        error = next(errors, None) if is_watcher else None
        if error is not None:
            raise error
        return version()

    monkeypatch.setattr(agent.bank, "version", faulty)
    events: list[dict[str, Any]] = []

    def faults() -> list[str]:
        return (agent.status()["running"] or {"faults": []})["faults"]

    last = "watch failed 3 times and was restarted (ZeroDivisionError: a defect)"
    with Node(agent, InMemoryTransport(Hub(), agent.id), events.append):
        wait_until(lambda: faults() == [last], "the third error is in the status")
    messages = [event["message"] for event in events if event["event"] == "error"]
    assert len(messages) == 2  # the first and the second; the fourth would be reported again
    assert "watch failed once and was restarted (OSError" in messages[0]
