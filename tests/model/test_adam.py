"""The written-out Adam against torch's."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from teachmesh.model.head_training import Adam


@pytest.mark.parametrize("divide", [False, True])
def test_steps_equal_those_of_torch(divide: bool) -> None:
    """Twenty steps on two parameters, one of which has a gradient in every second step only."""
    generator = torch.Generator().manual_seed(0)
    start = [torch.randn(4, 3, generator=generator), torch.randn(5, generator=generator)]
    ours = [Adam(tensor.clone(), divide=divide) for tensor in start]
    theirs = [nn.Parameter(tensor.clone()) for tensor in start]
    reference = torch.optim.Adam(theirs, lr=0.01)
    for step in range(20):
        reference.zero_grad()
        for i, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            if i == 0 or step % 2:
                other.grad = torch.randn(other.shape, generator=generator)
                one.step(other.grad, 0.01)
        reference.step()
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one.parameter, other.data)
