"""Costs of learning and sharing, and the gain of N agents (paper, Sec. 3, Fig. 9 and 10).

Multiply-accumulates are counted per operation; bytes are sizes of encoded skills. Alpha, the cost
of a byte in multiply-accumulates, is an argument and can be changed after a run. Speed-up and
parallel efficiency follow from the columns of one table.

The paper's own table does not add up (docs/results/arithmetic.md). These accounts include two
effects that the paper leaves out:

- Whole tasks cannot be divided by N, so the slowest agent determines the time.
- Consolidating skills has a cost for every student.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

ALPHA = 1000.0
"""Cost of one byte in multiply-accumulates, according to the paper."""
EQUAL = "equal"
"""Name of the paper's packing, which divides all work equally among N agents."""


@dataclass(frozen=True)
class TaskCost:
    """Costs of one task.

    Attributes:
        task: name of the task.
        teacher_macs: cost of learning the task: backbone passes, fits and anchors.
        skill_bytes: size of the encoded and signed skill, which every other agent receives.
        receive_macs: cost for each agent that receives the skill: one multiplication per decoded
            number, and a backbone pass for each image in the skill.
        register_macs: cost of adding the task to the mapper, such as computing its densities.
            Every agent that uses the skill pays this cost, including the skill's author.
    """

    task: str
    teacher_macs: int
    skill_bytes: int
    receive_macs: int = 0
    register_macs: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return JSON values, from which `TaskCost(**values)` restores the costs."""
        return asdict(self)


@dataclass(frozen=True)
class Account:
    """Columns of Fig. 10 for one number of agents: the costs of the agent that finishes last.

    Invariant: `total == teacher_macs + alpha * bytes + student_macs`.

    Attributes:
        agents: number of agents, N.
        packing: method of assigning tasks to agents.
        teacher_macs: cost of learning the agent's own tasks, divided by its speed.
        bytes: bytes received from all other agents, over one interface.
        student_macs: cost of decoding the received skills and of consolidating all skills.
        total: total cost, in multiply-accumulates of an agent with speed 1.
        speedup: total of one agent that learns everything, divided by `total`.
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
    """Compute the costs of learning all tasks with N agents that share everything.

    Teaching, receiving and consolidating are added up as in the paper, although they overlap in
    reality (see `event_simulation.simulate`).

    Args:
        costs: costs of each task, in the order of the stream.
        n_agents: number of agents, N; a single agent receives no bytes.
        alpha: multiply-accumulates per byte.
        packing: "longest-first", "given", or "equal" (the paper's division by N).
        speeds: speeds of the agents, relative to the agent that learns alone; default 1.
        consolidation_macs: cost, for every agent, of the work after the last skill has arrived,
            such as factorising a covariance.

    Raises:
        ValueError: no task or agent is given, or the speeds or packing are not valid.

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
    """Compute the costs of a method that cannot run in parallel: agents learn in turn.

    An agent cannot begin before it has the previous agent's weights, importances or buffer. For
    this reason, the paper leaves its baselines out of Fig. 10.

    Args:
        costs: costs of each task.
        n_agents: number of agents, N; the network is sent N - 1 times.
        hand_over_bytes: size of the weights and state that each agent passes on.
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
    """Compute the costs of a method that needs all images in one place: only one agent learns.

    Args:
        costs: costs of each task.
        n_agents: number of agents, N; N - 1 agents send images and then receive the network.
        image_bytes: total size of all training and validation image files.
        network_bytes: size of the trained network.
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
    """Return (teacher cost, received bytes, student cost) of an agent with its own tasks."""
    own = np.zeros(len(costs), dtype=bool)
    own[list(mine)] = True
    student = _receive(costs)[~own].sum() + _register(costs).sum() + consolidation_macs
    received = _bytes(costs)[~own].sum()
    return float(_teacher(costs)[own].sum()) / speed, float(received), float(student) / speed


def _equal(
    costs: Sequence[TaskCost], n_agents: int, consolidation_macs: int
) -> tuple[float, float, float]:
    """Return the columns of an agent that learns one N-th of the work and receives the rest."""
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


PACKINGS = ("longest-first", "given")
"""Ways to assign whole tasks to agents."""

Assignment = tuple[tuple[int, ...], ...]


def longest_first(
    costs: Sequence[float], n_agents: int, speeds: Sequence[float] | None = None
) -> Assignment:
    """Assign tasks, longest first, each to the agent that would finish it soonest.

    Args:
        costs: costs of the tasks, in any unit.
        n_agents: number of agents, N.
        speeds: speeds of the agents; equal by default.

    Returns:
        Positions of each agent's tasks, in ascending order.

    Examples:
        >>> longest_first([5, 1, 4, 2], 2)
        ((0, 1), (2, 3))
    """
    rates = np.asarray(speeds if speeds is not None else np.ones(n_agents), dtype=np.float64)
    loads = np.zeros(n_agents)
    tasks: list[list[int]] = [[] for _ in range(n_agents)]
    # Ties go to the first task and the first agent, so that the plan is reproducible.
    for task in sorted(range(len(costs)), key=lambda t: (-costs[t], t)):
        ends = (loads + costs[task]) / rates
        agent = int(ends.argmin())
        loads[agent] += costs[task]
        tasks[agent].append(task)
    return tuple(tuple(sorted(mine)) for mine in tasks)


def in_given_order(n_tasks: int, n_agents: int) -> Assignment:
    """Cut the stream into N consecutive parts of nearly equal length.

    Examples:
        >>> in_given_order(5, 2)
        ((0, 1, 2), (3, 4))
    """
    parts = np.array_split(np.arange(n_tasks), n_agents)
    return tuple(tuple(int(task) for task in part) for part in parts)


def pack(
    packing: str, costs: Sequence[float], n_agents: int, speeds: Sequence[float] | None = None
) -> Assignment:
    """Assign whole tasks to agents.

    Args:
        packing: one of `PACKINGS`.
        costs: costs of the tasks.
        n_agents: number of agents, N.
        speeds: speeds of the agents; equal by default.

    Raises:
        ValueError: the packing is unknown, or there are no agents.
    """
    if n_agents < 1:
        raise ValueError(f"expected at least one agent, got {n_agents}")
    if packing == "longest-first":
        return longest_first(costs, n_agents, speeds)
    if packing == "given":
        return in_given_order(len(costs), n_agents)
    raise ValueError(f"expected a packing out of {', '.join(PACKINGS)}, got {packing!r}")
