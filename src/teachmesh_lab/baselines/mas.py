"""`mas`: Memory Aware Synapses.

The importance of a weight is the sensitivity of the output's squared length to this weight. Omega_k
is the mean over images of |d ||f(image)||^2 / dx_k| ([1], Eq. 3 and Sec. 4.1), summed over tasks;
no label is needed. The loss of later tasks gets the penalty lambda sum_k Omega_k (x_k - x*_k)^2
([1], Eq. 4). The output f is the vector of logits from the head just trained.

References:
    [1] Aljundi et al., Memory aware synapses: learning what (not) to forget, ECCV 2018.
"""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np
import torch
from torch import Tensor

from teachmesh_lab.baselines.baseline import Baseline, Grid, Hyper
from teachmesh_lab.baselines.ewc import penalty_state
from teachmesh_lab.baselines.multihead import MultiHead
from teachmesh_lab.baselines.quadratic import Quadratic
from teachmesh_lab.baselines.seeding import make_generator
from teachmesh_lab.baselines.sensitivity import mean_sensitivity, some_rows


@final
class Mas(Baseline):
    """Quadratic penalty weighted by output sensitivity.

    `strength` is lambda. Sensitivity is estimated from at most `images` training images of a task.
    """

    source: ClassVar[str] = "Aljundi et al., ECCV 2018, Eq. 3-4"
    grid: ClassVar[Grid] = {"strength": (0.1, 1.0, 10.0), "images": (256.0,)}

    def __init__(self, net: MultiHead, hyper: Hyper, seed: int) -> None:
        super().__init__(net, hyper, seed)
        self.penalty = Quadratic(self.trunk_parameters())

    def before_step(self) -> None:
        """Add the gradient that pulls weights towards their values after the last task."""
        self.penalty.pull(2 * self.hyper["strength"])

    def end(self, index: int) -> None:
        """Measure the sensitivity of this task's output, then finish the task."""
        data = self.data[index]
        generator = make_generator(self.seed, "mas", index)
        rows = some_rows(len(data), self.hyper["images"], generator)
        fresh = output_sensitivity(self.net, index, data.images[rows])
        self.penalty.importance = [
            old + new for old, new in zip(self.penalty.importance, fresh, strict=True)
        ]
        self.penalty.recentre()
        super().end(index)

    def state(self) -> dict[str, np.ndarray]:
        """Return the weights and importances."""
        return super().state() | penalty_state(self.penalty, with_centre=False)


def output_sensitivity(net: MultiHead, index: int, images: Tensor) -> list[Tensor]:
    """Return the mean over images of the absolute gradient of the output's squared length.

    Args:
        net: the network.
        index: position of the task whose head gives the output.
        images: the images as an (N, 3, S, S) uint8 tensor.
    """
    labels = torch.zeros(len(images), dtype=torch.int64)  # not read
    return mean_sensitivity(net, index, images, labels, _squared_length, torch.abs)


def _squared_length(logits: Tensor, _: Tensor) -> Tensor:
    return logits.square().sum()
