"""Discrete-event simulation of N agents that learn and share skills.

Agents can learn and share at the same time here, which the cost ledger does not allow:

- Every agent learns its tasks one after another and announces each finished skill.
- Every other agent fetches the skill from any agent that has it and is free to send.
- An agent sends at most one skill at a time, and receives at most one.
- An agent decodes and registers received skills between two tasks, when its processor is free.
- Once an agent has all skills, it consolidates them and is done.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from teachmesh_lab.evaluation.cost_ledger import ALPHA, Assignment, TaskCost


@dataclass(frozen=True)
class Network:
    """Network that connects the agents.

    Attributes:
        bandwidth_bytes_per_s: bandwidth of each agent's interface, per direction.
        latency_s: time from the end of learning to the first byte of a transfer, spent on the
            announcement, the request and the response.
    """

    bandwidth_bytes_per_s: float
    latency_s: float = 0.0

    def seconds(self, size_bytes: int) -> float:
        """Return the seconds for which sending a skill keeps both agents' interfaces busy."""
        return size_bytes / self.bandwidth_bytes_per_s

    @classmethod
    def of_alpha(cls, speed: float, alpha: float = ALPHA, latency_s: float = 0.0) -> Network:
        """Make a network that sends a byte in the time of `alpha` multiply-accumulates.

        Args:
            speed: multiply-accumulates per second.
            alpha: multiply-accumulates per byte.
            latency_s: time from the end of learning to the first byte of a transfer.
        """
        return cls(speed / alpha if alpha else math.inf, latency_s)


@dataclass(frozen=True)
class Simulated:
    """Result of a simulation.

    Attributes:
        agents: number of agents, N.
        makespan_s: seconds until the last agent was done.
        alone_s: seconds that the first agent would need to learn all tasks alone.
        learning_s: longest learning time of any agent, in seconds.
        bytes_received: largest number of bytes that any agent received.
        done_s: time at which each agent was done, in seconds.
    """

    agents: int
    makespan_s: float
    alone_s: float
    learning_s: float
    bytes_received: int
    done_s: tuple[float, ...]

    @property
    def speedup(self) -> float:
        """Speed-up over a single agent; 1 if there are no tasks."""
        return self.alone_s / self.makespan_s if self.makespan_s else 1.0

    @property
    def efficiency(self) -> float:
        """Speed-up divided by the number of agents."""
        return self.speedup / self.agents


def simulate(
    costs: Sequence[TaskCost],
    assignment: Assignment,
    network: Network,
    speeds: Sequence[float],
    *,
    consolidation_macs: int = 0,
    starts_s: Sequence[float] = (),
) -> Simulated:
    """Simulate agents until all are done.

    Args:
        costs: costs of the tasks (or parts of tasks).
        assignment: tasks of each agent, in the order of learning.
        network: network between the agents.
        speeds: multiply-accumulates per second of each agent.
        consolidation_macs: multiply-accumulates that every agent pays once it has all skills.
        starts_s: start time of each agent; 0 by default.

    Raises:
        ValueError: a task is not learned by exactly one agent, or the number of speeds is wrong.

    Examples:
        >>> costs = [TaskCost("a", 100, 10), TaskCost("b", 60, 10)]
        >>> simulate(costs, ((0,), (1,)), Network(10.0), [10.0, 10.0]).makespan_s
        11.0
    """
    if sorted(task for mine in assignment for task in mine) != list(range(len(costs))):
        raise ValueError("expected every task to be learned by exactly one agent")
    if len(speeds) != len(assignment):
        raise ValueError(f"expected {len(assignment)} speeds, got {len(speeds)}")
    world = _World(costs, assignment, network, speeds, consolidation_macs)
    world.run(starts_s or [0.0] * len(assignment))
    everything = sum(c.teacher_macs + c.register_macs for c in costs) + consolidation_macs
    received = [sum(costs[t].skill_bytes for t in a.known if t not in a.mine) for a in world.agents]
    done_s = tuple(agent.done_s for agent in world.agents)
    return Simulated(
        len(assignment),
        max(done_s),
        everything / speeds[0],
        max(sum(costs[t].teacher_macs for t in a.mine) / a.speed for a in world.agents),
        max(received),
        done_s,
    )


@dataclass
class _Agent:
    """State of one agent."""

    number: int
    mine: tuple[int, ...]
    speed: float
    waiting: deque[int] = field(default_factory=deque)  # tasks to learn
    arrived: deque[int] = field(default_factory=deque)  # skills to decode and register
    held: set[int] = field(default_factory=set)  # skills that this agent can send
    known: set[int] = field(default_factory=set)
    wanted: deque[int] = field(default_factory=deque)  # skills announced but not fetched
    sending: bool = False
    receiving: bool = False
    busy: bool = False
    consolidated: bool = False
    done_s: float = 0.0


