"""Assignment of tasks, or parts of tasks, to simulated agents.

A few large tasks cannot keep many agents busy. `split_tasks` cuts large tasks, so that several
agents learn parts of one task. This requires statistics that can be added, such as the sums of
`moments`. Every part is sent as a separate skill.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from teachmesh_lab.evaluation.cost_ledger import TaskCost, pack
from teachmesh_lab.simulation.event_simulation import Network, Simulated, simulate

PIECES = 8
"""Parts per fair share. With fewer parts, agents wait longer; with more, they send more bytes."""


def split_tasks(costs: Sequence[TaskCost], n_agents: int) -> list[TaskCost]:
    """Cut each task that exceeds an eighth of an agent's fair share into equal parts.

    The statistics of a part, and so its skill, are as large as those of the whole task.
    """
    fair = sum(cost.teacher_macs for cost in costs) / n_agents
    parts: list[TaskCost] = []
    for cost in costs:
        count = max(1, math.ceil(PIECES * cost.teacher_macs / fair)) if n_agents > 1 else 1
        part = replace(cost, teacher_macs=round(cost.teacher_macs / count))
        parts += [replace(part, task=f"{cost.task} {i + 1}/{count}") for i in range(count)]
    return parts


def simulate_packed(
    costs: Sequence[TaskCost],
    n_agents: int,
    network: Network,
    speeds: Sequence[float],
    *,
    packing: str = "longest-first",
    split: bool = False,
    consolidation_macs: int = 0,
) -> Simulated:
    """Assign tasks (or parts of them) to agents and simulate the agents.

    Args:
        costs: costs of the tasks.
        n_agents: number of agents, N.
        network: network that connects the agents.
        speeds: multiply-accumulates per second, one value for all agents or one per agent.
        packing: "longest-first" or "given".
        split: whether large tasks are cut, so that several agents learn parts of one task.
        consolidation_macs: multiply-accumulates that every agent pays once it has all skills.
    """
    rates = list(speeds) if len(speeds) == n_agents else [speeds[0]] * n_agents
    pieces = split_tasks(costs, n_agents) if split else list(costs)
    assignment = pack(packing, [cost.teacher_macs for cost in pieces], n_agents, rates)
    return simulate(pieces, assignment, network, rates, consolidation_macs=consolidation_macs)
