"""Backbones of a home: what `teachmesh backbone` does."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from teachmesh.agent.agent import Agent
from teachmesh.bank.atomic import read_file, write_file
from teachmesh.bank.home import Home, resolve_home
from teachmesh.data.loader import Progress
from teachmesh.errors import NetworkError, UsageError
from teachmesh.model import backbone_registry as registry
from teachmesh.model.embedded_backbone import read_card
from teachmesh.model.reference import Reference
from teachmesh.sharing.gossip import Gossip
from teachmesh.sharing.zenoh_transport import ZenohTransport

MAX_BACKBONE_BYTES = 4 << 30


def add_backbone(
    home: Path | None,
    name: str,
    *,
    alias: str | None,
    weights: Path | None,
    options: Mapping[str, str],
    size: int | None,
    mean: tuple[float, float, float] | None,
    std: tuple[float, float, float] | None,
    dim: int | None,
    reference: Path | None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Add a timm network; arguments and errors as `model.backbone_registry.add_timm`.

    Returns:
        What was added, as `describe_backbone`.
    """
    backbone = registry.add_timm(
        resolve_home(home).backbones,
        name,
        alias=alias,
        weights=weights,
        options=options,
        size=size,
        mean=mean,
        std=std,
        dim=dim,
        reference=None if reference is None else read_file(reference),
        progress=progress,
    )
    return describe_backbone(home, backbone.name)


def describe_backbone(home: Path | None, name: str) -> dict[str, Any]:
    """Everything about one backbone.

    Raises:
        BackboneError: unknown; names the nearest.
    """
    opened = resolve_home(home)
    document = registry.load_backbone(opened.backbones, name).describe()
    document["size_bytes"] = _size_bytes(opened, name)
    document["default"] = name == opened.config.backbone
    if name == registry.EMBEDDED:
        document["card"] = read_card(registry.assets())
    return document


def describe_backbones(home: Path | None) -> list[dict[str, Any]]:
    """Every backbone of a home, the embedded one first."""
    names = registry.backbone_names(resolve_home(home).backbones)
    return [describe_backbone(home, name) for name in names]


def remove_backbone(home: Path | None, name: str) -> None:
    """Remove a side-loaded backbone; a home that used it by default goes back to the embedded.

    Raises:
        BackboneError: unknown, or the embedded one.
    """
    opened = resolve_home(home)
    registry.remove_backbone(opened.backbones, name)
    if opened.config.backbone == name:
        use_backbone(home, registry.EMBEDDED)


def use_backbone(home: Path | None, name: str) -> None:
    """Make a backbone the default of a home.

    Raises:
        BackboneError: unknown; names the nearest.
    """
    opened = resolve_home(home)
    registry.load_backbone(opened.backbones, name)
    opened.save_config(dataclasses.replace(opened.config, backbone=name))


def export_backbone(home: Path | None, name: str, target: Path) -> int:
    """Write a backbone with its reference to one file; its size in bytes."""
    data = registry.export_backbone(resolve_home(home).backbones, name)
    write_file(target, data)
    return len(data)


def import_backbone(home: Path | None, file: Path, *, alias: str | None) -> dict[str, Any]:
    """Take a backbone from a file; its fingerprint is computed anew and compared."""
    data = read_file(file, MAX_BACKBONE_BYTES)
    backbone = registry.import_backbone(resolve_home(home).backbones, data, alias)
    return describe_backbone(home, backbone.name)


def _size_bytes(home: Home, name: str) -> int:
    folder = registry.assets() if name == registry.EMBEDDED else home.backbones / name
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())


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
