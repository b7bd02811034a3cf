"""Quadratic penalty on weight changes: importance times squared distance.

The penalty's gradient is added after the backward pass of the loss, because SI needs the gradient
of the loss alone. With strength 0, training is bit-identical to training without a penalty.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Quadratic:
    """sum_k importance_k (x_k - centre_k)^2 for parameters x.

    Args:
        parameters: parameters of the trunk, in order. Old heads need no penalty, because they get
            no gradient.

    Attributes:
        importance: one tensor per parameter, of the same shape; initially 0.
        centre: one tensor per parameter, of the same shape; initially the parameter's value.
    """

    def __init__(self, parameters: Sequence[nn.Parameter]) -> None:
        self.parameters = list(parameters)
        self.importance = [torch.zeros_like(p) for p in self.parameters]
        self.centre = [p.detach().clone() for p in self.parameters]

    @torch.no_grad()
    def add_centred_here(self, importance: Sequence[Tensor]) -> None:
        """Add a term around the parameters' current values.

        Up to a constant, a sum of parabolas is one parabola around the weighted mean of their
        centres. Therefore T tasks need no more memory than one task.
        """
        for i, (parameter, new) in enumerate(zip(self.parameters, importance, strict=True)):
            total = self.importance[i] + new
            share = torch.where(total > 0, new / total, 1.0)
            self.centre[i] += share * (parameter - self.centre[i])
            self.importance[i] = total

    @torch.no_grad()
    def recentre(self) -> None:
        """Centre the whole penalty at the parameters' current values."""
        self.centre = [p.detach().clone() for p in self.parameters]

    @torch.no_grad()
    def pull(self, strength: float) -> None:
        """Add the gradient of `strength / 2` times the penalty to the parameters' gradients."""
        for parameter, importance, centre in zip(
            self.parameters, self.importance, self.centre, strict=True
        ):
            if parameter.grad is not None:  # None if the network does not use the parameter
                parameter.grad += strength * importance * (parameter - centre)
