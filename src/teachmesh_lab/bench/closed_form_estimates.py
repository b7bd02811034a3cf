"""Estimate the costs of closed-form methods from the sizes of tasks, assuming classes of one size.

The counts are those of a real run (`teachmesh_lab.baselines.frozen`) if all classes of a task have
the same number of images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from teachmesh_lab.baselines.baseline_registry import BASELINES
from teachmesh_lab.baselines.closed_forms import MULTI
from teachmesh_lab.baselines.frozen import factor_macs
from teachmesh_lab.evaluation.cost_ledger import TaskCost
from teachmesh_lab.simulation.task_estimates import NetworkSize, TaskSize

_FLOAT = 4
_WITH_COUNTS = ("gh-nb", "gh-lda", "gh-qda")
_OWN_COVARIANCES = ("fecam", "gh-qda", "lr-rgda")


@dataclass(frozen=True)
class Method:
    """A closed-form method on latents of one dimension.

    Attributes:
        name: name without its ending.
        read: dimension of the latents, D.
        dim: dimension in which statistics are computed, M; equals D except for `ranpac`.
        rank: maximum number of own directions per class.
    """

    name: str
    read: int
    dim: int
    rank: int

    @classmethod
    def of(cls, method: str, network: NetworkSize) -> Method:
        """Return the method with the latents of a network."""
        read = network.dim if method.endswith(MULTI) else network.last_dim
        grid = BASELINES[method].grid
        dim = int(grid["projections"][0]) if "projections" in grid else read
        rank = int(grid["rank"][0]) if "rank" in grid else 1 << 62
        return cls(method.removesuffix(MULTI), read, dim, rank)

    @property
    def shares_sums(self) -> bool:
        """Whether every task contributes to one (M, M) sum."""
        return self.name not in ("ncm", "gh-nb", "fecam", "gh-qda")

    def fit_macs(self, task: TaskSize) -> int:
        """Return the multiply-accumulates of learning a task from its latents."""
        lift = self.read * self.dim if self.name == "ranpac" else 0
        macs = task.train * (lift + self.dim**2 * self.shares_sums)
        each = task.train // task.classes
        if self.name in ("fecam", "gh-qda"):
            macs += task.classes * _axes_macs(each, self.dim)
            macs += task.classes * self.dim * (self.name == "gh-qda")  # lengths of means
        elif each > self.rank:
            macs += task.classes * each * (each + self.rank) * self.dim
        return macs

    def task_bytes(self, task: TaskSize) -> int:
        """Return the bytes that every other agent receives for a task."""
        half = self.dim * (self.dim + 1) // 2
        numbers = task.classes * (self.dim + (self.name in _WITH_COUNTS))
        each = task.train // task.classes
        if self.name == "gh-nb":
            numbers += task.classes * self.dim
        if self.name in _OWN_COVARIANCES:
            numbers += task.classes * min(min(each, self.rank) * self.dim, half)
        complete = self.name == "lr-rgda" and each <= self.rank
        return _FLOAT * (numbers + half * (self.shares_sums and not complete))

    def consolidation_macs(self, tasks: Sequence[TaskSize]) -> int:
        """Return the multiply-accumulates that an agent spends once to answer for all tasks."""
        if not self.shares_sums:
            return 0
        classes = sum(task.classes for task in tasks)
        macs = factor_macs(self.dim) + classes * self.dim**2
        if self.name == "lr-rgda":
            macs += factor_macs(self.dim)
            for task in tasks:
                own = min(task.train // task.classes, self.rank)
                macs += task.classes * (own * self.dim**2 + _axes_macs(own, self.dim))
            macs += classes * self.dim  # lengths of means
        return macs


def closed_form_costs(
    method: str, tasks: Sequence[TaskSize], network: NetworkSize
) -> tuple[list[TaskCost], int]:
    """Estimate each task's cost, including backbone passes, and the cost of consolidation.

    Args:
        method: name of a closed-form method.
        tasks: sizes of the tasks.
        network: size of the backbone.
    """
    found = Method.of(method, network)
    costs = [
        TaskCost(
            task.name,
            (task.train + task.validation) * network.macs_per_image + found.fit_macs(task),
            found.task_bytes(task),
        )
        for task in tasks
    ]
    return costs, found.consolidation_macs(tasks)


def _axes_macs(rows: int, dim: int) -> int:
    """Return the cost of a Gram matrix, its factorisation and a triangular solve."""
    return rows * rows * dim + rows**3 // 6 + rows * rows * dim // 2
