"""Our Adam against torch's."""

from __future__ import annotations

import torch
from torch import nn

from teachmesh_lab.baselines.baseline_adam import Adam


def test_steps_equal_those_of_torch() -> None:
    """Twenty steps on two parameters, one of which lacks a gradient every other time."""
    generator = torch.Generator().manual_seed(0)
    start = [torch.randn(4, 3, generator=generator), torch.randn(5, generator=generator)]
    ours = [nn.Parameter(tensor.clone()) for tensor in start]
    theirs = [nn.Parameter(tensor.clone()) for tensor in start]
    one, two = Adam(ours, 0.01), torch.optim.Adam(theirs, lr=0.01)
    for step in range(20):
        one.zero_grad()
        two.zero_grad()
        for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            if i == 0 or step % 2:
                a.grad = torch.randn(a.shape, generator=generator)
                b.grad = a.grad.clone()
        one.step()
        two.step()
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b)
