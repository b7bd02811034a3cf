"""Networks of other packages, found by the entry points of the group `teachmesh.backbones`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from teachmesh.data.entry_points import BACKBONES_GROUP, EntryPoints
from teachmesh.errors import BackboneError
from teachmesh.model.backbone_cards import EMBEDDED
from teachmesh.model.backbone_recipe import OWN_PREFIX, Option
from teachmesh.model.forward_pass import Preprocessing
from teachmesh.model.lite_weights import LITE
from teachmesh.model.timm_net import build_taps


@dataclass(frozen=True)
class OwnNetwork:
    """A network that a package brings, with its weights.

    Attributes:
        build: function that returns the network without its weights. The network takes images
            (N, 3, H, W), normalised as in `preprocessing`, and returns one (N, C_i) tensor per tap.
        tap_names: names of the taps; the last tap is the latent of the paper, pooled.
        weights: function that returns the weights as the bytes of a safetensors file.
        preprocessing: image size, mean and standard deviation.
        licence: short name of the licence of the weights.
    """

    build: Callable[[], nn.Module]
    tap_names: tuple[str, ...]
    weights: Callable[[], bytes]
    preprocessing: Preprocessing
    licence: str


def _checked(name: str, found: Any) -> OwnNetwork:
    if not isinstance(found, OwnNetwork):
        raise TypeError(f"expected an OwnNetwork, got {found!r:.80}")
    if not found.tap_names:
        raise ValueError(f"expected the names of the taps of {name!r}, got none")
    return found


OWN_NETWORKS = EntryPoints(BACKBONES_GROUP, "backbone", _checked, (EMBEDDED, *LITE))
"""Networks of other packages, by name."""


def build_tapped(
    architecture: str, options: Mapping[str, Option], state: Mapping[str, Tensor]
) -> tuple[nn.Module, tuple[str, ...]]:
    """Build the network of a recipe, fill it with weights and freeze it.

    Args:
        architecture: timm's name of the network, or "own/" and the name of an entry point.
        options: additional arguments of a timm network.
        state: weights by key.

    Returns:
        The network in evaluation mode, and the names of its taps.

    Raises:
        BackboneError: the name or an option is unknown, or the weights do not fit.
        ConfigError: the package that offers the network is missing or broken.
    """
    if not architecture.startswith(OWN_PREFIX):
        net = build_taps(architecture, options, state)
        return net, net.tap_names
    own = OWN_NETWORKS.load(architecture[len(OWN_PREFIX) :])
    built = own.build()
    try:
        built.load_state_dict(dict(state))
    except RuntimeError as error:
        raise BackboneError(
            f"expected the weights of {architecture!r}: {' '.join(str(error).split())[:160]}; "
            "install the version of the package that they were made with"
        ) from error
    return built.eval().requires_grad_(False), own.tap_names
