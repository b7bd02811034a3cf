"""`supsup`: Supermasks in Superposition.

The weights are fixed and never learned. For every task, one score per weight is trained. In each
layer, the weights with the largest scores (a fraction `keep`) form the task's subnetwork. During
training, the mask's gradient is passed unchanged to the scores (edge-popup, [2]). A mask takes one
bit per weight. Masks of different tasks are independent, so nothing is forgotten. Heads, too, are
masked fixed random weights.

The paper provides the task, because the inference of [1] did not fit its GPUs (Sec. 6). So do we by
default. With `infer`, tasks are also inferred as in [1] (`supsup_inference`).

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
from teachmesh_lab.baselines.baseline import Baseline, Grid, Hyper, parameter_array
from teachmesh_lab.baselines.image_stream import PixelTask
from teachmesh_lab.baselines.multihead import MultiHead
from teachmesh_lab.baselines.seeding import make_generator
from teachmesh_lab.baselines.supsup_inference import MaskedTask, infer_tasks
from teachmesh_lab.baselines.training_costs import weight_layers

_FIXED = "parametrizations.weight.original"
"""Name of a masked layer's fixed weights, relative to the layer."""


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
    - `infer`: 1 to infer tasks as well as to be told them.

    Running batch norms have statistics of their own for every task. They travel with its mask.
    """

    source: ClassVar[str] = "Wortsman et al., NeurIPS 2020; Ramanujan et al., CVPR 2020"
    grid: ClassVar[Grid] = {
        "rate_factor": (10.0, 1.0),
        "signed": (0.0, 1.0),
        "keep": (0.5,),
        "infer": (0.0,),
    }
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
        self.norms: dict[int, list[Tensor]] = {}
        self._first_norms = [tensor.clone() for tensor in net.norm_statistics]

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
        self._set_norms(self._first_norms)
        for number, layer in enumerate(self._stack(index)):
            layer.restart(make_generator(self.seed, "scores", index, number))

    def end(self, index: int) -> None:
        """Finish a task and keep its mask; the scores are no longer needed."""
        self.masks[index] = [layer.chosen() for layer in self._stack(index)]
        self.norms[index] = [tensor.clone() for tensor in self.net.norm_statistics]
        super().end(index)

    def select(self, index: int) -> None:
        """Set every layer's mask to the task's mask."""
        for layer, mask in zip(self._stack(index), self.masks[index], strict=True):
            layer.mask = mask
        self._set_norms(self.norms[index])

    @property
    def answers_stay(self) -> bool:
        """Whether answers stay; an inferred task can change when more tasks are known."""
        return not self.hyper["infer"]

    def infer(self, images: Tensor) -> np.ndarray | None:
        """Return the (N,) tasks that one gradient of the entropy chooses; None unless `infer`."""
        if not self.hyper["infer"]:
            return None
        for layer in self.layers:
            layer.mask = torch.ones((), dtype=torch.bool)
        norms = zip(*self.norms.values(), strict=True)
        self._set_norms([torch.stack(statistics).mean(0) for statistics in norms])
        places = infer_tasks(self.net, [self._masked(index) for index in self.masks], images)
        return np.asarray(np.array(list(self.masks), dtype=np.int64)[places])

    def state(self) -> dict[str, np.ndarray]:
        """Return the masks of all tasks: one bit per weight and task."""
        return {
            f"masks.{index}": np.frombuffer(self.encode(index), dtype=np.uint8)
            for index in self.masks
        }

    def encode(self, index: int) -> bytes:
        """Encode a task: the mask's bits of all layers, eight per byte, then norms as float32."""
        bits = torch.cat([mask.flatten() for mask in self.masks[index]])
        norms = [parameter_array(tensor).tobytes() for tensor in self.norms[index]]
        return np.packbits(bits.cpu().numpy()).tobytes() + b"".join(norms)

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
        n_bytes, norms = -(-sum(sizes) // 8), self.net.norm_statistics
        expected = n_bytes + 4 * sum(tensor.numel() for tensor in norms)
        if len(packet) != expected:
            raise DataError(
                f"expected a mask of {expected} bytes, got {len(packet)}; it belongs to another "
                "network or number of classes"
            )
        raw = np.unpackbits(np.frombuffer(packet[:n_bytes], dtype=np.uint8), count=sum(sizes))
        floats = torch.from_numpy(np.frombuffer(packet[n_bytes:], dtype=np.float32).copy())
        parts = torch.split(floats.to(self.net.device), [tensor.numel() for tensor in norms])
        self.norms[index] = list(parts)
        bits = torch.from_numpy(raw.astype(bool)).to(self.net.device)
        self.masks[index] = [
            part.view(layer.scores.shape)
            for part, layer in zip(torch.split(bits, sizes), self._stack(index), strict=True)
        ]

    def _set_norms(self, statistics: Sequence[Tensor]) -> None:
        for tensor, value in zip(self.net.norm_statistics, statistics, strict=True):
            tensor.copy_(value)

    def _masked(self, index: int) -> MaskedTask:
        *masks, head_mask = self.masks[index]
        names = [f"{name}.{_FIXED}" for name in weight_layers(self.net.trunk)]
        fixed = dict(self.net.trunk.named_parameters())
        trunk = {name: fixed[name] * mask for name, mask in zip(names, masks, strict=True)}
        return MaskedTask(trunk, self.net.head(index).get_parameter(_FIXED) * head_mask)

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
