"""Multiply-accumulates, counted operation by operation."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


def count_macs(work: Callable[[], object]) -> int:
    """Multiply-accumulates of the torch operations that a function runs.

    Matrix products and convolutions are counted, as the paper does; element-wise work is not.

    Args:
        work: called once.

    Examples:
        >>> count_macs(lambda: torch.zeros(3, 5) @ torch.zeros(5, 7))
        105
    """
    with FlopCounterMode(display=False) as counter:
        work()
    return int(counter.get_total_flops()) // 2


def macs_per_image(net: nn.Module, size: int) -> int:
    """Multiply-accumulates of one image through a network.

    Args:
        net: takes (N, 3, H, W) float images.
        size: side of the input in pixels.
    """
    parameter = next(net.parameters())
    image = torch.zeros(1, 3, size, size, device=parameter.device, dtype=parameter.dtype)
    with torch.no_grad():
        return count_macs(lambda: net(image))
