"""Networks that the trained baselines start from: images (N, 3, S, S) in [0, 1] -> latents (N, D).

Any module of this form will do; the last of several outputs is the latent. It is run in evaluation
mode, in training too: batch norms keep the statistics that they came with, so that a network's
parameters are all that a task can change, and all that a regulariser has to protect. `small_net`
therefore has group norms, which need no statistics.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from teachmesh.model.build_backbone import assets, embedded_card
from teachmesh.model.embedded_backbone import load_embedded
from teachmesh_lab.baselines.seeding import derive_seed

NetFactory = Callable[[int], nn.Module]
"""Seed -> network. It may draw from torch's global generator, which is seeded for it."""

WIDTHS = (24, 48, 96)
"""Channels of the three stages."""
_GROUPS = 8


class _Block(nn.Module):
    """Two 3x3 convolutions with a residual around them (He et al. 2016, Fig. 2)."""

    def __init__(self, width_in: int, width_out: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width_in, width_out, 3, stride, 1, bias=False)
        self.first_norm = nn.GroupNorm(_GROUPS, width_out)
        self.second = nn.Conv2d(width_out, width_out, 3, 1, 1, bias=False)
        self.second_norm = nn.GroupNorm(_GROUPS, width_out)
        self.skip: nn.Module = nn.Identity()
        if stride != 1 or width_in != width_out:
            self.skip = nn.Conv2d(width_in, width_out, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        inner = functional.relu(self.first_norm(self.first(x)))
        return functional.relu(self.skip(x) + self.second_norm(self.second(inner)))


class SmallConvNet(nn.Module):
    """A residual network of 173,016 parameters; 6.9 million multiply-accumulates at 32 px.

    Examples:
        >>> sum(p.numel() for p in SmallConvNet().parameters())
        173016
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, WIDTHS[0], 3, 2, 1, bias=False)
        self.stem_norm = nn.GroupNorm(_GROUPS, WIDTHS[0])
        widths = (WIDTHS[0], *WIDTHS)
        self.blocks = nn.Sequential(
            *(
                _Block(width_in, width_out, 1 if stage == 0 else 2)
                for stage, (width_in, width_out) in enumerate(pairwise(widths))
            )
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        """Latents (N, 96) of images (N, 3, S, S) in [0, 1], S at least 16."""
        x = functional.relu(self.stem_norm(self.stem(images * 2 - 1)))
        return cast(Tensor, self.blocks(x)).mean((2, 3))  # (N, C, H, W) -> (N, C)


class EmbeddedTrunk(nn.Module):
    """An unfrozen copy of the backbone that the package ships, its normalisation included."""

    def __init__(self) -> None:
        super().__init__()
        card = embedded_card()
        self.net = load_embedded(assets()).requires_grad_(True)
        self.register_buffer("mean", torch.tensor(card["mean"]).view(1, 3, 1, 1))
        self.register_buffer("deviation", torch.tensor(card["std"]).view(1, 3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Latents (N, 1024) of images (N, 3, S, S) in [0, 1], S at least 32."""
        mean, deviation = self.get_buffer("mean"), self.get_buffer("deviation")
        return cast("tuple[Tensor, ...]", self.net((images - mean) / deviation))[-1]


def small_net(seed: int) -> nn.Module:
    """The default: `SmallConvNet` with random weights."""
    return build_net(lambda _: SmallConvNet(), seed)


def embedded_net(seed: int) -> nn.Module:
    """The embedded backbone, pretrained, for fine-tuning as a whole; the same for every seed.

    The paper starts its baselines from the pretrained backbone too, except PSP and SUPSUP, which
    re-sign or mask weights and begin at random ones.
    """
    return build_net(lambda _: EmbeddedTrunk(), seed)


def build_net(factory: NetFactory, seed: int) -> nn.Module:
    """Call a factory with torch's global generator seeded, and leave that generator as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "net"))
        return factory(seed)
