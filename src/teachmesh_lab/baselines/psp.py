"""`psp`: Parameter Superposition with binary contexts.

All tasks share one set of weights W. Task k uses W * c(k), where the context c(k) has random signs
for every layer. There is one sign per input of a linear layer, and one per input channel and kernel
position of a convolution ([1], Sec. 2.2 and 3). Random contexts are almost orthogonal, so the
changes that one task makes to W are small noise for the other tasks.

Contexts are derived from the seed, so they need not be sent. Biases, norms and other parameters of
the trunk are shared unchanged. Every task has its own head, outside the superposition. Random signs
destroy a pretrained network, so start from random weights, as the paper does.

References:
    [1] Cheung, Terekhov, Chen, Agrawal, Olshausen, Superposition of many models into one, 2019.
"""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from teachmesh_lab.baselines.baseline import Baseline, Hyper
from teachmesh_lab.baselines.image_stream import PixelTask
from teachmesh_lab.baselines.multihead import MultiHead
from teachmesh_lab.baselines.seeding import make_generator
from teachmesh_lab.baselines.training_costs import weight_layers


@final
class Superposed(nn.Module):
    """Multiplies a layer's (outputs, *inputs) weights by the context of the current task.

    Attributes:
        context: signs, +1 or -1, as a tensor of shape (1, *inputs).
    """

    context: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("context", torch.ones_like(weight[:1]), persistent=False)

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weights multiplied by the context of the current task."""
        return weight * self.context


@final
class Psp(Baseline):
    """One network in which the weights of all tasks are superposed."""

    source: ClassVar[str] = "Cheung et al. 2019, binary contexts"
    shares_trunk: ClassVar[bool] = False

    def __init__(self, net: MultiHead, hyper: Hyper, seed: int) -> None:
        super().__init__(net, hyper, seed)
        self.layers: list[Superposed] = []
        for layer in weight_layers(net.trunk).values():
            superposed = Superposed(layer.get_parameter("weight"))
            parametrize.register_parametrization(layer, "weight", superposed)
            self.layers.append(superposed)

    def begin(self, index: int, task: PixelTask) -> None:
        """Start a task and switch to its context."""
        super().begin(index, task)
        self.select(index)

    def select(self, index: int) -> None:
        """Switch every layer to the task's context."""
        for number, layer in enumerate(self.layers):
            generator = make_generator(self.seed, "context", index, number)
            signs = torch.randint(0, 2, layer.context.shape, generator=generator) * 2 - 1
            layer.context.copy_(signs)
