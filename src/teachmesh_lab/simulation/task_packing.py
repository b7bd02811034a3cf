"""Which agent learns which tasks: longest first, or in the given order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

PACKINGS = ("longest-first", "given")
"""How whole tasks are given to agents."""

Assignment = tuple[tuple[int, ...], ...]


def longest_first(
    costs: Sequence[float], n_agents: int, speeds: Sequence[float] | None = None
) -> Assignment:
    """Give each task, the longest first, to the agent that would be done with it first.

    Args:
        costs: of the tasks, in any unit.
        n_agents: N.
        speeds: of the agents; all alike by default.

    Returns:
        For every agent, the positions of its tasks, ascending.

    Examples:
        >>> longest_first([5, 1, 4, 2], 2)
        ((0, 1), (2, 3))
    """
    rates = np.asarray(speeds if speeds is not None else np.ones(n_agents), dtype=np.float64)
    loads = np.zeros(n_agents)
    tasks: list[list[int]] = [[] for _ in range(n_agents)]
    # Ties go to the task and the agent that come first, so that the plan is the same everywhere.
    for task in sorted(range(len(costs)), key=lambda t: (-costs[t], t)):
        ends = (loads + costs[task]) / rates
        agent = int(ends.argmin())
        loads[agent] += costs[task]
        tasks[agent].append(task)
    return tuple(tuple(sorted(mine)) for mine in tasks)


def in_given_order(n_tasks: int, n_agents: int) -> Assignment:
    """Cut the stream into N runs of neighbours, as long as possible alike.

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
        costs: of the tasks.
        n_agents: N.
        speeds: of the agents; all alike by default.

    Raises:
        ValueError: an unknown packing, or no agent.
    """
    if n_agents < 1:
        raise ValueError(f"expected at least one agent, got {n_agents}")
    if packing == "longest-first":
        return longest_first(costs, n_agents, speeds)
    if packing == "given":
        return in_given_order(len(costs), n_agents)
    raise ValueError(f"expected a packing out of {', '.join(PACKINGS)}, got {packing!r}")
