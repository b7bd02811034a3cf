"""Penalties on weights that move: importance times squared distance, summed over the trunk.

The gradient is added to that of the loss by hand, so that the loss's own gradient stays visible
(SI needs it), and so that a strength of 0 changes no bit of the training.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Quadratic:
    """sum_k importance_k (x_k - centre_k)^2 for parameters x.

    Args:
        parameters: of the trunk, in order; heads of old tasks get no gradient anyway.

    Attributes:
        importance: one tensor per parameter, of its shape; 0 at first.
        centre: the same; the parameters' values at first.
    """

    def __init__(self, parameters: Sequence[nn.Parameter]) -> None:
        self.parameters = list(parameters)
        self.importance = [torch.zeros_like(p) for p in self.parameters]
        self.centre = [p.detach().clone() for p in self.parameters]

    @torch.no_grad()
    def add_centred_here(self, importance: Sequence[Tensor]) -> None:
        """Add a term around the parameters' present values.

        A sum of parabolas is a parabola around the weighted mean of their centres, up to a
        constant: T tasks need no more memory than one.
        """
        for i, (parameter, new) in enumerate(zip(self.parameters, importance, strict=True)):
            total = self.importance[i] + new
            share = torch.where(total > 0, new / total, 1.0)
            self.centre[i] += share * (parameter - self.centre[i])
            self.importance[i] = total

    @torch.no_grad()
    def recentre(self) -> None:
        """Let the present values be the centre of the whole penalty."""
        self.centre = [p.detach().clone() for p in self.parameters]

    @torch.no_grad()
    def pull(self, strength: float) -> None:
        """Add the gradient of `strength / 2` times the penalty to the parameters' gradients."""
        for parameter, importance, centre in zip(
            self.parameters, self.importance, self.centre, strict=True
        ):
            if parameter.grad is not None:  # None: the network does not use it, so it never moves
                parameter.grad += strength * importance * (parameter - centre)
