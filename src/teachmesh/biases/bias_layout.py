"""Layers of a backbone that carry biases, and the position of each bias in one vector.

The paper adds a bias to every convolution and fully connected layer (Sec. 5). To save time, it
proposes biases on the last half of the layers only (Sec. 8). Layers are listed in the order in
which a forward pass calls them, so a backbone has the same layout on every machine.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import nn

from teachmesh.errors import UsageError
from teachmesh.model.forward_pass import own_modules
from teachmesh.model.macs import MacCounter

_LAST = re.compile(r"last:([1-9][0-9]{0,5})")


@dataclass(frozen=True)
class BiasLayer:
    """A layer that can carry biases.

    Attributes:
        name: dotted name of the convolution or fully connected layer in the network.
        channels: number of output channels, with one bias each.
        macs: multiply-accumulates of one image from the input of this layer to the input of the
            next layer. The sum over all layers is the cost of the whole pass.
    """

    name: str
    channels: int
    macs: int


@dataclass(frozen=True)
class BiasLayout:
    """The biased layers of a network: the layer with index `first` and all later layers.

    Attributes:
        layers: all layers of the network, in the order of the forward pass.
        first: index of the first biased layer.

    Raises:
        ValueError: `first` is not the index of a layer.

    Examples:
        >>> layers = (BiasLayer("a", 2, 30), BiasLayer("b", 3, 20), BiasLayer("c", 4, 10))
        >>> layout = BiasLayout(layers, 1)
        >>> layout.names, layout.total, layout.slices
        (('b', 'c'), 7, (slice(0, 3, None), slice(3, 7, None)))
    """

    layers: tuple[BiasLayer, ...]
    first: int

    def __post_init__(self) -> None:
        if not 0 <= self.first < len(self.layers):
            raise ValueError(f"expected a layer out of {len(self.layers)}, got {self.first}")

    @property
    def chosen(self) -> tuple[BiasLayer, ...]:
        """The biased layers."""
        return self.layers[self.first :]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the biased layers."""
        return tuple(layer.name for layer in self.chosen)

    @property
    def channels(self) -> tuple[int, ...]:
        """Number of biases of each biased layer."""
        return tuple(layer.channels for layer in self.chosen)

    @property
    def total(self) -> int:
        """Total number of biases."""
        return sum(self.channels)

    @property
    def macs(self) -> int:
        """Multiply-accumulates for one image from the first biased layer to the end of the pass."""
        return sum(layer.macs for layer in self.chosen)

    @cached_property
    def slices(self) -> tuple[slice, ...]:
        """Slice of each biased layer in the vector of all biases."""
        slices, begin = [], 0
        for channels in self.channels:
            slices.append(slice(begin, begin + channels))
            begin += channels
        return tuple(slices)

    def within(self, wider: BiasLayout, values: torch.Tensor) -> torch.Tensor:
        """Pad biases with zeros (which have no effect) to fit a layout that begins earlier.

        Images of tasks whose biases begin at different depths can then share a batch.

        Args:
            wider: layout of the same network that begins no later.
            values: (..., total) biases.

        Returns:
            (..., wider.total) biases.

        Raises:
            ValueError: `wider` begins later than this layout or belongs to another network.
        """
        if wider.layers != self.layers or wider.first > self.first:
            raise ValueError("expected a layout of the same network that begins no later")
        return nn.functional.pad(values, (wider.total - self.total, 0))


def biasable_layers(net: nn.Module, size: int) -> tuple[BiasLayer, ...]:
    """List every convolution and fully connected layer in the order of a forward pass.

    Args:
        net: network that takes (N, 3, S, S) float images; it is not modified.
        size: side of the images in pixels, S.
    """
    net = own_modules(net)
    began: dict[str, int] = {}
    channels: dict[str, int] = {}
    counter = MacCounter()

    def watch(name: str, module: nn.Conv2d | nn.Linear) -> None:
        def before(_module: nn.Module, _args: object) -> None:
            began.setdefault(name, counter.macs)
            width = module.weight.shape[0]
            channels.setdefault(name, width)

        module.register_forward_pre_hook(before)

    for name, module in net.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            watch(name, module)
    weight = next(net.parameters())
    with torch.no_grad(), counter:
        net(torch.zeros(1, 3, size, size, device=weight.device, dtype=weight.dtype))
    # Operations before the first layer are counted with the first layer.
    borders = [0, *list(began.values())[1:], counter.macs]
    return tuple(
        BiasLayer(name, channels[name], end - begin)
        for name, begin, end in zip(began, borders[:-1], borders[1:], strict=True)
    )


def choose_layers(layers: Sequence[BiasLayer], which: str) -> BiasLayout:
    """Choose the layers to bias.

    Args:
        layers: layers found by `biasable_layers`.
        which: `all` (Sec. 5), `half` (the last half of the forward pass by cost, Sec. 8) or
            `last:N` (the last N layers, or all layers if the network has fewer).

    Raises:
        UsageError: `which` is none of these.

    Examples:
        >>> layers = (BiasLayer("a", 2, 30), BiasLayer("b", 3, 20), BiasLayer("c", 4, 10))
        >>> [choose_layers(layers, which).names for which in ("all", "half", "last:1")]
        [('a', 'b', 'c'), ('b', 'c'), ('c',)]
    """
    layers = tuple(layers)
    last = _LAST.fullmatch(which)
    if last:
        return BiasLayout(layers, max(0, len(layers) - int(last[1])))
    if which == "all":
        return BiasLayout(layers, 0)
    if which == "half":
        return BiasLayout(layers, _half(layers))
    raise UsageError(f"expected biases on all, half or last:N layers, got {which!r}")


def _half(layers: Sequence[BiasLayer]) -> int:
    """Return the first index from which at most half of the cost remains, or the last index."""
    left = sum(layer.macs for layer in layers)
    half = left / 2
    for index, layer in enumerate(layers):
        if left <= half:
            return index
        left -= layer.macs
    return len(layers) - 1
