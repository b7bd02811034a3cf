"""The embedded backbone: a compact residual network.

    stem     3x3 convolution, stride 2        32 channels, 1/2 of the input's side
    stage 1  1 block                          64 channels, 1/4
    stage 2  2 blocks                        128 channels, 1/8
    stage 3  2 blocks                        256 channels, 1/16
    last     1x1 convolution               1,024 channels, 1/16, pooled: the paper's latent

The last feature map provides one more tap, before the latent: the means of its four quadrants.
They show roughly where in the image something is.

A block has two 3x3 convolutions with batch norms and a ReLU between them, a residual connection
around them, and a ReLU at the end. Every block provides two taps: its pooled inner activation and
its pooled output. All taps are non-negative, which suits the power transform of the latents.

The convolutions are ordinary (dense) ones, whereas Xception's are depthwise separable. On a CPU,
dense convolutions ran 1.7 times as many operations per second in training, for about the same
accuracy (docs/results/backbone.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import cast

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.nn import functional

from teachmesh.errors import BackboneError

STEM_WIDTH = 32
STAGES = ((64, 1), (128, 2), (256, 2))
"""(channels, blocks) of each stage; every stage begins with stride 2."""
LAST_WIDTH = 1024
LEVELS = 127
QUADRANTS = "last.quadrants"
"""Name of the tap with the means of the last feature map's four quadrants."""
TAP_WEIGHTS = {QUADRANTS: 0.35}
"""Weights of the taps by name in every reference of this network; 1 for all other taps."""
STEPS = ".steps"
"""Suffix for the name of the tensor that stores the rounding steps of another tensor."""
WEIGHTS_FILE = "embedded.safetensors"


class _Convolution(nn.Module):
    """A 3x3 convolution and a batch norm."""

    def __init__(self, width_in: int, width_out: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width_in, width_out, 3, stride, 1, bias=False)
        self.norm = nn.BatchNorm2d(width_out)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.norm(self.conv(x)))


class _Block(nn.Module):
    """Two convolutions with a residual connection around them."""

    def __init__(self, width_in: int, width_out: int, stride: int) -> None:
        super().__init__()
        self.first = _Convolution(width_in, width_out, stride)
        self.second = _Convolution(width_out, width_out)
        self.skip: nn.Module = nn.Identity()
        if stride != 1 or width_in != width_out:
            self.skip = nn.Sequential(
                nn.Conv2d(width_in, width_out, 1, stride, bias=False), nn.BatchNorm2d(width_out)
            )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        inner = functional.relu(self.first(x))
        return inner, functional.relu(self.skip(x) + self.second(inner))


class EmbeddedNet(nn.Module):
    """Compute pooled taps of images; the last one is the paper's latent.

    The side of the images must be at least 32 px; the shipped weights use 112 px by default.

    Attributes:
        tap_names: names of the taps, in the order in which `forward` returns them.
        tap_weights: weights of the taps in the reference, in the same order.
        reentrant: True, because `forward` stores nothing in the module, so that several threads may
            run it at once.
    """

    reentrant = True

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, STEM_WIDTH, 3, 2, 1, bias=False)
        self.stem_norm = nn.BatchNorm2d(STEM_WIDTH)
        blocks: list[nn.Module] = []
        self.tap_names: list[str] = []
        width = STEM_WIDTH
        for stage, (channels, count) in enumerate(STAGES, start=1):
            for index in range(count):
                blocks.append(_Block(width, channels, 2 if index == 0 else 1))
                self.tap_names += [f"stage{stage}.{index}.inner", f"stage{stage}.{index}.outer"]
                width = channels
        self.blocks = nn.ModuleList(blocks)
        self.last = nn.Conv2d(width, LAST_WIDTH, 1, bias=False)
        self.last_norm = nn.BatchNorm2d(LAST_WIDTH)
        self.tap_names += [QUADRANTS, "last"]
        self.tap_weights = [TAP_WEIGHTS.get(name, 1.0) for name in self.tap_names]

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Run images through the network.

        Args:
            x: normalised images as an (N, 3, H, W) float32 tensor.

        Returns:
            One (N, C_i) tensor per name in `tap_names`.
        """
        x = functional.relu(self.stem_norm(self.stem(x)))
        taps = []
        for block in self.blocks:
            inner, x = block(x)
            taps += [inner.mean((2, 3)), x.mean((2, 3))]  # (N, C)
        x = functional.relu(self.last_norm(self.last(x)))
        return (*taps, _quadrant_means(x), x.mean((2, 3)))


def _quadrant_means(x: Tensor) -> Tensor:
    """Average the quadrants of (N, C, H, W) maps to (N, 4 C); odd sides overlap by one row.

    The result is that of adaptive pooling, whose gradient on a GPU differs from run to run.
    """
    sides = [(slice(0, (side + 1) // 2), slice(side // 2, None)) for side in x.shape[2:]]
    return torch.cat([x[:, :, rows, columns].mean((2, 3)) for rows, columns in product(*sides)], 1)


def load_embedded(folder: Path) -> EmbeddedNet:
    """Build the network with the weights that are shipped with the package.

    Convolutions are stored as int8 levels with one step per output channel, other tensors in half
    precision. Converting a weight to float32 takes at most one multiplication and is exact, so the
    weights are bit-identical on every machine.

    Args:
        folder: folder that holds `embedded.safetensors`.

    Returns:
        The frozen network, in evaluation mode.

    Raises:
        BackboneError: the file is missing or damaged, or belongs to another network.
    """
    path = folder / WEIGHTS_FILE
    net = EmbeddedNet()
    try:
        with safe_open(str(path), framework="pt") as file:
            stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        state = unpacked(stored)
        net.load_state_dict(state, strict=False)
    except (OSError, SafetensorError, RuntimeError) as error:
        raise BackboneError(
            f"expected the embedded backbone's weights in '{path}'; install teachmesh again"
        ) from error
    missing = set(net.state_dict()) - set(state) - _counters(net)
    if missing:
        raise BackboneError(f"'{path}' lacks {sorted(missing)[0]!r}; install teachmesh again")
    return net.eval().requires_grad_(False)


def packed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Compress the weights of a network to a quarter of their size.

    Args:
        state: float32 tensors by name; convolutions have four axes, output channels first.
    """
    stored: dict[str, Tensor] = {}
    for name, value in state.items():
        if value.ndim == 4:
            steps = value.abs().amax((1, 2, 3)).clamp(min=1e-12) / LEVELS  # (C_out,)
            levels = (value / steps.view(-1, 1, 1, 1)).round().clamp(-LEVELS, LEVELS)
            stored[name], stored[name + STEPS] = levels.to(torch.int8).contiguous(), steps
        else:
            stored[name] = value.half().contiguous()
    return stored


def unpacked(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Restore float32 weights from the result of `packed`."""
    state: dict[str, Tensor] = {}
    for name, value in stored.items():
        if name.endswith(STEPS):
            continue
        steps = stored.get(name + STEPS)
        state[name] = value.float() if steps is None else value.float() * steps.view(-1, 1, 1, 1)
    return state


def _counters(net: EmbeddedNet) -> set[str]:
    """Return the names of the batch norm counters, which have no effect at inference."""
    return {name for name in net.state_dict() if name.endswith("num_batches_tracked")}
