"""Head2Toe with beneficial biases: a head that reads the feature maps with the largest biases.

In Head2Toe (Evci et al. 2022), a head can read any layer, and a search finds the layers that help.
Learned biases replace this search at no cost (paper, Sec. 7.3): the head reads the feature maps
with the largest 1 % of the biases. These maps are pooled to about 8,192 numbers in total and
concatenated with the latent of the last layer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from teachmesh.biases.bias_layout import BiasLayout
from teachmesh.biases.biased_network import BeneficialBiases

FRACTION = 0.01
WIDTH = 8192


@dataclass(frozen=True)
class MapChoice:
    """The feature maps that a head reads.

    Attributes:
        channels: for each biased layer in the order of the layout, the chosen channels, ascending.
        side: maximum number of rows and columns of a pooled map.
    """

    channels: tuple[tuple[int, ...], ...]
    side: int


def choose_maps(
    layout: BiasLayout,
    values: torch.Tensor,
    per_image: Sequence[bool],
    fraction: float = FRACTION,
    width: int = WIDTH,
) -> MapChoice:
    """Choose the feature maps with the largest biases by magnitude.

    Args:
        layout: the biased layers.
        values: (B,) biases in the paper's units; if biases are equal, the first is chosen.
        per_image: result of `BeneficialBiases.per_image`. Layers without rows for every image
            (tables of positions) contain no information about an image and are skipped.
        fraction: fraction of all maps to choose; at least one map is chosen.
        width: maximum number of values of all maps after pooling.
    """
    count = max(1, round(fraction * layout.total))
    order = torch.sort(values.detach().abs().cpu(), descending=True, stable=True).indices
    slices = zip(layout.slices, per_image, strict=True)
    usable = {index for part, fits in slices if fits for index in range(part.start, part.stop)}
    largest = set([index for index in order.tolist() if index in usable][: min(count, width)])
    channels = tuple(
        tuple(index - part.start for index in range(part.start, part.stop) if index in largest)
        for part in layout.slices
    )
    return MapChoice(channels, math.isqrt(width // max(1, len(largest))))


class Head2Toe:
    """Compute Head2Toe features with a biased network.

    Args:
        bb: the network with biases.
        values: (B,) biases of one task.
        choice: result of `choose_maps` for `bb.layout` and `bb.per_image`.
    """

    def __init__(self, bb: BeneficialBiases, values: torch.Tensor, choice: MapChoice) -> None:
        self._bb = bb
        self._values = values
        self.choice = choice

    def features(self, kept: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return (N, D) float32 features: the pooled maps, then the latent of the last layer.

        Args:
            kept: tensors from `BeneficialBiases.prefix`.
        """
        found: dict[int, torch.Tensor] = {}

        def watch(place: int, output: torch.Tensor) -> None:
            chosen = self.choice.channels[place]
            if chosen:
                pooled = _pooled(output, chosen, self.choice.side, len(kept[0]))
                # A layer may be called several times, so its outputs are summed over the calls.
                found[place] = found[place] + pooled if place in found else pooled

        taps = self._bb.suffix(kept, self._values, watch)
        return torch.cat([*(found[place] for place in sorted(found)), taps[-1]], dim=1)


def _pooled(output: torch.Tensor, chosen: Sequence[int], side: int, n: int) -> torch.Tensor:
    """Pool the chosen maps of an output to an (N, maps * positions) float32 tensor."""
    maps = output[:, list(chosen)].float()
    if maps.ndim == 4 and len(maps) == n:
        size = (min(side, maps.shape[2]), min(side, maps.shape[3]))
        return torch.nn.functional.adaptive_avg_pool2d(maps, size).flatten(1)
    # The output has vectors, tokens, or windows with several rows per image.
    return maps.reshape(n, len(maps) // n, len(chosen), -1).mean((1, 3))
