"""Adam on one tensor, without torch.optim: that loads a compiler, seconds at the first step."""

from __future__ import annotations

import torch

LEARNING_RATE = 1e-3
_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-8


class Adam:
    """Adam (Kingma and Ba 2015) on one tensor, as torch.optim.Adam with its defaults.

    Args:
        parameter: is changed in place.
    """

    def __init__(self, parameter: torch.Tensor) -> None:
        self.parameter = parameter
        self.mean = torch.zeros_like(parameter)
        self.square = torch.zeros_like(parameter)
        self.steps = 0

    @torch.no_grad()
    def step(self, gradient: torch.Tensor, rate: float = LEARNING_RATE) -> None:
        """One step against the gradient."""
        self.steps += 1
        self.mean.lerp_(gradient, 1 - _BETA_1)
        self.square.mul_(_BETA_2).addcmul_(gradient, gradient, value=1 - _BETA_2)
        correction_1 = 1 - _BETA_1**self.steps
        correction_2 = 1 - _BETA_2**self.steps
        scale = self.square.sqrt().mul_(correction_2**-0.5).add_(_EPSILON)
        self.parameter.addcdiv_(self.mean, scale, value=-rate / correction_1)
