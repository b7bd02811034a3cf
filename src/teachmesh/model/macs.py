"""Count the multiply-accumulates of functions and networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

Formula = Callable[..., int]
"""Function from the arguments and the result (`out_val`) of an operation to its flops."""


def count_macs(work: Callable[[], object], formulas: Mapping[Any, Formula] | None = None) -> int:
    """Count the multiply-accumulates of the torch operations that a function runs.

    Matrix products and convolutions are counted, as in the paper; element-wise operations are not.

    Args:
        work: function to call once.
        formulas: flop formulas of additional operations.

    Examples:
        >>> count_macs(lambda: torch.zeros(3, 5) @ torch.zeros(5, 7))
        105
    """
    with MacCounter(formulas) as counter:
        work()
    return int(counter.macs)


def macs_per_image(net: nn.Module, size: int) -> int:
    """Count the multiply-accumulates of a network's forward pass for one image.

    Args:
        net: network that takes (N, 3, H, W) float images.
        size: side of the input in pixels.
    """
    parameter = next(net.parameters())
    image = torch.zeros(1, 3, size, size, device=parameter.device, dtype=parameter.dtype)
    with torch.no_grad():
        return count_macs(lambda: net(image))


class MacCounter(TorchDispatchMode):  # type: ignore[no-untyped-call] # torch leaves it untyped
    """Count multiply-accumulates within a `with` block, using torch's flop formulas.

    Torch's own `FlopCounterMode` imports the compiler at the first operation. That would take two
    to eight seconds in every process that learns.

    Args:
        formulas: flop formulas of additional operations.
    """

    def __init__(self, formulas: Mapping[Any, Formula] | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # as above
        self.formulas, self.flops = {**flop_registry, **(formulas or {})}, 0

    @property
    def macs(self) -> int:
        """Number of multiply-accumulates counted so far."""
        return int(self.flops // 2)

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Return False, so that torch does not prepare for a compiler that is not used here."""
        return False

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        formula = self.formulas.get(func._overloadpacket)
        if formula is None:
            # Under inference_mode, composite operations arrive whole, so count their parts.
            with self:
                parts = func.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
        out = func(*args, **kwargs)
        if formula is not None:
            self.flops += int(formula(*args, **kwargs, out_val=out))
        return out
