"""Functions behind `teachmesh backbone`, which manage the backbones of a home.

Importing this module loads neither torch nor the peer-to-peer library. The functions that need
them import them when called, so that listing backbones is fast.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from teachmesh.bank.atomic import read_file
from teachmesh.bank.home import Home, open_to_read, resolve_home
from teachmesh.bank.output_file import write_file
from teachmesh.errors import BackboneError, NetworkError, UsageError
from teachmesh.model import backbone_cards as cards

if TYPE_CHECKING:
    from teachmesh.data.loader import Progress
    from teachmesh.sharing.gossip import Gossip

MAX_BACKBONE_BYTES = 4 << 30
FETCH_TIMEOUT_S = 30.0
_POLL_S = 0.2
_HASH_DIGITS = 64


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
    reference_images: Path | None = None,
    licence: str | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Add a timm network; see `model.backbone_registry.add_timm` for arguments and errors.

    Returns:
        Description of the new backbone, in the format of `describe_backbone`.
    """
    from teachmesh.model.backbone_registry import add_timm

    backbone = add_timm(
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
        reference_folder=reference_images,
        licence=licence,
        progress=progress,
    )
    return describe_backbone(home, backbone.name)


def describe_backbone(home: Path | None, name: str) -> dict[str, Any]:
    """Describe one backbone, after loading it to detect damage.

    Raises:
        BackboneError: the backbone is unknown (the message suggests the nearest) or damaged.
    """
    opened = open_to_read(home)
    return _completed(opened, name, _loaded_description(opened, name))


def describe_backbones(home: Path | None) -> list[dict[str, Any]]:
    """Describe every backbone of a home from its card, the embedded one first.

    Raises:
        BackboneError: a card is damaged.
    """
    opened = open_to_read(home)
    documents = []
    for name in cards.backbone_names(opened.backbones):
        stored = cards.stored_description(opened.backbones, name)
        documents.append(_completed(opened, name, stored or _loaded_description(opened, name)))
    return documents


def remove_backbone(home: Path | None, name: str) -> None:
    """Remove an added backbone; if it was the default, the embedded one becomes the default.

    Raises:
        BackboneError: the backbone is unknown, or it is the embedded one.
    """
    opened = resolve_home(home)
    cards.remove_backbone(opened.backbones, name)
    if opened.config.backbone == name:
        use_backbone(home, cards.EMBEDDED)


def skills_lost_with(home: Path | None, name: str) -> list[str]:
    """Return display names of the skills that another default backbone would make unusable.

    Args:
        home: folder of the agent.
        name: alias of the other backbone.

    Raises:
        BackboneError: the other backbone is unknown or damaged.
    """
    from teachmesh.agent.known_skills.bank_view import BankView

    kept = {entry.id for entry in BankView(home, backbone=name).catalogue().usable()}
    try:
        infos = BankView(home).infos()
    except BackboneError:
        return []  # no skill is used now if the default backbone is missing or damaged
    return [info.display_name for info in infos if info.usable and info.id not in kept]


def use_backbone(home: Path | None, name: str) -> None:
    """Make a backbone the default of a home; it is loaded first to detect damage.

    Raises:
        BackboneError: the backbone is unknown (the message suggests the nearest) or damaged.
    """
    from teachmesh.model.backbone_registry import load_backbone

    opened = resolve_home(home)
    load_backbone(opened.backbones, name)
    opened.change_config(backbone=name)


def export_backbone(home: Path | None, name: str, target: Path) -> int:
    """Write a backbone and its reference to one file; return the file's size in bytes."""
    data = cards.export_backbone(open_to_read(home).backbones, name)
    write_file(target, data)
    return len(data)


def import_backbone(home: Path | None, file: Path, *, alias: str | None) -> dict[str, Any]:
    """Add a backbone from a file; its fingerprint is recomputed and checked."""
    from teachmesh.model import backbone_registry

    data = read_file(file, MAX_BACKBONE_BYTES)
    backbone = backbone_registry.import_backbone(resolve_home(home).backbones, data, alias)
    return describe_backbone(home, backbone.name)


def fetch_reference(
    home: Path | None,
    sha256: str,
    join: Sequence[str],
    target: Path,
    timeout_s: float = FETCH_TIMEOUT_S,
) -> int:
    """Fetch the reference with a given hash from peers, and write it to a file.

    Any peer may deliver the file, because a file with a different hash is rejected.

    Args:
        home: home whose key signs the request.
        sha256: SHA-256 of the reference, 64 hex digits, as in the message about a refused skill.
        join: endpoints of agents that may have the reference.
        target: file to write.
        timeout_s: maximum time to find a peer with the reference, in seconds.

    Returns:
        Size of the file in bytes.

    Raises:
        UsageError: `sha256` does not consist of 64 hex digits.
        NetworkError: no peer delivered the reference in time, or an endpoint is not encrypted.
        ConfigError: this agent is in no mesh yet.
        BackboneError: the file is not a reference.
    """
    from teachmesh.agent.known_skills.bank_view import BankView
    from teachmesh.agent.on_mesh.share_skills import connect
    from teachmesh.model.reference import Reference
    from teachmesh.sharing.gossip import Gossip

    if len(sha256) != _HASH_DIGITS or set(sha256) - set("0123456789abcdef"):
        raise UsageError(f"expected the {_HASH_DIGITS} hex digits of a reference, got {sha256!r}")
    agent = BankView(home)
    transport = connect(agent, tuple(join))
    gossip = Gossip(_EmptyInventory(), transport, agent.key, alias=agent.alias)
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


class _EmptyInventory:
    """Inventory of an agent that only fetches a reference; it has no skills and requests none."""

    def ids(self) -> frozenset[str]:
        return frozenset()

    def wants(self, skill_id: str) -> bool:
        return not skill_id

    def read(self, skill_id: str) -> None:
        del skill_id

    def admit(self, skill_id: str, data: bytes) -> None:
        del skill_id, data

    def tombstones(self) -> frozenset[str]:
        return frozenset()

    def read_tombstone(self, tombstone_id: str) -> None:
        del tombstone_id

    def admit_tombstone(self, tombstone_id: str, data: bytes) -> None:
        del tombstone_id, data

    def blob(self, sha256: str) -> None:
        del sha256


def _poll(gossip: Gossip, sha256: str, timeout_s: float) -> bytes | None:
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        data = gossip.fetch_blob(sha256, max(0.1, deadline_s - time.monotonic()))
        if data is not None:
            return data
        time.sleep(_POLL_S)
    return None


def _loaded_description(home: Home, name: str) -> dict[str, Any]:
    from teachmesh.model.backbone_registry import load_backbone

    return load_backbone(home.backbones, name).describe()


def _completed(home: Home, name: str, description: Mapping[str, Any]) -> dict[str, Any]:
    """Add to a description: licence, size, default flag and, if embedded, the card."""
    document = {
        **description,
        "licence": cards.licence_of(home.backbones, name),
        "size_bytes": _size_bytes(home, name),
        "reference_from": cards.reference_source(home.backbones, name),
        "default": name == home.config.backbone,
    }
    if name == cards.EMBEDDED:
        document["card"] = cards.without_description(cards.embedded_card())
    return document


def _size_bytes(home: Home, name: str) -> int:
    folder = cards.assets() if name == cards.EMBEDDED else home.backbones / name
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