class _World:
    """All agents and the heap of future events."""

    def __init__(
        self,
        costs: Sequence[TaskCost],
        assignment: Assignment,
        network: Network,
        speeds: Sequence[float],
        consolidation_macs: int,
    ) -> None:
        self.costs, self.network, self.consolidation = costs, network, consolidation_macs
        self.agents = [
            _Agent(number, tuple(mine), speed, deque(mine))
            for number, (mine, speed) in enumerate(zip(assignment, speeds, strict=True))
        ]
        self.sources: list[list[_Agent]] = [[] for _ in costs]  # agents that can send each skill
        self.now_s = 0.0
        # Agents that wait for a skill; the one that has waited longest comes first.
        self._hungry: dict[int, _Agent] = {}
        self._events: list[tuple[float, int, str, int, int, int]] = []
        self._count = 0

    def run(self, starts_s: Sequence[float]) -> None:
        """Process events until no event is left."""
        for agent, start_s in zip(self.agents, starts_s, strict=True):
            agent.busy = True
            self._at(start_s, "ready", agent, -1)
        while self._events:
            self.now_s, _, kind, number, task, other = heapq.heappop(self._events)
            getattr(self, f"_{kind}")(self.agents[number], task, other)

    def _at(self, delay_s: float, kind: str, agent: _Agent, task: int, other: int = -1) -> None:
        # The counter keeps simultaneous events in the order of their creation.
        self._count += 1
        event = (self.now_s + delay_s, self._count, kind, agent.number, task, other)
        heapq.heappush(self._events, event)

    def _work(self, agent: _Agent) -> None:
        """Start the next piece of work if the processor is free."""
        if agent.busy:
            return
        if agent.arrived:
            task = agent.arrived.popleft()
            cost = self.costs[task]
            self._spend(agent, cost.receive_macs + cost.register_macs, "registered", task)
        elif agent.waiting:
            task = agent.waiting.popleft()
            cost = self.costs[task]
            self._spend(agent, cost.teacher_macs + cost.register_macs, "learned", task)
        elif len(agent.known) == len(self.costs) and not agent.consolidated:
            agent.consolidated = True
            self._spend(agent, self.consolidation, "ready", -1)
            agent.done_s = self.now_s + self.consolidation / agent.speed

    def _spend(self, agent: _Agent, macs: int, kind: str, task: int) -> None:
        agent.busy = True
        self._at(macs / agent.speed, kind, agent, task)

    def _learned(self, agent: _Agent, task: int, _: int) -> None:
        agent.busy = False
        agent.known.add(task)
        self._hold(agent, task)
        for other in self.agents:
            if other is not agent:
                self._at(self.network.latency_s, "announced", other, task)
        self._work(agent)

    def _announced(self, agent: _Agent, task: int, _: int) -> None:
        agent.wanted.append(task)
        self._fetch(agent)

    def _fetch(self, agent: _Agent) -> None:
        """Receive the first missing skill that another agent is free to send, or wait."""
        if agent.receiving:
            return
        for task in agent.wanted:
            for source in self.sources[task]:
                if not source.sending:
                    self._send(source, agent, task)
                    return
        if agent.wanted:
            self._hungry[agent.number] = agent

    def _serve(self, source: _Agent) -> None:
        """Send a skill to the agent that has waited longest for one of this agent's skills."""
        if source.sending:
            return
        for agent in self._hungry.values():
            task = next((t for t in agent.wanted if t in source.held), None)
            if task is not None:
                self._send(source, agent, task)
                return

    def _send(self, source: _Agent, agent: _Agent, task: int) -> None:
        agent.wanted.remove(task)
        self._hungry.pop(agent.number, None)
        agent.receiving = source.sending = True
        seconds = self.network.seconds(self.costs[task].skill_bytes)
        self._at(seconds, "received", agent, task, source.number)

    def _received(self, agent: _Agent, task: int, sender: int) -> None:
        agent.receiving = self.agents[sender].sending = False
        # From now on this agent can send the skill too, even before registering it.
        self._hold(agent, task)
        agent.arrived.append(task)
        self._work(agent)
        self._serve(self.agents[sender])
        self._serve(agent)
        self._fetch(agent)

    def _hold(self, agent: _Agent, task: int) -> None:
        agent.held.add(task)
        self.sources[task].append(agent)

    def _registered(self, agent: _Agent, task: int, _: int) -> None:
        agent.busy = False
        agent.known.add(task)
        self._work(agent)

    def _ready(self, agent: _Agent, _: int, __: int) -> None:
        """Start working, or finish after consolidation."""
        agent.busy = False
        self._work(agent)
