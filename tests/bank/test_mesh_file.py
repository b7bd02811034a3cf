"""The key of a mesh in the home of an agent."""

from __future__ import annotations

from pathlib import Path

from teachmesh.bank.mesh_file import MeshFile
from teachmesh.packet.signing import AgentKey


def test_the_first_use_makes_a_mesh_and_joining_another_keeps_the_old_key(tmp_path: Path) -> None:
    """The key is read by nobody else; joining the own mesh again changes nothing."""
    file = MeshFile(tmp_path)
    assert not file.exists()
    first = file.load_or_create()
    assert MeshFile(tmp_path).load_or_create() == first
    assert file.path.stat().st_mode & 0o777 == 0o600
    other = AgentKey.create()
    old = file.join(other)
    assert old is not None
    assert AgentKey.from_bytes(old.read_bytes()) == first
    assert old.stat().st_mode & 0o777 == 0o600
    assert file.load_or_create() == other
    assert file.join(other) is None


def test_an_agent_without_a_mesh_joins_one(tmp_path: Path) -> None:
    """There is no old key to keep."""
    key = AgentKey.create()
    assert MeshFile(tmp_path).join(key) is None
    assert MeshFile(tmp_path).load_or_create() == key
