"""Head2Toe: the maps with the largest biases, pooled, and the last layer."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from teachmesh.biases.apply_biases import fold_biases
from teachmesh.biases.bias_layout import BiasLayer, BiasLayout, biasable_layers, choose_layers
from teachmesh.biases.biased_network import BeneficialBiases
from teachmesh.biases.head2toe import Head2Toe, MapChoice, choose_maps
from tests.biases.bias_nets import TABLES, forward_pass, layout_of, size_of, some_values
from tests.model.nets import GREY, TinyNet, needs_timm, pictures, tiny_backbone


def biased(which: str = "all") -> BeneficialBiases:
    """Bias two convolutions with 5 and 7 channels, 16 and 8 pixels wide."""
    forward = tiny_backbone().forward_pass
    return BeneficialBiases(forward, choose_layers(biasable_layers(forward.net, 32), which))


def count_of(choice: MapChoice) -> int:
    """Return the number of maps."""
    return sum(len(chosen) for chosen in choice.channels)


@pytest.mark.parametrize("fraction", [0.0, 0.01, 0.1, 0.5, 1.0])
def test_the_chosen_maps_are_those_with_the_largest_biases(fraction: float) -> None:
    """Maps are chosen by magnitude over all layers together; at least one is chosen."""
    layout = BiasLayout(tuple(BiasLayer(str(i), 40 + i, 1) for i in range(5)), 1)
    values = torch.randn(layout.total, generator=torch.Generator().manual_seed(1))
    choice = choose_maps(layout, values, (True,) * 4, fraction)
    chosen = [
        part.start + channel
        for part, channels in zip(layout.slices, choice.channels, strict=True)
        for channel in channels
    ]
    count = max(1, round(fraction * layout.total))
    assert sorted(chosen) == sorted(np.argsort(-np.abs(values.numpy()))[:count].tolist())
    assert count_of(choice) == count


def test_the_paper_s_width_is_kept() -> None:
    """1 % of the 17,056 channels of MobileNetV2 is 171 maps of 6 x 6, at most 8,192 numbers."""
    layout = BiasLayout((BiasLayer("a", 17_056, 1),), 0)
    choice = choose_maps(layout, torch.arange(17_056).float(), (True,))
    assert (count_of(choice), choice.side) == (171, 6)
    assert count_of(choice) * choice.side**2 <= 8192 < count_of(choice) * (choice.side + 1) ** 2


def test_features_are_the_biased_maps_pooled_by_hand() -> None:
    """The oracle adds biases before the norm: maps of both layers, then the last latent."""
    bb = biased()
    values = torch.randn(12, generator=torch.Generator().manual_seed(2))
    choice = choose_maps(bb.layout, values, bb.per_image, fraction=0.5, width=6 * 16)
    assert choice.side == 4
    found = Head2Toe(bb, values, choice).features(bb.prefix(pictures(3)))
    net = TinyNet()
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) * 255 for v in (GREY.mean, GREY.std))
    with torch.no_grad():
        first = net.first_norm(
            net.first((pictures(3).float() - mean) / std) + values[:5].view(1, 5, 1, 1)
        )
        second = net.second_norm(net.second(torch.relu(first)) + values[5:].view(1, 7, 1, 1))
    parts = [
        torch.nn.functional.adaptive_avg_pool2d(maps[:, list(chosen)], 4).flatten(1)
        for maps, chosen in zip((first, second), choice.channels, strict=True)
        if chosen
    ]
    expected = torch.cat([*parts, torch.relu(second).mean((2, 3))], 1)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_kept_activations_give_the_same_features() -> None:
    """With biases on the last layer, a cut and a whole network with padded biases agree."""
    bb = biased("last:1")
    values = torch.linspace(-1, 1, 7)
    choice = choose_maps(bb.layout, values, bb.per_image, 0.3)
    found = Head2Toe(bb, values, choice).features(bb.prefix(pictures(4)))
    whole, wide = biased("all"), MapChoice(((), *choice.channels), choice.side)
    toe = Head2Toe(whole, bb.layout.within(whole.layout, values), wide)
    torch.testing.assert_close(found, toe.features(whole.prefix(pictures(4))))
    assert found.shape == (4, 2 * 8 * 8 + 7)


def test_layers_without_rows_per_image_are_not_chosen() -> None:
    """They are left out even with large biases; without other layers no map is chosen."""
    layout = BiasLayout(tuple(BiasLayer(str(i), 4, 1) for i in range(3)), 0)
    values = torch.arange(12).float()
    assert choose_maps(layout, values, (True, True, False), 0.25).channels == ((), (1, 2, 3), ())
    assert count_of(choose_maps(layout, values, (False,) * 3, 0.25)) == 0


def one_map(output: torch.Tensor, axis: int, channel: int, side: int) -> torch.Tensor:
    """Pool one map of one image: four axes pooled, tokens and windows averaged."""
    values = output.select(axis, channel)
    if values.ndim == 3 and len(values) == 1:
        size = [min(side, length) for length in values.shape[1:]]
        return torch.nn.functional.adaptive_avg_pool2d(values, size).flatten()
    return values.mean().reshape(1)


@torch.no_grad()
def features_by_hand(
    net: nn.Module, layout: BiasLayout, side: int, image: torch.Tensor, without: str
) -> torch.Tensor:
    """Compute all maps of one image, layer by layer, in a network with folded biases."""
    found: dict[str, list[torch.Tensor]] = {name: [] for name in layout.names}
    hooks = [
        net.get_submodule(name).register_forward_hook(lambda _m, _a, o, n=name: found[n].append(o))
        for name in layout.names
    ]
    taps = net(image[None].float() / 127.5 - 1)
    for hook in hooks:
        hook.remove()
    parts = []
    for name, channels in zip(layout.names, layout.channels, strict=True):
        axis = 1 if isinstance(net.get_submodule(name), nn.Conv2d) else -1
        calls = [
            torch.cat([one_map(output, axis, channel, side) for channel in range(channels)])
            for output in found[name]
        ]
        parts += [] if without in name else [torch.stack(calls).sum(0)]
    return torch.cat([*parts, taps[-1][0]])


@needs_timm
@pytest.mark.parametrize(
    ("name", "which"),
    [
        ("convnext_tiny", "all"),
        ("convnext_tiny", "half"),
        ("swinv2_tiny_window8_256", "all"),
        ("swinv2_tiny_window8_256", "half"),
        ("xcit_nano_12_p8_224", "all"),
        ("vit_tiny_patch16_224", "all"),
    ],
)
def test_features_of_networks_of_every_kind(name: str, which: str) -> None:
    """Batches equal single images for channels along any axis, tokens, windows and tables."""
    _, forward = forward_pass(name)
    layout = layout_of(forward, which)
    bb, values = BeneficialBiases(forward, layout), some_values(layout)
    without = TABLES.get(name, "no such layer")
    assert bb.per_image == tuple(without not in layer for layer in layout.names)
    choice = choose_maps(layout, values, bb.per_image, fraction=1.0, width=4 * layout.total)
    images = pictures(3, size_of(name))
    found = Head2Toe(bb, values, choice).features(bb.prefix(images))
    net = fold_biases(forward.net, layout, values)
    for row, image in zip(found, images, strict=True):
        expected = features_by_hand(net, layout, choice.side, image, without)
        torch.testing.assert_close(row, expected, atol=1e-4, rtol=1e-4)
