"""Train a head with each row divided by its p-norm (paper, Sec. 7.2, 1).

Heads that were trained separately have no common scale. If the forward pass divides each row by
its norm, rows of different tasks can be joined without rescaling. The paper prefers p = infinity:
with p = 2 all rows end up with the same length, which makes the old task less accurate.
"""

from __future__ import annotations

import torch

from teachmesh.model.head_training import PlainRows


class RowNorm(PlainRows):
    """Divides each row of weights by its p-norm. The last column, the bias, is not divided.

    Args:
        p: order of the norm, at least 1 or infinity.

    Raises:
        ValueError: p is not at least 1.

    >>> RowNorm(2.0).of(torch.tensor([[3.0, -4.0, 7.0]])).tolist()
    [[0.6000000238418579, -0.800000011920929, 7.0]]
    """

    def __init__(self, p: float) -> None:
        if not p >= 1:
            raise ValueError(f"expected the p of a norm, 1 or more, got {p}")
        self.p = p

    def of(self, parameter: torch.Tensor) -> torch.Tensor:
        """Return the divided (C, D + 1) rows, for use in the forward pass.

        Raises:
            ValueError: the weights of a row are all zero.
        """
        if not parameter[:, :-1].any(dim=1).all():
            raise ValueError("expected rows that a norm can divide, one of them is zero")
        return torch.cat([parameter[:, :-1] / self._lengths(parameter), parameter[:, -1:]], 1)

    def gradient(self, parameter: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
        """Return the (C, D + 1) gradient of the parameters, given the gradient of the divided rows.

        With w' = w / n and n = |w|_p: dL/dw = (g - (g . w') dn/dw) / n. If p is infinity, dn/dw
        is the sign of the largest entry at that entry's position, and 0 elsewhere.
        """
        lengths = self._lengths(parameter)
        divided = parameter[:, :-1] / lengths
        if self.p == torch.inf:
            largest = divided.abs().argmax(1, keepdim=True)
            sign = divided.gather(1, largest).sign()
            slope = torch.zeros_like(divided).scatter_(1, largest, sign)
        else:
            slope = divided.sign() * divided.abs() ** (self.p - 1)
        along = (gradient[:, :-1] * divided).sum(1, keepdim=True)
        return torch.cat([(gradient[:, :-1] - along * slope) / lengths, gradient[:, -1:]], 1)

    def _lengths(self, parameter: torch.Tensor) -> torch.Tensor:
        weight = parameter[:, :-1]
        largest = weight.abs().amax(1, keepdim=True)  # factored out, to avoid underflow
        lengths: torch.Tensor = largest * torch.linalg.vector_norm(
            weight / largest, ord=self.p, dim=1, keepdim=True
        )
        return lengths
