"""Layers that carry biases: their choice, order and costs."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from teachmesh.biases.bias_layout import BiasLayer, BiasLayout, biasable_layers, choose_layers
from teachmesh.errors import UsageError
from teachmesh.model.macs import macs_per_image
from teachmesh.model.timm_net import TapNet, find_taps, import_timm
from tests.biases.bias_nets import SIZES, forward_pass
from tests.model.nets import TinyNet, needs_timm

LAYERS = (BiasLayer("a", 2, 40), BiasLayer("b", 3, 30), BiasLayer("c", 4, 20), BiasLayer("d", 5, 9))


@needs_timm
def test_the_papers_backbone_has_50_312_biases_on_its_convolutions() -> None:
    """Depthwise ones included, that is 201 KB per task, as in Fig. 10 of the paper."""
    with torch.device("meta"):
        net = import_timm().create_model("legacy_xception", pretrained=False, num_classes=0)
    layers = biasable_layers(TapNet(net.eval(), find_taps(net)), 299)
    assert choose_layers(layers, "all").total == 50_312
    convolutions = [m for m in net.modules() if isinstance(m, nn.Conv2d)]
    assert len(layers) == len(convolutions)
    depthwise = sum(m.out_channels for m in convolutions if m.groups > 1)
    assert (depthwise, 50_312 - depthwise) == (23_048, 27_264)


@pytest.mark.parametrize("name", [pytest.param(n, marks=needs_timm) for n in SIZES])
def test_the_costs_of_all_layers_sum_to_the_whole_pass(name: str) -> None:
    """Every convolution and fully connected layer occurs once, in the order of the pass."""
    _, forward = forward_pass(name)
    layers = biasable_layers(forward.net, SIZES[name])
    assert sum(layer.macs for layer in layers) == macs_per_image(forward.net, SIZES[name])
    assert len({layer.name for layer in layers}) == len(layers)
    assert biasable_layers(forward.net, SIZES[name]) == layers


def test_layers_come_in_the_order_in_which_they_are_called() -> None:
    """The order of construction does not matter."""

    class Backwards(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.second = nn.Conv2d(4, 6, 3)
            self.first = nn.Conv2d(3, 4, 3)
            self.unused = nn.Linear(2, 2)

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return (self.second(self.first(x)).mean((2, 3)),)

    layers = biasable_layers(Backwards(), 8)
    assert [(layer.name, layer.channels) for layer in layers] == [("first", 4), ("second", 6)]
    assert [layer.name for layer in biasable_layers(TinyNet(), 32)] == ["first", "second"]


@pytest.mark.parametrize(
    ("which", "names"),
    [("all", "abcd"), ("half", "cd"), ("last:1", "d"), ("last:3", "bcd"), ("last:99", "abcd")],
)
def test_layers_are_chosen_from_the_end(which: str, names: str) -> None:
    """Half means half of the cost: at most 49 of 99 are left."""
    assert "".join(choose_layers(LAYERS, which).names) == names


@pytest.mark.parametrize("which", ["", "last", "last:0", "last:-1", "last:1.5", "first", "All"])
def test_other_words_are_refused(which: str) -> None:
    """The message lists the valid words."""
    with pytest.raises(UsageError, match="all, half or last:N"):
        choose_layers(LAYERS, which)


def test_slices_and_padding_fit() -> None:
    """A later layout within an earlier one begins with zeros."""
    late, early = BiasLayout(LAYERS, 2), BiasLayout(LAYERS, 1)
    assert [part.stop - part.start for part in early.slices] == [3, 4, 5]
    assert (late.total, late.macs) == (9, 29)
    padded = late.within(early, torch.ones(2, 9))
    assert padded.shape == (2, 12)
    assert padded[:, :3].sum() == 0
    assert padded[:, 3:].sum() == 18
    with pytest.raises(ValueError, match="begins no later"):
        early.within(late, torch.ones(12))
    with pytest.raises(ValueError, match="out of 4"):
        BiasLayout(LAYERS, 4)
