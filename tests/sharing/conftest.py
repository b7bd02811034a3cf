from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from teachmesh.sharing import response_times
from tests.sharing.meshes import MemoryMesh, Mesh, ZenohMesh, wait_until


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests whose answers may be late, as on a machine that stops threads, are not repeated."""
    for name in ("FIRST_DEADLINE_S", "SHORTEST_DEADLINE_S", "LONGEST_DEADLINE_S"):
        monkeypatch.setattr(response_times, name, response_times.LONGEST_TIMEOUT_S)


@pytest.fixture(params=[MemoryMesh, ZenohMesh], ids=["memory", "zenoh"])
def mesh(request: pytest.FixtureRequest) -> Iterator[Mesh]:
    """A network of each kind; all its threads end."""
    before = set(threading.enumerate())
    made: Mesh = request.param()
    yield made
    made.close()
    wait_until(lambda: set(threading.enumerate()) <= before, "all threads end, Zenoh's too")
