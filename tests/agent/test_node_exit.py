"""A node ends on request, even if nobody reads its events any more."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from teachmesh.agent import Agent
from teachmesh.agent.node import Node
from tests.sharing.memory_transport import Hub, InMemoryTransport


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
    assert set(threading.enumerate()) <= before
