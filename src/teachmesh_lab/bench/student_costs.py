"""Multiply-accumulates of students: factorisations are counted too.

torch counts matrix products and convolutions. What a student does with the skills of all tasks
ends in a factorisation, so those operations get a formula here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from teachmesh.model.macs import Formula, count_macs


def _cholesky(matrix: torch.Tensor, **_: Any) -> int:
    return 2 * (len(matrix) ** 3 // 6)


def _cholesky_solve(right: torch.Tensor, factor: torch.Tensor, *_: Any, **__: Any) -> int:
    # A forward and a backward substitution of D^2 / 2 each, per column.
    return int(2 * len(factor) ** 2 * right.shape[1])


def _triangular(factor: torch.Tensor, right: torch.Tensor, **_: Any) -> int:
    return int(len(factor) ** 2 * right.shape[1])


def _eigen(matrix: torch.Tensor, *_: Any, **__: Any) -> int:
    # Reduction to tridiagonal form and back-transformation: the usual 9 n^3 operations.
    return 9 * len(matrix) ** 3


_ATEN = torch.ops.aten
_FORMULAS: dict[Any, Formula] = {
    _ATEN.linalg_cholesky_ex: _cholesky,
    _ATEN.cholesky_solve: _cholesky_solve,
    _ATEN.linalg_solve_triangular: _triangular,
    _ATEN._linalg_eigh: _eigen,
}


def count_student_macs(work: Callable[[], object]) -> int:
    """Multiply-accumulates of products, convolutions and factorisations that a function runs.

    Args:
        work: called once; matrices (n, n) without a batch axis.

    Examples:
        >>> count_student_macs(lambda: torch.linalg.cholesky(torch.eye(60)))
        36000
    """
    return count_macs(work, _FORMULAS)
