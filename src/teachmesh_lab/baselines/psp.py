"""`psp`: Parameter Superposition with binary contexts.

All tasks share one set of weights W. Task k sees W * c(k), with a context c(k) of random signs for
every layer: one sign per input of the layer, and for convolutions one per input channel and
position of the kernel ([1], Sec. 2.2 and 3). Random contexts are almost orthogonal, so what one
task writes into W looks like small noise to the others. Contexts follow from the seed: they need
not travel. Biases, norms and the trunk's other parameters are shared as they are; every task has a
head of its own, outside the superposition.

A pretrained network does not survive random signs: begin at random weights, as the paper does.

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
    """Multiplies a layer's weights (outputs, *inputs) by the context of the present task.

    Attributes:
        context: (1, *inputs) of +1 and -1.
    """

    context: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("context", torch.ones_like(weight[:1]), persistent=False)

    def forward(self, weight: Tensor) -> Tensor:
        """The weights as the present task sees them."""
        return weight * self.context


@final
class Psp(Baseline):
    """One network in which tasks lie over each other."""

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
        """Learn in the task's context."""
        super().begin(index, task)
        self.select(index)

    def select(self, index: int) -> None:
        """Put every layer into the task's context."""
        for number, layer in enumerate(self.layers):
            generator = make_generator(self.seed, "context", index, number)
            signs = torch.randint(0, 2, layer.context.shape, generator=generator) * 2 - 1
            layer.context.copy_(signs)
