"""Assignment of tasks to agents: longest first, or in the given order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

PACKINGS = ("longest-first", "given")
"""Ways to assign whole tasks to agents."""

Assignment = tuple[tuple[int, ...], ...]


def longest_first(
    costs: Sequence[float], n_agents: int, speeds: Sequence[float] | None = None
) -> Assignment:
    """Assign each task, the longest first, to the agent that would finish it first.

    Args:
        costs: costs of the tasks, in any unit.
        n_agents: N.
        speeds: speeds of the agents; equal by default.

    Returns:
        The positions of each agent's tasks, ascending.

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
        n_agents: N.
        speeds: speeds of the agents; equal by default.

    Raises:
        ValueError: an unknown packing, or fewer than one agent.
    """
    if n_agents < 1:
        raise ValueError(f"expected at least one agent, got {n_agents}")
    if packing == "longest-first":
        return longest_first(costs, n_agents, speeds)
    if packing == "given":
        return in_given_order(len(costs), n_agents)
    raise ValueError(f"expected a packing out of {', '.join(PACKINGS)}, got {packing!r}")
