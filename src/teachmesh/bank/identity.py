"""The file that holds an agent's key: made once, readable by its owner only."""

from __future__ import annotations

import os
from pathlib import Path

from filelock import FileLock, Timeout

from teachmesh.bank.atomic import FILE_OPS, FileOps, storage_errors, write_atomic
from teachmesh.errors import StorageError
from teachmesh.packet.signing import AgentKey

_LOCK_TIMEOUT_S = 10.0
_OWNER_ONLY = 0o600
_OTHERS = 0o077


def load_or_create_key(path: Path, ops: FileOps = FILE_OPS) -> AgentKey:
    """Read the agent's key, or make it if there is none; two processes get the same one.

    The file appears complete, with permissions 0600 from its first moment. If others could read
    it, their permission is taken away.

    Args:
        path: where the key is; its folder exists.
        ops: the operations by which the disk is changed.

    Raises:
        StorageError: the file cannot be read or written, or holds something else. It is **never**
            replaced: that would be another agent.
    """
    with storage_errors(f"could not use the agent's key {path}"):
        if not path.exists():
            _create(path, ops)
        if os.name == "posix" and path.stat().st_mode & _OTHERS:
            path.chmod(_OWNER_ONLY)
        data = path.read_bytes()
    try:
        return AgentKey.from_bytes(data)
    except ValueError as error:
        raise StorageError(
            f"the agent's key {path} is damaged: {error}; restore it from a backup, or move it "
            "away to become a new agent"
        ) from error


def _create(path: Path, ops: FileOps) -> None:
    # A lock and a rename instead of a hard link: FAT sticks and some phones have no links.
    lock = FileLock(path.with_name(f"{path.name}.lock"), mode=_OWNER_ONLY, poll_interval=0.01)
    try:
        with lock.acquire(timeout=_LOCK_TIMEOUT_S):
            if not path.exists():
                write_atomic(path, AgentKey.create().to_bytes(), mode=_OWNER_ONLY, ops=ops)
    except Timeout as error:
        raise StorageError(f"another process is making {path}; try again") from error
