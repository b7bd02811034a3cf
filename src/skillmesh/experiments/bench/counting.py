"""Multiply-accumulates of students: factorisations are counted too.

`torch.utils.flop_counter` knows matrix products and convolutions. What a student does with the
skills of all tasks ends in a factorisation, so those operations get a formula here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

Shape = Sequence[int]


def _cholesky(shape: Shape, *_: Any, **__: Any) -> int:
    return 2 * (shape[-1] ** 3 // 6)


def _cholesky_solve(right: Shape, factor: Shape, *_: Any, **__: Any) -> int:
    # A forward and a backward substitution of D^2 / 2 each, per column.
    return int(2 * factor[-1] ** 2 * right[-1])


def _triangular(factor: Shape, right: Shape, *_: Any, **__: Any) -> int:
    return int(factor[-1] ** 2 * right[-1])


def _eigen(shape: Shape, *_: Any, **__: Any) -> int:
    # Reduction to tridiagonal form and back-transformation, the usual 9 n^3 flops or so.
    return int(9 * shape[-1] ** 3)


_ATEN = torch.ops.aten
_FORMULAS: dict[Any, Any] = {
    _ATEN.linalg_cholesky_ex: _cholesky,
    _ATEN.cholesky_solve: _cholesky_solve,
    _ATEN.linalg_solve_triangular: _triangular,
    _ATEN._linalg_eigh: _eigen,
}


def count_student_macs(work: Callable[[], object]) -> int:
    """Multiply-accumulates of products, convolutions and factorisations that a function runs.

    Args:
        work: called once.

    Examples:
        >>> count_student_macs(lambda: torch.linalg.cholesky(torch.eye(60)))
        36000
    """
    with FlopCounterMode(display=False, custom_mapping=_FORMULAS) as counter:
        work()
    return int(counter.get_total_flops()) // 2
