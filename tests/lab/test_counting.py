"""Counted operations against torch's own counter and against formulas."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from teachmesh.model.macs import count_macs
from teachmesh_lab.bench.own_cells import count_student_macs


def test_a_network_counts_the_same_as_with_torchs_own_counter() -> None:
    """Covers convolutions with groups and stride, linear layers, backward passes, inference."""
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=8), nn.Flatten(),
        nn.Linear(8 * 5 * 5, 7),
    )  # fmt: skip
    images = torch.zeros(4, 3, 16, 16)

    def learn() -> None:
        net(images).sum().backward()

    def answer() -> None:
        with torch.inference_mode():
            net(images)

    for work in (learn, answer):
        with FlopCounterMode(display=False) as theirs:
            work()
        assert count_macs(work) == theirs.get_total_flops() // 2 > 0


@pytest.mark.parametrize(
    ("work", "products"),
    [
        (lambda a, b, c: c.addmm_(a, b), 3 * 5 * 7),
        (lambda a, b, c: torch.addmm(c, a, b), 3 * 5 * 7),
        (lambda a, b, c: c[None].baddbmm_(a[None], b[None]), 3 * 5 * 7),
        (lambda a, b, c: c.addbmm_(torch.stack([a, a]), torch.stack([b, b])), 2 * 3 * 5 * 7),
        (lambda a, b, c: torch.mm(a, b, out=c), 3 * 5 * 7),
        (lambda a, b, _: a @ b[:, 0], 3 * 5),
        (lambda a, b, c: c[:, 0].addmv_(a, b[:, 0]), 3 * 5),
        (lambda a, _b, _c: a[0] @ a[1], 5),
        (lambda a, _b, _c: a.index_add_(0, torch.tensor([0, 2]), torch.ones(2, 5)), 0),
        (lambda _a, _b, c: c.mul_(2).add_(c), 0),
    ],
)
def test_products_count_in_place_too(
    work: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], object], products: int
) -> None:
    """Sums over rows and element-wise operations are no products."""
    a, b, c = torch.ones(3, 5), torch.ones(5, 7), torch.zeros(3, 7)
    assert count_macs(lambda: work(a, b, c)) == products
    with torch.inference_mode():
        a, b, c = torch.ones(3, 5), torch.ones(5, 7), torch.zeros(3, 7)
        assert count_macs(lambda: work(a, b, c)) == products


def test_what_a_student_factorises_is_counted() -> None:
    """Cholesky costs D^3/6, a triangular inverse D^3/2, a solution D^2 per column."""
    matrix = torch.eye(30, dtype=torch.float64)
    assert count_macs(lambda: torch.linalg.cholesky(matrix)) == 0
    assert count_student_macs(lambda: torch.linalg.cholesky(matrix)) == 30**3 // 6
    solve = torch.linalg.solve_triangular
    assert count_student_macs(lambda: solve(matrix, matrix, upper=False)) == 30**3 // 2
    columns = torch.zeros(30, 11, dtype=torch.float64)
    assert count_student_macs(lambda: torch.cholesky_solve(columns, matrix)) == 30**2 * 11
    assert count_student_macs(lambda: torch.linalg.inv(matrix)) == 30**3
    assert count_student_macs(lambda: torch.linalg.cholesky(matrix.expand(4, 30, 30))) == 4 * 4500


@pytest.mark.usefixtures("forked_programs")
def test_counting_does_not_load_torchs_compiler() -> None:
    """Loading it would cost every learning process several seconds."""
    code = (
        "import sys, torch; from teachmesh.model.macs import count_macs; "
        "count_macs(lambda: torch.zeros(2, 2) @ torch.zeros(2, 2)); "
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
