"""One task's biases inside the network's own: the same outputs at no cost.

y = Conv(x) + b + B (Eq. 1) is a convolution with the bias b + B. Where a batch norm was folded into
the convolution, B stands before the norm and comes out of it as B gamma / sigma.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from teachmesh.biases.bias_layout import BiasLayout
from teachmesh.errors import BackboneError
from teachmesh.model.batch_norm_folding import norm_gain
from teachmesh.model.forward_pass import own_modules

Layer = nn.Conv2d | nn.Linear


def fold_biases(net: nn.Module, layout: BiasLayout, values: torch.Tensor) -> nn.Module:
    """A network with the biases of one task in it.

    Args:
        net: the backbone's network; left as it is.
        layout: the biased layers.
        values: (total,) B of Eq. 1 and 2.

    Returns:
        A network that shares all weights with the first one, but not the biased layers' biases.

    Raises:
        BackboneError: the network has no such layers, or the number of biases is another.
    """
    folded = own_modules(net)
    layers = biased_modules(folded, layout)
    check_total(layout, values)
    scaled = values.detach() * gains(layers).to(values)
    for layer, part in zip(layers, layout.slices, strict=True):
        layer.bias = with_bias(layer, scaled[part])
    return folded


@contextmanager
def folded_in(
    layers: tuple[Layer, ...], layout: BiasLayout, scaled: torch.Tensor
) -> Iterator[None]:
    """Layers with biases in them for a while; their own are put back as they were.

    Args:
        layers: modules that no other thread uses.
        layout: the biased layers.
        scaled: (total,) biases times `gains`.
    """
    own = [layer.bias for layer in layers]
    try:
        for layer, part in zip(layers, layout.slices, strict=True):
            layer.bias = with_bias(layer, scaled[part])
        yield
    finally:
        for layer, bias in zip(layers, own, strict=True):
            layer.bias = bias


def biased_modules(net: nn.Module, layout: BiasLayout) -> tuple[Layer, ...]:
    """The modules of a layout.

    Raises:
        BackboneError: the network has no such layers.
    """
    modules = dict(net.named_modules())
    found: list[Layer] = []
    for layer in layout.chosen:
        module = modules.get(layer.name)
        if not isinstance(module, Layer) or len(module.weight) != layer.channels:
            raise BackboneError(
                f"expected a layer {layer.name!r} with {layer.channels} outputs, this network has "
                "none; the biases belong to another backbone"
            )
        found.append(module)
    return tuple(found)


def gains(layers: tuple[Layer, ...]) -> torch.Tensor:
    """(total,) float32: what a bias before the norm becomes after it, gamma / sigma."""
    return joined([(layer, norm_gain(layer)) for layer in layers])


def joined(parts: list[tuple[Layer, torch.Tensor | float]]) -> torch.Tensor:
    """One vector out of a number or a (C,) tensor per layer."""
    return torch.cat(
        [
            torch.as_tensor(part, dtype=torch.float32).cpu().expand(len(layer.weight))
            for layer, part in parts
        ]
    )


def with_bias(layer: Layer, bias: torch.Tensor) -> nn.Parameter:
    """A layer's bias with another one added."""
    weight, own = layer.weight, layer.bias
    added = bias.to(weight.device, torch.float32)
    total = added if own is None else own.detach().float() + added
    return nn.Parameter(total.to(weight.dtype), requires_grad=False)


def check_total(layout: BiasLayout, values: torch.Tensor) -> None:
    """Raise a BackboneError unless there is one value per bias."""
    if values.shape[-1:] != (layout.total,):
        raise BackboneError(
            f"expected {layout.total} biases, got {tuple(values.shape)}; they belong to another "
            "backbone or to other layers"
        )
