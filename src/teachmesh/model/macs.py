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
_ATEN = torch.ops.aten
_WITHOUT_PARTS: set[Any] = set()
"""Operations found to be no composites; asking again at every call would take most of the time."""


def count_macs(work: Callable[[], object], formulas: Mapping[Any, Formula] | None = None) -> int:
    """Count the multiply-accumulates of the torch operations that a function runs.

    Products of matrices and vectors and convolutions are counted, as in the paper, also those that
    change a tensor in place. Element-wise operations are not counted.

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
        self.formulas, self.flops = {**flop_registry, **_PRODUCTS, **(formulas or {})}, 0

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
        if formula is None and func not in _WITHOUT_PARTS:
            # Under inference_mode, composite operations arrive whole, so count their parts.
            with self:
                parts = func.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
            _WITHOUT_PARTS.add(func)
        out = func(*args, **kwargs)
        if formula is not None:
            self.flops += int(formula(*args, **kwargs, out_val=out))
        return out


def _matrix_vector(matrix: torch.Tensor, *_: Any, **__: Any) -> int:
    return 2 * matrix.numel()


def _plus_matrix_vector(_: Any, matrix: torch.Tensor, *__: Any, **___: Any) -> int:
    return 2 * matrix.numel()


def _product(left: torch.Tensor, right: torch.Tensor, **_: Any) -> int:
    return 2 * left.numel() * right.shape[-1]


def _plus_batch(_: Any, left: torch.Tensor, right: torch.Tensor, **__: Any) -> int:
    return 2 * left.numel() * right.shape[-1]


_PRODUCTS: Mapping[Any, Formula] = {
    _ATEN.mm: _product,
    _ATEN.bmm: _product,
    _ATEN.mv: _matrix_vector,
    _ATEN.dot: _matrix_vector,
    _ATEN.vdot: _matrix_vector,
    _ATEN.addmv: _plus_matrix_vector,
    _ATEN.addmv_: _plus_matrix_vector,
    _ATEN.addbmm: _plus_batch,
    _ATEN.addbmm_: _plus_batch,
    _ATEN.addmm_: flop_registry[_ATEN.addmm],
    _ATEN.baddbmm_: flop_registry[_ATEN.baddbmm],
}
"""Products that torch's own table leaves out: with a vector, or in place.

Two that it has are here too, because its own formulas take longer than a small product."""


def _cholesky(matrix: torch.Tensor, *_: Any, **__: Any) -> int:
    return 2 * (matrix.numel() * matrix.shape[-1] // 6)


def _cholesky_solve(right: torch.Tensor, factor: torch.Tensor, *_: Any, **__: Any) -> int:
    # One forward and one backward substitution, D^2 / 2 each, per column.
    return int(2 * factor.numel() * right.shape[-1])


def _triangular(factor: torch.Tensor, right: torch.Tensor, **_: Any) -> int:
    return int(factor.numel() * right.shape[-1])


def _solve(matrix: torch.Tensor, right: torch.Tensor, **_: Any) -> int:
    # A factorisation, D^3 / 3, and two substitutions per column.
    columns = right.numel() // right.shape[-1] if right.ndim == 1 else right.shape[-1]
    return 2 * (matrix.numel() * matrix.shape[-1] // 3 + matrix.numel() * columns)


def _inverse(matrix: torch.Tensor, *_: Any, **__: Any) -> int:
    return int(2 * matrix.numel() * matrix.shape[-1])


def _eigen(matrix: torch.Tensor, *_: Any, **__: Any) -> int:
    # Reduction to tridiagonal form and back-transformation: about 9 n^3 operations.
    return int(9 * matrix.numel() * matrix.shape[-1])


FACTORISATIONS: Mapping[Any, Formula] = {
    _ATEN.linalg_cholesky_ex: _cholesky,
    _ATEN.cholesky_solve: _cholesky_solve,
    _ATEN.linalg_solve_triangular: _triangular,
    _ATEN._linalg_solve_ex: _solve,
    _ATEN.linalg_inv_ex: _inverse,
    _ATEN._linalg_eigh: _eigen,
}
"""Formulas of factorisations and solutions, which torch's own table leaves out."""
