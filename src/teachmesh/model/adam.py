"""Adam (Kingma and Ba 2015) on one tensor, with the defaults of torch.optim.Adam.

Written out because torch's own optimizer imports a compiler at the first step, which costs every
process some seconds. A test compares the two.
"""

from __future__ import annotations

import torch

_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-8


class Adam:
    """Change one tensor by steps of Adam.

    Args:
        parameter: tensor to change in place.
        divide: divide by the correction of the squares, as torch does, instead of multiplying by
            its inverse. The last bits differ. Skills are learned without it and baselines with it,
            so that the bytes of both stay as in earlier versions.
    """

    def __init__(self, parameter: torch.Tensor, *, divide: bool = False) -> None:
        self.parameter, self._divide = parameter, divide
        self.mean = torch.zeros_like(parameter)
        self.square = torch.zeros_like(parameter)
        self.steps = 0

    @torch.no_grad()
    def step(self, gradient: torch.Tensor, rate: float) -> None:
        """Take one step against the gradient.

        Args:
            gradient: gradient of the loss, shaped like the parameter.
            rate: learning rate of this step.
        """
        self.steps += 1
        self.mean.lerp_(gradient, 1 - _BETA_1)
        self.square.mul_(_BETA_2).addcmul_(gradient, gradient, value=1 - _BETA_2)
        correction_1 = 1 - _BETA_1**self.steps
        correction_2 = 1 - _BETA_2**self.steps
        root = self.square.sqrt()
        root = root.div_(correction_2**0.5) if self._divide else root.mul_(correction_2**-0.5)
        self.parameter.addcdiv_(self.mean, root.add_(_EPSILON), value=-rate / correction_1)
