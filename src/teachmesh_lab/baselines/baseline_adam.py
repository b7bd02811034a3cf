"""Adam (Kingma and Ba 2015), as torch.optim.Adam with its defaults.

Written out because torch's own imports a compiler at the first step, which costs every process
seconds; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-8


class Adam:
    """Steps down the gradients of some parameters; those without a gradient stay.

    Args:
        parameters: what is learned.
        rate: learning rate.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], rate: float) -> None:
        self.parameters, self.rate = list(parameters), rate
        self._means = [torch.zeros_like(p) for p in self.parameters]
        self._squares = [torch.zeros_like(p) for p in self.parameters]
        self._steps = [0] * len(self.parameters)

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """One step of every parameter that has a gradient."""
        for i, parameter in enumerate(self.parameters):
            if parameter.grad is not None:
                self._steps[i] += 1
                self._step(i, parameter, parameter.grad)

    def _step(self, i: int, parameter: Tensor, gradient: Tensor) -> None:
        mean, square = self._means[i], self._squares[i]
        mean.lerp_(gradient, 1 - _BETA_1)
        square.mul_(_BETA_2).addcmul_(gradient, gradient, value=1 - _BETA_2)
        correction_1 = 1 - _BETA_1 ** self._steps[i]
        correction_2 = 1 - _BETA_2 ** self._steps[i]
        scale = square.sqrt().div_(correction_2**0.5).add_(_EPSILON)
        parameter.addcdiv_(mean, scale, value=-self.rate / correction_1)
