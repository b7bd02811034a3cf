"""What learning and sharing cost, and what N agents gain (paper, Sec. 3, Fig. 9 and 10).

Multiply-accumulates are counted by operation, bytes are those of the encoded skills; alpha, what a
byte costs in multiply-accumulates, is an argument and can be changed after a run. Speed-up and
parallel efficiency follow from the columns of the same table. The paper's own table does not add up
(docs/results/arithmetic.md); what it leaves out is in here: whole tasks cannot be divided by N, so
the agent that is done last decides; and students pay for what they consolidate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from teachmesh_lab.simulation.task_packing import Assignment, pack

ALPHA = 1000.0
"""Multiply-accumulates that a byte costs in the paper."""
EQUAL = "equal"
"""The paper's way: as if all work could be divided by N."""


@dataclass(frozen=True)
class TaskCost:
    """What one task costs.

    Attributes:
        task: its name.
        teacher_macs: learning: backbone passes, fits, anchors.
        skill_bytes: as encoded and signed, what every other agent receives.
        receive_macs: paid by an agent that receives the skill: its numbers are decoded (one
            multiplication each), and images that travel pass the backbone.
        register_macs: paid by every agent that uses the skill, its own included: its share of
            the mapper, such as its part of the covariance of all tasks.
    """

    task: str
    teacher_macs: int
    skill_bytes: int
    receive_macs: int = 0
    register_macs: int = 0

    def to_json(self) -> dict[str, Any]:
        """JSON values; `TaskCost(**values)` reads them."""
        return asdict(self)


@dataclass(frozen=True)
class Account:
    """The columns of Fig. 10 for one number of agents, of the agent that is done last.

    Law: `total == teacher_macs + alpha * bytes + student_macs`, and `speedup` is the total of one
    agent divided by this one.

    Attributes:
        agents: N.
        packing: how tasks were assigned.
        teacher_macs: of its own tasks, divided by its speed.
        bytes: received from all others, over one interface.
        student_macs: to decode what it received and to consolidate everything.
        total: in multiply-accumulates of an agent of speed 1.
        speedup: over one agent that learns everything.
        efficiency: `speedup / agents`.
        assignment: tasks of each agent; empty when work is divided equally.
    """

    agents: int
    packing: str
    teacher_macs: float
    bytes: float
    student_macs: float
    total: float
    speedup: float
    efficiency: float
    assignment: Assignment = ()


def account(
    costs: Sequence[TaskCost],
    n_agents: int,
    *,
    alpha: float = ALPHA,
    packing: str = "longest-first",
    speeds: Sequence[float] | None = None,
    consolidation_macs: int = 0,
) -> Account:
    """Cost of learning all tasks with N agents that share everything.

    Teaching, receiving and consolidating are added up as in the paper, although they overlap in
    truth (`simulate` lets them).

    Args:
        costs: one per task, in the order of the stream.
        n_agents: N; one agent pays for no byte.
        alpha: multiply-accumulates per byte.
        packing: "longest-first", "given", or "equal" (the paper's division by N).
        speeds: of the agents relative to the one that is compared with; all 1 by default.
        consolidation_macs: paid by every agent when all skills are there, such as the
            factorisation of a covariance.

    Raises:
        ValueError: no task, no agent, another number of speeds, or an unknown packing.

    Examples:
        >>> costs = [TaskCost("a", 600, 0), TaskCost("b", 400, 0)]
        >>> account(costs, 2).speedup, account(costs, 2, packing="equal").efficiency
        (1.6666666666666667, 1.0)
    """
    if not costs or n_agents < 1:
        raise ValueError(f"expected tasks and agents, got {len(costs)} and {n_agents}")
    if speeds is not None and len(speeds) != n_agents:
        raise ValueError(f"expected {n_agents} speeds, one per agent, got {len(speeds)}")
    alone = float(_teacher(costs).sum() + _register(costs).sum()) + consolidation_macs
    assignment: Assignment = ()
    if packing == EQUAL:
        columns = _equal(costs, n_agents, consolidation_macs)
    else:
        assignment = pack(packing, _teacher(costs).tolist(), n_agents, speeds)
        rates = speeds if speeds is not None else [1.0] * n_agents
        agents = [
            _columns(costs, mine, rate, consolidation_macs)
            for mine, rate in zip(assignment, rates, strict=True)
        ]
        columns = max(agents, key=lambda c: c[0] + alpha * c[1] + c[2])
    teacher, received, student = columns
    total = teacher + alpha * received + student
    gain = alone / total if total else 1.0
    return Account(
        n_agents, packing, teacher, received, student, total, gain, gain / n_agents, assignment
    )


