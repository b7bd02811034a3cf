"""`si`: Synaptic Intelligence.

While a task is learned, omega_k sums up how much the steps of weight k lowered the loss. Thus
omega_k = -sum g_k dx_k, where g is the gradient of the task's own loss ([1], Eq. 3). At the end,
Omega_k grows by omega_k / (D_k^2 + xi), where D_k is the total change of the weight ([1], Eq. 5).
The loss of later tasks gets the penalty c sum_k Omega_k (x_k - x*_k)^2 ([1], Eq. 4). If the steps
of a weight raised the loss, its importance for the task is 0. A negative value would push the
weight away from x*.

References:
    [1] Zenke, Poole, Ganguli, Continual learning through synaptic intelligence, ICML 2017.
"""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np
import torch
from torch import Tensor

from teachmesh_lab.baselines.baseline import Baseline, Grid, Hyper
from teachmesh_lab.baselines.ewc import penalty_state
from teachmesh_lab.baselines.image_stream import PixelTask
from teachmesh_lab.baselines.multihead import MultiHead
from teachmesh_lab.baselines.quadratic import Quadratic


@final
class SynapticIntelligence(Baseline):
    """Quadratic penalty weighted by a path integral. `strength` is c and `damping` is xi."""

    source: ClassVar[str] = "Zenke et al., ICML 2017, Eq. 3-5"
    grid: ClassVar[Grid] = {"strength": (10.0, 100.0, 1000.0), "damping": (0.001,)}

    def __init__(self, net: MultiHead, hyper: Hyper, seed: int) -> None:
        super().__init__(net, hyper, seed)
        self.penalty = Quadratic(self.trunk_parameters())
        self.path: list[Tensor] = []
        self._gradients: list[Tensor] = []
        self._before: list[Tensor] = []

    def begin(self, index: int, task: PixelTask) -> None:
        """Start a task with path integrals of 0."""
        super().begin(index, task)
        # The path starts where the last task ended, which is the penalty's centre.
        self.path = [torch.zeros_like(p) for p in self.penalty.parameters]

    def before_step(self) -> None:
        """Save the gradient of the loss, then add the gradient of the penalty."""
        self._gradients, self._before = [], []
        for parameter in self.penalty.parameters:
            gradient = parameter.grad
            # A weight that the network does not use has no gradient and never moves.
            self._gradients.append(torch.zeros(()) if gradient is None else gradient.clone())
            self._before.append(parameter.detach().clone())
        self.penalty.pull(2 * self.hyper["strength"])

    @torch.no_grad()
    def after_step(self) -> None:
        """Add this step's loss decrease to the path integral."""
        for path, parameter, gradient, before in zip(
            self.path, self.penalty.parameters, self._gradients, self._before, strict=True
        ):
            path -= gradient * (parameter - before)

    @torch.no_grad()
    def end(self, index: int) -> None:
        """Convert the path integral to importance, then finish the task."""
        penalty = self.penalty
        for i, (path, parameter) in enumerate(zip(self.path, penalty.parameters, strict=True)):
            moved = (parameter - penalty.centre[i]).square() + self.hyper["damping"]
            penalty.importance[i] = penalty.importance[i] + (path / moved).clamp(min=0)
        penalty.recentre()
        super().end(index)

    def state(self) -> dict[str, np.ndarray]:
        """Return the weights and importances."""
        return super().state() | penalty_state(self.penalty, with_centre=False)
