"""Initial networks of the trained baselines: images (N, 3, S, S) in [0, 1] -> latents (N, D).

Any module with this input and output works; if it has several outputs, the last one is used. The
network runs in evaluation mode even during training. By default its batch norms keep their initial
statistics, so that a task changes only parameters, which regularisers protect. With running norms
(`MultiHead`), every task also moves the statistics of all earlier tasks, which no regulariser
protects. `small_net` uses group norms, which need no statistics.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from teachmesh.model.backbone_cards import assets, embedded_card
from teachmesh.model.embedded_backbone import load_embedded
from teachmesh_lab.baselines.seeding import derive_seed

NetFactory = Callable[[int], nn.Module]
"""Function from a seed to a network; torch's global generator is seeded before the call."""

WIDTHS = (24, 48, 96)
"""Number of channels in each of the three stages."""
_GROUPS = 8


class _Block(nn.Module):
    """Two 3x3 convolutions with a residual connection (He et al. 2016, Fig. 2)."""

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
    """Residual network with 173,016 parameters; 6.9 million multiply-accumulates per 32 px image.

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
        """Return the (N, 96) latents of (N, 3, S, S) images in [0, 1]; S is at least 16."""
        x = functional.relu(self.stem_norm(self.stem(images * 2 - 1)))
        return cast(Tensor, self.blocks(x)).mean((2, 3))  # (N, C, H, W) -> (N, C)


class EmbeddedTrunk(nn.Module):
    """An unfrozen copy of the embedded backbone, including its normalisation."""

    def __init__(self) -> None:
        super().__init__()
        card = embedded_card()
        self.net = load_embedded(assets()).requires_grad_(True)
        self.register_buffer("mean", torch.tensor(card["mean"]).view(1, 3, 1, 1))
        self.register_buffer("deviation", torch.tensor(card["std"]).view(1, 3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Return the (N, 1024) latents of (N, 3, S, S) images in [0, 1]; S is at least 32."""
        mean, deviation = self.get_buffer("mean"), self.get_buffer("deviation")
        return cast("tuple[Tensor, ...]", self.net((images - mean) / deviation))[-1]


def small_net(seed: int) -> nn.Module:
    """Build the default network: `SmallConvNet` with random weights."""
    return build_net(lambda _: SmallConvNet(), seed)


def embedded_net(seed: int) -> nn.Module:
    """Build the pretrained embedded backbone for full fine-tuning; the seed has no effect.

    The paper also starts its baselines from the pretrained backbone. PSP and SUPSUP are
    exceptions: they flip the signs of weights or mask them, so they start from random weights.
    """
    return build_net(lambda _: EmbeddedTrunk(), seed)


def build_net(factory: NetFactory, seed: int) -> nn.Module:
    """Build a network after seeding torch's global generator, then restore the generator."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "net"))
        return factory(seed)