def chain_account(
    costs: Sequence[TaskCost], n_agents: int, hand_over_bytes: float, *, alpha: float = ALPHA
) -> Account:
    """Cost of a method that cannot be divided: agents learn in turn and hand everything on.

    The paper's argument for leaving its baselines out of Fig. 10: agent B cannot begin before it
    has the weights (and the importances, the buffer, ...) of agent A.

    Args:
        costs: one per task.
        n_agents: N; the network travels N - 1 times.
        hand_over_bytes: of weights and state.
        alpha: multiply-accumulates per byte.
    """
    teacher = float(_teacher(costs).sum())
    received = (n_agents - 1) * hand_over_bytes
    total = teacher + alpha * received
    gain = teacher / total
    return Account(n_agents, "chain", teacher, received, 0.0, total, gain, gain / n_agents)


def gather_account(
    costs: Sequence[TaskCost],
    n_agents: int,
    image_bytes: float,
    network_bytes: float,
    *,
    alpha: float = ALPHA,
) -> Account:
    """Cost of a method that needs all images in one place: one agent learns, the others wait.

    Args:
        costs: one per task.
        n_agents: N; the images of all but one of them travel, then the network.
        image_bytes: of all images that are learned from, as files.
        network_bytes: of what was learned.
        alpha: multiply-accumulates per byte.
    """
    teacher = float(_teacher(costs).sum())
    received = (1 - 1 / n_agents) * image_bytes + (network_bytes if n_agents > 1 else 0.0)
    total = teacher + alpha * received
    gain = teacher / total
    return Account(n_agents, "gather", teacher, received, 0.0, total, gain, gain / n_agents)


def _columns(
    costs: Sequence[TaskCost], mine: Sequence[int], speed: float, consolidation_macs: int
) -> tuple[float, float, float]:
    """Teacher, bytes, student of one agent with its tasks."""
    own = np.zeros(len(costs), dtype=bool)
    own[list(mine)] = True
    student = _receive(costs)[~own].sum() + _register(costs).sum() + consolidation_macs
    received = _bytes(costs)[~own].sum()
    return float(_teacher(costs)[own].sum()) / speed, float(received), float(student) / speed


def _equal(
    costs: Sequence[TaskCost], n_agents: int, consolidation_macs: int
) -> tuple[float, float, float]:
    """Every agent does one N-th and receives the rest."""
    foreign = 1 - 1 / n_agents
    student = foreign * _receive(costs).sum() + _register(costs).sum() + consolidation_macs
    teacher = _teacher(costs).sum() / n_agents
    return float(teacher), float(foreign * _bytes(costs).sum()), float(student)


def _teacher(costs: Sequence[TaskCost]) -> np.ndarray:
    return np.array([cost.teacher_macs for cost in costs], dtype=np.float64)


def _bytes(costs: Sequence[TaskCost]) -> np.ndarray:
    return np.array([cost.skill_bytes for cost in costs], dtype=np.float64)


def _receive(costs: Sequence[TaskCost]) -> np.ndarray:
    return np.array([cost.receive_macs for cost in costs], dtype=np.float64)


def _register(costs: Sequence[TaskCost]) -> np.ndarray:
    return np.array([cost.register_macs for cost in costs], dtype=np.float64)
