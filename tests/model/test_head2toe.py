"""Head2Toe: the maps with the largest biases, pooled, and the last layer."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from skillmesh.model.biases import BeneficialBiases
from skillmesh.model.biases_layout import BiasLayer, BiasLayout, biasable_layers, choose_layers
from skillmesh.model.head2toe import Head2Toe, choose_maps
from tests.model.nets import GREY, TinyNet, pictures, tiny_backbone


def biased(which: str = "all") -> BeneficialBiases:
    """Two convolutions, 5 and 7 channels, 16 and 8 pixels wide."""
    forward = tiny_backbone().forward_pass
    return BeneficialBiases(forward, choose_layers(biasable_layers(forward.net, 32), which))


@pytest.mark.parametrize("fraction", [0.0, 0.01, 0.1, 0.5, 1.0])
def test_the_chosen_maps_are_those_with_the_largest_biases(fraction: float) -> None:
    """By magnitude, over all layers at once; at least one."""
    layout = BiasLayout(tuple(BiasLayer(str(i), 40 + i, 1) for i in range(5)), 1)
    values = torch.randn(layout.total, generator=torch.Generator().manual_seed(1))
    choice = choose_maps(layout, values, fraction)
    chosen = [
        part.start + channel
        for part, channels in zip(layout.slices, choice.channels, strict=True)
        for channel in channels
    ]
    count = max(1, round(fraction * layout.total))
    assert sorted(chosen) == sorted(np.argsort(-np.abs(values.numpy()))[:count].tolist())
    assert choice.count == count


def test_the_paper_s_width_is_kept() -> None:
    """1 % of MobileNetV2's 17,056 channels: 171 maps of 6 x 6, at most 8,192 numbers."""
    layout = BiasLayout((BiasLayer("a", 17_056, 1),), 0)
    choice = choose_maps(layout, torch.arange(17_056).float())
    assert (choice.count, choice.side) == (171, 6)
    assert choice.count * choice.side**2 <= 8192 < choice.count * (choice.side + 1) ** 2


def test_features_are_the_biased_maps_pooled_by_hand() -> None:
    """Eq. 1 written out, before the norm's scale: maps of both layers, then the last latent."""
    bb = biased()
    values = torch.randn(12, generator=torch.Generator().manual_seed(2))
    choice = choose_maps(bb.layout, values, fraction=0.5, width=6 * 16)
    assert choice.side == 4
    found = Head2Toe(bb, values, choice).features(pictures(3))
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
    """With biases on the last layer only, the first one is run once."""
    bb = biased("last:1")
    values = torch.linspace(-1, 1, 7)
    toe = Head2Toe(bb, values, choose_maps(bb.layout, values, 0.3))
    whole = toe.features(pictures(4))
    torch.testing.assert_close(toe.features_of_kept(bb.prefix(pictures(4))), whole)
    assert whole.shape == (4, 2 * 8 * 8 + 7)
