"""Learning and sharing of N agents, event by event: what the ledger adds up overlaps here.

Every agent learns its tasks one after another. A skill that is ready is announced; every other
agent fetches it from whoever has it and is free to send. An agent sends one skill at a time and
receives one at a time. What arrives is decoded and registered when the processor is free, between
two tasks; when everything is there, it is consolidated. An agent is done when it knows every task.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from teachmesh_lab.evaluation.cost_ledger import ALPHA, TaskCost
from teachmesh_lab.simulation.task_packing import Assignment


@dataclass(frozen=True)
class Network:
    """What connects agents.

    Attributes:
        bandwidth_bytes_per_s: of each agent's interface, in either direction.
        latency_s: from "ready" to the first byte: announcement, question, answer.
    """

    bandwidth_bytes_per_s: float
    latency_s: float = 0.0

    def seconds(self, size_bytes: int) -> float:
        """Seconds that a skill keeps both interfaces busy."""
        return size_bytes / self.bandwidth_bytes_per_s

    @classmethod
    def of_alpha(cls, speed: float, alpha: float = ALPHA, latency_s: float = 0.0) -> Network:
        """A network on which a byte takes as long as `alpha` multiply-accumulates.

        Args:
            speed: multiply-accumulates per second.
            alpha: multiply-accumulates per byte.
            latency_s: as above.
        """
        return cls(speed / alpha if alpha else math.inf, latency_s)


@dataclass(frozen=True)
class Simulated:
    """How it went.

    Attributes:
        agents: N.
        makespan_s: until every agent knew every task.
        alone_s: one agent of speed 1 with everything.
        learning_s: of the agent that learns longest.
        bytes_received: by the agent that receives most.
        done_s: per agent, when it knew every task.
    """

    agents: int
    makespan_s: float
    alone_s: float
    learning_s: float
    bytes_received: int
    done_s: tuple[float, ...]

    @property
    def speedup(self) -> float:
        """Over one agent; 1 where there is nothing to do."""
        return self.alone_s / self.makespan_s if self.makespan_s else 1.0

    @property
    def efficiency(self) -> float:
        """Speed-up per agent."""
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
    """Run the agents.

    Args:
        costs: of the tasks (or parts of tasks).
        assignment: tasks of each agent, in the order of learning.
        network: what connects them.
        speeds: multiply-accumulates per second of each agent.
        consolidation_macs: paid by every agent when all skills are there.
        starts_s: when each agent begins; all at 0 by default.

    Raises:
        ValueError: a task that nobody or more than one agent learns, or other numbers of speeds.

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
    """One agent's state."""

    number: int
    mine: tuple[int, ...]
    speed: float
    waiting: deque[int] = field(default_factory=deque)  # tasks to learn
    arrived: deque[int] = field(default_factory=deque)  # skills to decode and register
    held: set[int] = field(default_factory=set)  # skills that it can send
    known: set[int] = field(default_factory=set)
    wanted: deque[int] = field(default_factory=deque)  # announced, not fetched
    sending: bool = False
    receiving: bool = False
    busy: bool = False
    consolidated: bool = False
    done_s: float = 0.0


class _World:
    """All agents and the heap of what happens next."""

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
        self.holders: list[list[_Agent]] = [[] for _ in costs]
        self.now_s = 0.0
        # Agents that want something and receive nothing, the one that waits longest first.
        self._hungry: dict[int, _Agent] = {}
        self._events: list[tuple[float, int, str, int, int, int]] = []
        self._count = 0

    def run(self, starts_s: Sequence[float]) -> None:
        """Until nothing happens any more."""
        for agent, start_s in zip(self.agents, starts_s, strict=True):
            agent.busy = True
            self._at(start_s, "ready", agent, -1)
        while self._events:
            self.now_s, _, kind, number, task, other = heapq.heappop(self._events)
            getattr(self, f"_{kind}")(self.agents[number], task, other)

    def _at(self, delay_s: float, kind: str, agent: _Agent, task: int, other: int = -1) -> None:
        # The counter keeps events of one moment in the order in which they were made.
        self._count += 1
        event = (self.now_s + delay_s, self._count, kind, agent.number, task, other)
        heapq.heappush(self._events, event)

    def _work(self, agent: _Agent) -> None:
        """Use the processor, if it is free, for what is next."""
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
        """Receive the first wanted skill that somebody is free to send, or wait."""
        if agent.receiving:
            return
        for task in agent.wanted:
            for holder in self.holders[task]:
                if not holder.sending:
                    self._send(holder, agent, task)
                    return
        if agent.wanted:
            self._hungry[agent.number] = agent

    def _offer(self, holder: _Agent) -> None:
        """Send to whoever waits longest for something that this agent has."""
        if holder.sending:
            return
        for agent in self._hungry.values():
            task = next((t for t in agent.wanted if t in holder.held), None)
            if task is not None:
                self._send(holder, agent, task)
                return

    def _send(self, holder: _Agent, agent: _Agent, task: int) -> None:
        agent.wanted.remove(task)
        self._hungry.pop(agent.number, None)
        agent.receiving = holder.sending = True
        seconds = self.network.seconds(self.costs[task].skill_bytes)
        self._at(seconds, "received", agent, task, holder.number)

    def _received(self, agent: _Agent, task: int, sender: int) -> None:
        agent.receiving = self.agents[sender].sending = False
        # From now on it can be had from here too, before this agent has looked at it.
        self._hold(agent, task)
        agent.arrived.append(task)
        self._work(agent)
        self._offer(self.agents[sender])
        self._offer(agent)
        self._fetch(agent)

    def _hold(self, agent: _Agent, task: int) -> None:
        agent.held.add(task)
        self.holders[task].append(agent)

    def _registered(self, agent: _Agent, task: int, _: int) -> None:
        agent.busy = False
        agent.known.add(task)
        self._work(agent)

    def _ready(self, agent: _Agent, _: int, __: int) -> None:
        """Begin, or end: nothing is left to do then."""
        agent.busy = False
        self._work(agent)
