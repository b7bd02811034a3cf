"""`bench simulate`: simulate N agents on the SKILL-102 tasks or other tasks, or replay a run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from teachmesh.agent.on_mesh.node import WATCH_INTERVAL_S
from teachmesh.errors import UsageError
from teachmesh.model.reference import DEFAULT_DIM
from teachmesh_lab.bench.bench_methods import Kind, check_bench_method
from teachmesh_lab.bench.dry_run import manifest_sizes, shared_costs
from teachmesh_lab.bench.run_folder import read_run
from teachmesh_lab.evaluation.cost_ledger import ALPHA, TaskCost
from teachmesh_lab.simulation.event_simulation import Network, Simulated, simulate
from teachmesh_lab.simulation.part_estimates import simulate_parts
from teachmesh_lab.simulation.simulated_tasks import CountedTasks, read_task_file
from teachmesh_lab.simulation.task_estimates import NetworkSize, TaskSize
from teachmesh_lab.simulation.task_splitting import simulate_packed
from teachmesh_lab.streams.manifest import skill102
from teachmesh_lab.studies.paper_arithmetic import LATENT, XCEPTION_MACS

SCHEMA = "teachmesh.bench-simulation/1"
_METHOD = "moments"
AGENTS = (1, 2, 10, 26, 51, 102)
LOOPBACK_BYTES_PER_S = 200e6
"""Bytes per second between processes on one machine, including checks and fsync."""
_TICK = 1e6
"""Units of work per second in replays of measured seconds."""


@dataclass(frozen=True)
class Setting:
    """Settings of a simulation.

    Attributes:
        agents: numbers of agents to simulate.
        tasks: CSV file of tasks; None for the SKILL-102 tasks.
        method: method to estimate costs for if only sizes are known; None for `moments`.
        bandwidth_bytes_per_s: bandwidth of each agent's interface; None to derive it from alpha.
        latency_s: time from the end of learning to the first byte of a transfer.
        alpha: multiply-accumulates per byte, used without a bandwidth; None for the paper's value.
        speeds: multiply-accumulates per second, one value for all agents or one per agent.
        macs_per_image: multiply-accumulates of the backbone per image.
    """

    agents: tuple[int, ...] = AGENTS
    tasks: Path | None = None
    method: str | None = None
    bandwidth_bytes_per_s: float | None = None
    latency_s: float = 0.1
    alpha: float | None = None
    speeds: tuple[float, ...] = (1e12,)
    macs_per_image: int = XCEPTION_MACS


def run_simulation(setting: Setting) -> dict[str, Any]:
    """Simulate every number of agents, with whole tasks, split tasks and parts of tasks.

    Returns:
        A document with the schema `teachmesh.bench-simulation/1`.

    Raises:
        UsageError: a number is out of range.
        DataError: the file cannot be used.
    """
    _check(setting)
    found, method = _tasks(setting), None
    sizes = [] if isinstance(found, CountedTasks) else found
    if not isinstance(found, CountedTasks):
        method = setting.method or _METHOD
        found = _estimated(found, method, setting.macs_per_image)
    network, alpha = _network(setting)
    rows = []
    for agents in setting.agents:
        for way, packing, split in (
            ("whole", "longest-first", False),
            ("whole, given order", "given", False),
            ("split", "longest-first", True),
        ):
            simulated = simulate_packed(
                found.costs, agents, network, setting.speeds, packing=packing, split=split,
                consolidation_macs=found.consolidation_macs,
            )  # fmt: skip
            rows.append({"agents": agents, "tasks": way, **_row(simulated)})
        if sizes and method == _METHOD:  # only class moments have sums that can be added
            row = _row(_in_parts(sizes, setting, agents, network))
            rows.append({"agents": agents, "tasks": "parts", **row})
    return {
        "schema": SCHEMA,
        "tasks": len(found.costs),
        "method": method,
        # With alpha 0 the bandwidth is infinite, which JSON cannot express.
        "bandwidth_bytes_per_s": _finite(network.bandwidth_bytes_per_s),
        "latency_s": network.latency_s,
        "alpha": alpha,
        "rows": rows,
    }


def replay_run(run: Path) -> list[dict[str, Any]]:
    """Simulate the real agents of a run with their measured learning times.

    Returns:
        One dict per cell with several agents: {"method", "agents", "measured_s", "simulated_s",
        "ratio"}.

    Raises:
        UsageError: the run has no real agents.
        StorageError: the folder does not contain a run.
    """
    results = read_run(run).results
    found = [
        {"method": r.cell.method, "agents": r.cell.agents, **replay(r.timing["shared"])}
        for r in results
        if "shared" in r.timing
    ]
    if not found:
        raise UsageError(f"expected a run with real agents, '{run}' has none")
    return found


def replay(shared: Mapping[str, Any]) -> dict[str, float]:
    """Simulate one real run.

    The author and the receiver of a skill notice it only when they next check the bank,
    after half a watch interval on average.

    Args:
        shared: measurements of N agents, as returned by `real_agents.run_real`.
    """
    costs: list[TaskCost] = []
    assignment: list[tuple[int, ...]] = []
    starts_s: list[float] = []
    for mine in shared["learned"].values():
        start = len(costs)
        for task, _, took_s in mine:
            costs.append(TaskCost(task, round(took_s * _TICK), int(shared["skill_bytes"][task])))
        assignment.append(tuple(range(start, len(costs))))
        _, saved_s, took_s = mine[0]
        starts_s.append(max(0.0, saved_s - took_s))
    assignment.append(())  # the listening agent learns no task
    starts_s.append(0.0)
    network = Network(LOOPBACK_BYTES_PER_S, WATCH_INTERVAL_S)
    speeds = [_TICK] * len(assignment)
    found = simulate(costs, tuple(assignment), network, speeds, starts_s=starts_s)
    measured_s = float(shared["makespan_s"])
    return {
        "measured_s": measured_s,
        "simulated_s": round(found.makespan_s, 3),
        "ratio": round(found.makespan_s / measured_s, 4),
    }


def _check(setting: Setting) -> None:
    if not setting.agents or min(setting.agents) < 1:
        raise UsageError(f"expected numbers of agents of at least 1, got {list(setting.agents)}")
    bandwidth = setting.bandwidth_bytes_per_s
    positive = [*setting.speeds, *([] if bandwidth is None else [bandwidth])]
    if not all(0 < value < math.inf for value in positive):
        raise UsageError("expected speeds and a bandwidth that are numbers above 0")
    if bandwidth is not None and setting.alpha is not None:
        raise UsageError("expected a bandwidth or an alpha, got both: each says what a byte costs")
    if not all(0 <= value < math.inf for value in (setting.alpha or 0.0, setting.latency_s)):
        raise UsageError("expected an alpha and a latency that are numbers of at least 0")
    if setting.method is not None and check_bench_method(setting.method) is Kind.TRAINED:
        raise UsageError(
            f"expected a method whose tasks can be learned apart, got {setting.method!r}, which "
            "trains one network on all of them"
        )
    if len(setting.speeds) > 1 and {len(setting.speeds)} != set(setting.agents):
        raise UsageError("several speeds need --agents with exactly their number")


def _tasks(setting: Setting) -> list[TaskSize] | CountedTasks:
    """Return the sizes of the tasks, or their counted costs."""
    if setting.tasks is None:
        return manifest_sizes(skill102())
    found = read_task_file(setting.tasks)
    if isinstance(found, CountedTasks) and setting.method is not None:
        raise UsageError(
            f"expected no method for a file of costs, which are those of one method already, got "
            f"{setting.method!r}"
        )
    return found


def _estimated(sizes: Sequence[TaskSize], method: str, macs_per_image: int) -> CountedTasks:
    return CountedTasks(
        *shared_costs(method, sizes, NetworkSize(macs_per_image, LATENT, DEFAULT_DIM))
    )


def _in_parts(
    sizes: Sequence[TaskSize], setting: Setting, agents: int, network: Network
) -> Simulated:
    several = len(setting.speeds) == agents
    speeds = setting.speeds if several else setting.speeds[:1] * agents
    fits = shared_costs(_METHOD, sizes, NetworkSize(0, LATENT, DEFAULT_DIM))[0]
    images = [size.train + size.validation for size in sizes]
    return simulate_parts(images, fits, setting.macs_per_image, network, speeds)


def _network(setting: Setting) -> tuple[Network, float | None]:
    """Return the network and its alpha, or None as alpha if the bandwidth is given."""
    if setting.bandwidth_bytes_per_s is not None:
        return Network(setting.bandwidth_bytes_per_s, setting.latency_s), None
    alpha = ALPHA if setting.alpha is None else setting.alpha
    return Network.of_alpha(setting.speeds[0], alpha, setting.latency_s), alpha


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _row(found: Simulated) -> dict[str, Any]:
    values: Sequence[tuple[str, float]] = (
        ("makespan_s", found.makespan_s),
        ("speedup", found.speedup),
        ("efficiency", found.efficiency),
        ("bytes_received", found.bytes_received),
    )
    return dict(values)
