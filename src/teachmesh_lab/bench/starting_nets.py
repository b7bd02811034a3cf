"""The network that a trained baseline starts from, as its options name it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from teachmesh.data.backbone_store import BackboneStore
from teachmesh.model.backbone_cards import EMBEDDED, embedded_card, known_name
from teachmesh_lab.baselines.baseline_nets import NetFactory, embedded_net, small_net
from teachmesh_lab.bench.baseline_options import Scalar, net_name

if TYPE_CHECKING:
    import torch

    from teachmesh.model.backbone import Backbone

_SMALL_SIZE = 32


@dataclass(frozen=True, eq=False)
class StartingNet:
    """A network to train.

    Attributes:
        name: name for tables.
        factory: function from a seed to the network.
        size_px: side length of its input in pixels.
    """

    name: str
    factory: NetFactory
    size_px: int

    def on(self, device: torch.device | None) -> StartingNet:
        """Return the same network, built on a device; None leaves it on the CPU."""
        if device is None:
            return self
        return replace(self, factory=lambda seed: self.factory(seed).to(device))


def starting_net(
    method: str,
    options: Mapping[str, Scalar],
    backbones: Path,
    backbone: str,
    *,
    weights: bool = True,
) -> StartingNet:
    """Return the network that a method starts from.

    Args:
        method: name of a baseline.
        options: training options with defaults.
        backbones: backbone folder of the home.
        backbone: alias of the grid's backbone.
        weights: False if any weights serve, as for estimates. The backbone then need not be added.

    Raises:
        BackboneError: an unknown or damaged backbone.
        MissingExtraError: the network is timm's, and timm is not installed.
    """
    name = net_name(method, str(options["net"]))
    if name == "backbone":
        name = backbone
        factory, own_px = _backbone(backbones, backbone, weights=weights)
    elif name == "small":
        factory, own_px = small_net, _SMALL_SIZE
    elif name == EMBEDDED:
        factory, own_px = _embedded()
    else:
        factory, own_px = _random(name)
    return StartingNet(name, factory, int(options["size_px"]) or own_px)


def backbone_columns(backbone: Backbone) -> dict[str, Any]:
    """Return the network's columns of a row whose method leaves the backbone as it is."""
    net = backbone.forward_pass.net
    return network_columns(backbone.name, sum(p.numel() for p in net.parameters()), backbone.size)


def network_columns(name: str, parameters: int, size_px: int) -> dict[str, Any]:
    """Return the columns that name the network of a row.

    Args:
        name: name of the network.
        parameters: number of its parameters.
        size_px: side length of its input in pixels.
    """
    return {"network": name, "parameters": parameters, "size_px": size_px}


def _embedded() -> tuple[NetFactory, int]:
    return embedded_net, int(embedded_card()["size"])


def _backbone(folder: Path, name: str, *, weights: bool) -> tuple[NetFactory, int]:
    if name == EMBEDDED:
        return _embedded()
    store = BackboneStore(folder)
    if not weights and name not in store.names():
        return _random(name)
    # Imported here because it loads timm, which most runs do not need.
    from teachmesh_lab.baselines.timm_trunks import backbone_trunk

    return backbone_trunk(store.load(known_name(folder, name)))


def _random(name: str) -> tuple[NetFactory, int]:
    from teachmesh_lab.baselines.timm_trunks import random_timm

    return random_timm(name)
