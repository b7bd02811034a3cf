from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.sharing.meshes import MemoryMesh, Mesh, ZenohMesh, own_threads, wait_until


@pytest.fixture(params=[MemoryMesh, ZenohMesh], ids=["memory", "zenoh"])
def mesh(request: pytest.FixtureRequest) -> Iterator[Mesh]:
    """A network of each kind; nothing of it is left behind."""
    made: Mesh = request.param()
    yield made
    made.close()
    wait_until(lambda: not own_threads(), "all threads of sharing end")
