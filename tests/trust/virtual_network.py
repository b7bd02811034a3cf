"""Agents in virtual time: one thread, one seed, and a network that loses, repeats and delays."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from teachmesh.sharing.runtime import Done, Job, Runtime
from teachmesh.sharing.transport import MAX_ANNOUNCEMENT_BYTES, Handler, Transport, is_address


@dataclass
class Faults:
    """Faults of the network.

    Attributes:
        loss: part of all messages that are lost.
        repeats: part of all broadcasts that arrive twice.
        delay_s: longest delay; each message has its own, so messages overtake each other.
        groups: agents of each side of a partition; agents of different sides hear nothing.
    """

    loss: float = 0.0
    repeats: float = 0.0
    delay_s: float = 0.02
    groups: dict[str, int] = field(default_factory=dict)


class World:
    """Virtual time and the network between all agents.

    Args:
        seed: seed of everything that is random.
    """

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.now_s = 0.0
        self.faults = Faults()
        self.handlers: dict[str, Handler] = {}
        self.answers: dict[str, Callable[[str, str], bytes | None]] = {}
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()

    def after(self, delay_s: float, call: Callable[[], None]) -> None:
        """Run a call later; calls at one time run in the order of this method's calls."""
        heapq.heappush(self._events, (self.now_s + delay_s, next(self._numbers), call))

    def run(self, until_s: float, is_done: Callable[[], bool] = lambda: False) -> bool:
        """Run all calls up to a time, or until something holds; return whether it holds."""
        while self._events and self._events[0][0] <= until_s:
            if is_done():
                return True
            self.now_s, _, call = heapq.heappop(self._events)
            call()
        self.now_s = max(self.now_s, until_s)
        return is_done()

    def broadcast(self, sender: str, data: bytes) -> None:
        """Deliver a broadcast to everybody that the network lets it reach."""
        for agent_id in list(self.handlers):
            if agent_id != sender:
                for _ in range(1 + (self.rng.random() < self.faults.repeats)):
                    self._send(sender, agent_id, lambda a=agent_id: self._hear(a, data))

    def request(
        self, asker: str, agent_id: str, kind: str, key: str, timeout_s: float, done: Done
    ) -> None:
        """Carry a request to a peer and the answer back; `done` is called once in any case."""
        open_ = [True]

        def end(data: bytes | None) -> None:
            if open_.pop() if open_ else False:
                done(data)

        def serve() -> None:
            handler = self.handlers.get(agent_id)
            answer = self.answers.get(agent_id, handler.on_request if handler else None)
            data = answer(kind, key) if answer else None
            if data is not None or handler is not None:
                self._send(agent_id, asker, lambda: end(data))

        self._send(asker, agent_id, serve)
        self.after(timeout_s, lambda: end(None))

    def _hear(self, agent_id: str, data: bytes) -> None:
        if agent_id in self.handlers:
            self.handlers[agent_id].on_announcement(data)

    def _send(self, sender: str, receiver: str, arrive: Callable[[], None]) -> None:
        groups = self.faults.groups
        is_cut = groups.get(sender, 0) != groups.get(receiver, 0)
        if not is_cut and self.rng.random() >= self.faults.loss:
            self.after(self.rng.uniform(0.001, self.faults.delay_s), arrive)


class VirtualTransport(Transport):
    """Broadcasts of one agent; its requests go through `VirtualRuntime`."""

    def __init__(self, world: World, agent_id: str) -> None:
        self._world = world
        self._agent_id = agent_id

    def start(self, handler: Handler) -> None:
        """Join the network."""
        self._world.handlers[self._agent_id] = handler

    def announce(self, data: bytes) -> None:
        """Broadcast in virtual time."""
        assert len(data) <= MAX_ANNOUNCEMENT_BYTES
        if self._agent_id in self._world.handlers:
            self._world.broadcast(self._agent_id, data)

    def request(self, agent_id: str, kind: str, key: str, timeout_s: float) -> bytes | None:
        """Requests of a simulation do not block."""
        raise NotImplementedError

    def endpoints(self) -> tuple[str, ...]:
        """A name for people."""
        return (f"virtual/{self._agent_id}",)

    def close(self) -> None:
        """Leave the network."""
        self._world.handlers.pop(self._agent_id, None)


class VirtualJob(Job):
    def __init__(
        self, world: World, step: Callable[[], float], is_open: Callable[[], bool]
    ) -> None:
        self._world = world
        self._step = step
        self._is_open = is_open
        self._turn = 0

    def wake(self) -> None:
        """Run soon, instead of at the time that was planned."""
        self.schedule(0.0)

    def schedule(self, delay_s: float) -> None:
        """Run after a delay, and only then."""
        self._turn += 1
        self._world.after(delay_s, lambda turn=self._turn: self._run(turn))

    def _run(self, turn: int) -> None:
        if turn != self._turn or not self._is_open():
            return
        delay_s = self._step()
        if turn == self._turn:  # nobody woke the job in the meantime
            self.schedule(delay_s)


class VirtualRuntime(Runtime):
    """Runtime of one agent from its start to its crash."""

    def __init__(self, world: World, agent_id: str) -> None:
        self.random = random.Random(world.rng.random())
        self._world = world
        self._agent_id = agent_id
        self._jobs: list[VirtualJob] = []
        self._is_open = True

    def now_s(self) -> float:
        """Return the virtual time."""
        return self._world.now_s

    def job(self, name: str, step: Callable[[], float]) -> Job:
        """Add a job."""
        made = VirtualJob(self._world, step, lambda: self._is_open)
        self._jobs.append(made)
        return made

    def start(self) -> None:
        """Run all jobs as soon as possible."""
        for job in self._jobs:
            job.wake()

    def request(self, agent_id: str, kind: str, key: str, timeout_s: float, done: Done) -> None:
        """Send a request into the network; a crashed agent gets no answer."""
        assert is_address(agent_id, kind, key)

        def receive(data: bytes | None) -> None:
            if self._is_open:
                done(data)

        self._world.request(self._agent_id, agent_id, kind, key, timeout_s, receive)

    def close(self, deadline_s: float) -> None:
        """Crash: nothing of this agent runs any more."""
        self._is_open = False
