"""`supsup`: Supermasks in Superposition.

The weights are fixed and never learned. For every task, one score per weight is trained. In each
layer, the weights with the largest scores (a fraction `keep`) form the task's subnetwork. During
training, the mask's gradient is passed unchanged to the scores (edge-popup, [2]). A mask takes one
bit per weight. Masks of different tasks are independent, so nothing is forgotten. Heads, too, are
masked fixed random weights.

Without an oracle, [1] infers the task from the entropy of all tasks' answers, with T passes per
image. The paper found this too expensive and provides the oracle (Sec. 6); so do we.

References:
    [1] Wortsman et al., Supermasks in superposition, NeurIPS 2020.
    [2] Ramanujan et al., What's hidden in a randomly weighted neural network?, CVPR 2020.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from teachmesh.errors import DataError
from teachmesh_lab.baselines.baseline import Baseline, Grid, Hyper
from teachmesh_lab.baselines.image_stream import PixelTask
from teachmesh_lab.baselines.multihead import MultiHead
from teachmesh_lab.baselines.seeding import make_generator
from teachmesh_lab.baselines.training_costs import weight_layers


class Supermask(nn.Module):
    """Multiplies a layer's fixed weights by a mask, which is given or computed from scores.

    Args:
        weight: weights of the layer.
        keep: fraction of the weights that a mask keeps.

    Attributes:
        scores: one score per weight.
        mask: bool tensor with the weights' shape; None while scores are trained.
    """

    def __init__(self, weight: Tensor, keep: float) -> None:
        super().__init__()
        self.keep = keep
        self.scores = nn.Parameter(torch.zeros_like(weight))
        self.mask: Tensor | None = None

    @torch.no_grad()
    def restart(self, generator: torch.Generator) -> None:
        """Draw new initial scores from the uniform distribution of [2]."""
        bound = self.scores[0].numel() ** -0.5
        fresh = torch.rand(self.scores.shape, generator=generator) * 2 * bound - bound
        self.scores.copy_(fresh)
        self.mask = None

    def chosen(self) -> Tensor:
        """Return the bool mask of the weights with the largest absolute scores."""
        sizes = self.scores.detach().abs()
        dropped = sizes.numel() - max(1, round(self.keep * sizes.numel()))
        if not dropped:
            return torch.ones_like(sizes, dtype=torch.bool)
        return sizes > sizes.flatten().kthvalue(dropped).values

    def forward(self, weight: Tensor) -> Tensor:
        """Return the masked weights."""
        if self.mask is not None:
            return weight * self.mask
        sizes = self.scores.abs()
        # Straight-through estimator: the value is the mask, the gradient goes to the scores.
        return weight * (self.chosen() + (sizes - sizes.detach()))


class Supsup(Baseline):
    """One mask per task over fixed weights.

    Hyper-parameters:

    - `keep`: fraction of the weights in a mask.
    - `signed`: 1 replaces each weight by its sign times the layer's Kaiming standard deviation, as
      [2] recommends for random weights; 0 keeps the weights unchanged.
    - `rate_factor`: factor that multiplies the learning rate of the scores.
    """

    source: ClassVar[str] = "Wortsman et al., NeurIPS 2020; Ramanujan et al., CVPR 2020"
    grid: ClassVar[Grid] = {"rate_factor": (1.0, 10.0), "signed": (1.0, 0.0), "keep": (0.5,)}
    shares_trunk: ClassVar[bool] = False
    isolated: ClassVar[bool] = True

    def __init__(self, net: MultiHead, hyper: Hyper, seed: int) -> None:
        super().__init__(net, hyper, seed)
        net.requires_grad_(False)
        self.layers = [
            self._fix(layer, signed=bool(hyper["signed"]))
            for layer in weight_layers(net.trunk).values()
        ]
        self.head_layers: dict[int, Supermask] = {}
        self.masks: dict[int, list[Tensor]] = {}

    @property
    def rate_factor(self) -> float:
        """Factor that multiplies the learning rate; scores need larger steps than weights."""
        return self.hyper["rate_factor"]

    def parameters(self, indices: Sequence[int]) -> list[nn.Parameter]:
        """Return the scores of the trunk and of the heads."""
        return [layer.scores for index in indices for layer in self._stack(index)]

    def begin(self, index: int, task: PixelTask) -> None:
        """Start a task with fresh scores for all layers and a head of fixed random signs."""
        super().begin(index, task)
        self._add_head(index)
        for number, layer in enumerate(self._stack(index)):
            layer.restart(make_generator(self.seed, "scores", index, number))

    def end(self, index: int) -> None:
        """Finish a task and keep its mask; the scores are no longer needed."""
        self.masks[index] = [layer.chosen() for layer in self._stack(index)]
        super().end(index)

    def select(self, index: int) -> None:
        """Set every layer's mask to the task's mask."""
        for layer, mask in zip(self._stack(index), self.masks[index], strict=True):
            layer.mask = mask

    def state(self) -> dict[str, np.ndarray]:
        """Return the masks of all tasks: one bit per weight and task."""
        return {
            f"masks.{index}": np.frombuffer(self.encode(index), dtype=np.uint8)
            for index in self.masks
        }

    def encode(self, index: int) -> bytes:
        """Encode the mask of a task: the bits of all layers in order, eight per byte."""
        bits = torch.cat([mask.flatten() for mask in self.masks[index]])
        return np.packbits(bits.cpu().numpy()).tobytes()

    def receive(self, index: int, n_classes: int, packet: bytes) -> None:
        """Register the mask of a task that another agent learned.

        Args:
            index: position of the task; together with the seed, it determines the head's weights.
            n_classes: number of classes of the task, C.
            packet: result of `encode` by an agent with the same network and seed.

        Raises:
            DataError: the packet does not contain one bit per weight.
        """
        if index not in self.head_layers:
            self.net.add_head(index, n_classes)
            self._add_head(index)
        sizes = [layer.scores.numel() for layer in self._stack(index)]
        if len(packet) != -(-sum(sizes) // 8):
            raise DataError(
                f"expected a mask of {-(-sum(sizes) // 8)} bytes, got {len(packet)}; it belongs to "
                "another network or number of classes"
            )
        raw = np.unpackbits(np.frombuffer(packet, dtype=np.uint8), count=sum(sizes))
        bits = torch.from_numpy(raw.astype(bool)).to(self.net.device)
        self.masks[index] = [
            part.view(layer.scores.shape)
            for part, layer in zip(torch.split(bits, sizes), self._stack(index), strict=True)
        ]

    def _stack(self, index: int) -> list[Supermask]:
        return [*self.layers, self.head_layers[index]]

    def _add_head(self, index: int) -> None:
        head = self.net.head(index).requires_grad_(False)
        nn.init.zeros_(head.bias)
        self.head_layers[index] = self._fix(head, signed=True)

    def _fix(self, layer: nn.Module, *, signed: bool) -> Supermask:
        """Freeze a layer's weights and add a mask to the layer."""
        weight = layer.get_parameter("weight").requires_grad_(False)
        if signed:
            with torch.no_grad():
                weight.copy_(torch.sign(weight) * (2 / weight[0].numel()) ** 0.5)
        mask = Supermask(weight, self.hyper["keep"])
        parametrize.register_parametrization(layer, "weight", mask)
        return mask
