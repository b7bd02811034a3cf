"""Adam (Kingma and Ba 2015) on one tensor, with the defaults of torch.optim.Adam.

Written out because torch's own optimizer imports a compiler at the first step, which costs every
process seconds. A test compares the two.
"""

from __future__ import annotations

import torch

_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-8


class Adam:
    """Moments of the gradient of one tensor, and the steps that follow from them.

    Args:
        parameter: changed in place by every step.
    """

    def __init__(self, parameter: torch.Tensor) -> None:
        self.parameter = parameter
        self.mean = torch.zeros_like(parameter)
        self.square = torch.zeros_like(parameter)
        self.steps = 0

    @torch.no_grad()
    def step(self, gradient: torch.Tensor, rate: float) -> None:
        """Take one step against the gradient.

        Args:
            gradient: of the loss, shaped like the parameter.
            rate: learning rate of this step.
        """
        self.steps += 1
        self.mean.lerp_(gradient, 1 - _BETA_1)
        self.square.mul_(_BETA_2).addcmul_(gradient, gradient, value=1 - _BETA_2)
        correction_1 = 1 - _BETA_1**self.steps
        correction_2 = 1 - _BETA_2**self.steps
        scale = self.square.sqrt().mul_(correction_2**-0.5).add_(_EPSILON)
        self.parameter.addcdiv_(self.mean, scale, value=-rate / correction_1)
