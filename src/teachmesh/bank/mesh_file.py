"""`mesh.key` of a home: the key of the mesh that the agent belongs to.

`mesh.pem` has the certificate that the agent made with it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from teachmesh.bank.atomic import FILE_OPS, FileOps, storage_errors, write_atomic
from teachmesh.bank.home import load_or_create_key
from teachmesh.packet.signing import AgentKey


class MeshFile:
    """The key of an agent's mesh; see `sharing.mesh_certificates`.

    Args:
        home: the agent's home folder.
        ops: disk operations; tests pass their own.
    """

    def __init__(self, home: Path, ops: FileOps = FILE_OPS) -> None:
        self.path = home / "mesh.key"
        self._ops = ops

    def exists(self) -> bool:
        """Return whether the agent belongs to a mesh."""
        return self.path.exists()

    def load_or_create(self) -> AgentKey:
        """Return the key; the first call creates a new mesh. See `bank.home.load_or_create_key`."""
        return load_or_create_key(self.path, self._ops)

    def save_certificate(self, pem: bytes) -> Path:
        """Save the agent's certificate with its private key; return the path.

        Raises:
            StorageError: it cannot be saved.
        """
        path = self.path.with_name("mesh.pem")
        with storage_errors(f"could not save {path}"):
            write_atomic(path, pem, ops=self._ops)
        return path

    def join(self, key: AgentKey) -> Path | None:
        """Make the agent a member of another mesh.

        Returns:
            Path of the old key, which is kept; None if the agent belonged to no other mesh.

        Raises:
            StorageError: the key cannot be saved.
        """
        data, old = key.to_bytes(), None
        with storage_errors(f"could not save {self.path}"):
            before = self.path.read_bytes() if self.path.exists() else data
            if before != data:
                start = hashlib.sha256(before).hexdigest()[:12]
                old = self.path.with_name(f"mesh.key.old-{start}")
                write_atomic(old, before, ops=self._ops)
            write_atomic(self.path, data, ops=self._ops)
        return old
