"""Networks with biases for tests, and their outputs computed without the code under test."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import nn

from teachmesh.biases.bias_layout import BiasLayout, biasable_layers, choose_layers
from teachmesh.biases.biased_network import BeneficialBiases
from teachmesh.model.backbone import Backbone, hash_weights
from teachmesh.model.backbone_cards import assets
from teachmesh.model.embedded_backbone import load_embedded
from teachmesh.model.forward_pass import ForwardPass, Preprocessing
from teachmesh.model.timm_net import TapNet, find_taps, import_timm
from tests.model.nets import TinyNet, randomise, reference_of

HALF = (0.5, 0.5, 0.5)
SIZES = {
    "tiny": 32,
    "embedded": 64,
    "mobilenetv3_small_050": 64,
    "resnet10t": 64,
    "vit_tiny_patch16_224": 32,
    "swin_tiny_patch4_window7_224": 32,
    "convnext_atto": 32,
}
TABLES = {"swinv2_tiny_window8_256": "cpb_mlp", "xcit_nano_12_p8_224": "token_projection"}
"""Networks with layers that depend on positions only, and the common part of their names."""
SIZES_OF_MORE = dict.fromkeys([*TABLES, "convnext_tiny"], 32)
"""These networks, and one whose fully connected layers have outputs (N, H, W, C)."""
OPTIONS: dict[str, dict[str, Any]] = {
    "vit_tiny_patch16_224": {"img_size": 32, "depth": 3},
    "swin_tiny_patch4_window7_224": {"img_size": 32, "window_size": 2, "depths": (1, 1, 2, 1)},
    "swinv2_tiny_window8_256": {
        "img_size": 32,
        "window_size": 2,
        "depths": (1, 1, 2, 1),
        "embed_dim": 24,
    },
    "xcit_nano_12_p8_224": {"depth": 2},
    "convnext_tiny": {"depths": (1, 1, 1, 1), "dims": (16, 24, 32, 40)},
}


def size_of(name: str) -> int:
    """Return the side of the images of a network in pixels."""
    return {**SIZES, **SIZES_OF_MORE}[name]


@cache
def raw_net(name: str) -> nn.Module:
    """Build a network with taps and random weights, norms not folded; nobody changes it."""
    if name == "tiny":
        return TinyNet()
    if name == "embedded":
        return load_embedded(assets()).eval()
    torch.manual_seed(0)
    net = import_timm().create_model(name, pretrained=False, num_classes=0, **OPTIONS.get(name, {}))
    randomise(net)
    return TapNet(net, find_taps(net)).eval()


@cache
def forward_pass(name: str) -> tuple[nn.Module, ForwardPass]:
    """Return the raw network and its forward pass; nobody changes them."""
    net = raw_net(name)
    return net, ForwardPass(net, Preprocessing(size_of(name), HALF, HALF), torch.device("cpu"))


def timm_backbone(name: str) -> Backbone:
    """Build a small timm network as a backbone with 6 multi-depth latents."""
    net = raw_net(name)
    assert isinstance(net, TapNet)
    with torch.no_grad():
        taps = net(torch.zeros(1, 3, size_of(name), size_of(name)))
    rng = np.random.default_rng(0)
    return Backbone(
        name=name,
        architecture=name,
        net=net,
        tap_names=net.tap_names,
        preprocessing=Preprocessing(size_of(name), HALF, HALF),
        reference=reference_of([rng.random((40, tap.shape[1])) for tap in taps], 6),
        weights_sha256=hash_weights(net.state_dict()),
    )


def layout_of(forward: ForwardPass, which: str) -> BiasLayout:
    """Choose the layers to bias."""
    return choose_layers(biasable_layers(forward.net, forward.preprocessing.size), which)


def biased(forward: ForwardPass, which: str = "all") -> BeneficialBiases:
    """Return the network with biases on some layers."""
    return BeneficialBiases(forward, layout_of(forward, which))


def some_values(layout: BiasLayout, rows: int | None = None, seed: int = 0) -> torch.Tensor:
    """Draw biases that change outputs without making them explode."""
    size = (layout.total,) if rows is None else (rows, layout.total)
    return torch.randn(size, generator=torch.Generator().manual_seed(seed)) * 0.1


@torch.no_grad()
def by_hand(
    net: nn.Module, layout: BiasLayout, values: torch.Tensor, images: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    """Add B to the b of each layer in a copy of the raw network, before the norm (Eq. 1 and 2)."""
    net = copy.deepcopy(net)
    for name, part in zip(layout.names, values.split(layout.channels), strict=True):
        layer = net.get_submodule(name)
        own = layer.bias if isinstance(layer.bias, torch.Tensor) else torch.zeros(len(part))
        layer.bias = nn.Parameter(own + part)
    taps: tuple[torch.Tensor, ...] = net(images.float() / 127.5 - 1)
    return taps
