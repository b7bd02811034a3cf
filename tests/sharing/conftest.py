from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tests.sharing.meshes import MemoryMesh, Mesh, ZenohMesh, wait_until


@pytest.fixture(params=[MemoryMesh, ZenohMesh], ids=["memory", "zenoh"])
def mesh(request: pytest.FixtureRequest) -> Iterator[Mesh]:
    """A network of each kind; all its threads end."""
    before = set(threading.enumerate())
    made: Mesh = request.param()
    yield made
    made.close()
    wait_until(lambda: set(threading.enumerate()) <= before, "all threads end, Zenoh's too")
