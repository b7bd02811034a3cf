"""Networks of timm as starting points of the trained baselines.

- The grid's backbone, unfrozen: the paper starts all its baselines from its backbone, except PSP
  and SUPSUP (Sec. 6).
- ResNet-18 and ResNet-50 with random weights: the paper's networks for PSP and SUPSUP.
"""

from __future__ import annotations

from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn

from teachmesh.data.backbone_store import StoredBackbone
from teachmesh.model.backbone_recipe import OWN_PREFIX, Recipe
from teachmesh.model.forward_pass import Preprocessing
from teachmesh.model.own_network import build_tapped
from teachmesh.model.timm_net import build_network, create, default_preprocessing
from teachmesh.model.timm_weights import parse_weights
from teachmesh_lab.baselines.baseline_nets import NetFactory


class TimmTrunk(nn.Module):
    """A timm network without classifier, including its normalisation.

    Args:
        net: the network.
        preprocessing: mean and standard deviation of its input.
    """

    def __init__(self, net: nn.Module, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.net = net.requires_grad_(True)
        self.register_buffer("mean", torch.tensor(preprocessing.mean).view(1, 3, 1, 1))
        self.register_buffer("deviation", torch.tensor(preprocessing.std).view(1, 3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Return the (N, D) latents of (N, 3, S, S) images in [0, 1]."""
        net = cast(Any, self.net)
        normal = (images - self.get_buffer("mean")) / self.get_buffer("deviation")
        latents = net.forward_head(net.forward_features(normal), pre_logits=True)
        return cast(Tensor, latents.flatten(1))


class TappedTrunk(TimmTrunk):
    """A network of another package (`model.own_network`), including its normalisation."""

    def forward(self, images: Tensor) -> Tensor:
        """Return the (N, D) latents of the last tap for (N, 3, S, S) images in [0, 1]."""
        normal = (images - self.get_buffer("mean")) / self.get_buffer("deviation")
        return cast(Tensor, self.net(normal)[-1])


def random_trunk(name: str, _: int) -> nn.Module:
    """Build a timm network with random weights; a `NetFactory` once the name is bound.

    In ResNets, the last norm of a block starts at 1. With timm's own start at 0, masks of fixed
    weights could never use the block.

    Raises:
        MissingExtraError: timm is not installed.
        BackboneError: the name is unknown.
    """
    options = {"zero_init_last": False} if name.startswith("resnet") else {}
    net = create(name, pretrained=False, num_classes=0, **options)
    return TimmTrunk(net, default_preprocessing(name))


def random_timm(name: str) -> tuple[NetFactory, int]:
    """Return a factory for a timm network with random weights, and its input size in pixels.

    Raises:
        MissingExtraError: timm is not installed.
        BackboneError: the name is unknown.
    """
    return partial(random_trunk, name), default_preprocessing(name).size


def backbone_trunk(stored: StoredBackbone) -> tuple[NetFactory, int]:
    """Return a factory for an unfrozen copy of a stored backbone, and its input size in pixels.

    Raises:
        BackboneError: the files are damaged.
    """
    recipe = Recipe.from_json(stored.about)

    def build(_seed: int) -> nn.Module:
        weights = parse_weights(stored.weights)
        if recipe.architecture.startswith(OWN_PREFIX):
            own, _ = build_tapped(recipe.architecture, recipe.options, weights)
            return TappedTrunk(own, recipe.preprocessing)
        net = build_network(recipe.architecture, recipe.options, weights)
        return TimmTrunk(net, recipe.preprocessing)

    return build, recipe.preprocessing.size
