"""Getting the reference of a backbone from peers, by its hash."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from teachmesh.agent.agent import Agent
from teachmesh.bank.atomic import write_file
from teachmesh.errors import NetworkError, UsageError
from teachmesh.model.reference import Reference
from teachmesh.sharing.gossip import Gossip
from teachmesh.sharing.zenoh_transport import ZenohTransport

FETCH_TIMEOUT_S = 30.0
_POLL_S = 0.2
_HASH_DIGITS = 64


class _Nothing:
    """The inventory of somebody who only asks: it holds and wants no skill."""

    def ids(self) -> frozenset[str]:
        return frozenset()

    def digest(self) -> str:
        return "0" * _HASH_DIGITS

    def wants(self, skill_id: str) -> bool:
        return not skill_id

    def read(self, skill_id: str) -> None:
        del skill_id

    def admit(self, skill_id: str, data: bytes) -> None:
        del skill_id, data

    def blob(self, sha256: str) -> None:
        del sha256


def fetch_reference(
    home: Path | None,
    sha256: str,
    join: Sequence[str],
    target: Path,
    timeout_s: float = FETCH_TIMEOUT_S,
) -> int:
    """Ask peers for the reference file of a hash and write it to a file.

    The hash is the trust: whoever named it decides what is accepted, whoever delivers it does not.

    Args:
        home: whose key signs the question.
        sha256: id of the reference, 64 hex digits, as a refused skill names it.
        join: endpoints of agents that may have it.
        target: file to write.
        timeout_s: for finding a peer that has it.

    Returns:
        Size of the file in bytes.

    Raises:
        UsageError: no hash.
        NetworkError: nobody has it in time.
        BackboneError: what came is no reference.
    """
    if len(sha256) != _HASH_DIGITS or set(sha256) - set("0123456789abcdef"):
        raise UsageError(f"expected the {_HASH_DIGITS} hex digits of a reference, got {sha256!r}")
    agent = Agent(home)
    transport = ZenohTransport(agent.id, listen=("tcp/127.0.0.1:0",), join=tuple(join))
    gossip = Gossip(_Nothing(), transport, agent.key, alias=agent.alias)
    gossip.start()
    try:
        data = _poll(gossip, sha256, timeout_s)
    finally:
        gossip.close()
    if data is None:
        raise NetworkError(
            f"expected an agent at {', '.join(join)} that has the reference {sha256[:12]}, none "
            f"answered within {timeout_s:.0f} s; check that it runs (`teachmesh up`)"
        )
    Reference.from_bytes(data)
    write_file(target, data)
    return len(data)


def _poll(gossip: Gossip, sha256: str, timeout_s: float) -> bytes | None:
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        data = gossip.fetch_blob(sha256, max(0.1, deadline_s - time.monotonic()))
        if data is not None:
            return data
        time.sleep(_POLL_S)
    return None
