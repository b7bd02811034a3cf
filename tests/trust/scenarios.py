"""Random histories of a mesh, each from one seed, with their outcome."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from teachmesh.sharing.gossip import Gossip
from teachmesh.sharing.supervisor import Supervisor
from tests.sharing.inventories import BytesInventory, id_of
from tests.sharing.meshes import id_of_agent, key_of
from tests.trust.virtual_network import Faults, VirtualRuntime, VirtualTransport, World

FAULTY_S = 20.0
SIZES = (2, 3, 5, 8, 12, 30)
MOSTLY_SMALL = (2, 2, 3, 3, 4, 5)
"""Numbers of agents; 30 of them take half a minute on a slow machine."""
DAY_MS = 86_400_000


@dataclass(frozen=True)
class Outcome:
    """End of a history.

    Attributes:
        equal_s: time from the last fault until all banks were equal; None if they never were.
        lost: ids of learned skills that an agent lacks in the end.
        faults: unexpected errors of all agents.
    """

    equal_s: float | None
    lost: frozenset[str]
    faults: tuple[str, ...]


class History:
    """One history: faults at random times for 20 s, then a healthy network.

    Args:
        seed: seed of the history.
        sizes: numbers of agents, one of which is drawn.
    """

    def __init__(self, seed: int, sizes: tuple[int, ...] = SIZES) -> None:
        self.world = World(seed)
        rng = self.world.rng
        self.names = [f"agent-{number}" for number in range(rng.choice(sizes))]
        self.banks = {name: BytesInventory() for name in self.names}
        self.learned: set[str] = set()
        self._agents: dict[str, Gossip] = {}
        self._supervisors: list[Supervisor] = []
        self._starts = 0
        self._late = set(rng.sample(self.names, len(self.names) // 4))
        self._events: tuple[Callable[[], None], ...] = (
            *(self._learn,) * 4,
            self._crash,
            self._restart,
            self._partition,
            self._change_network,
            self._lie,
        )

    def run(self, limit_s: float) -> Outcome:
        """Run the history, and wait for equal banks for at most `limit_s` after the last fault."""
        for name in self.names:
            if name not in self._late:
                self._start(name)
        for _ in range(8 + 2 * len(self.names)):
            self.world.after(self.world.rng.uniform(0, FAULTY_S), self._event)
        self.world.run(FAULTY_S)
        self._heal()
        is_equal = self.world.run(FAULTY_S + limit_s, self._is_equal)
        equal_s = self.world.now_s - FAULTY_S if is_equal else None
        have = frozenset.intersection(*(bank.ids() for bank in self.banks.values()))
        faults = tuple(str(f) for s in self._supervisors for f in s.faults())
        return Outcome(equal_s, frozenset(self.learned) - have, faults)

    def _is_equal(self) -> bool:
        return all(self.learned <= bank.ids() for bank in self.banks.values())

    def _event(self) -> None:
        self.world.rng.choice(self._events)()

    def _start(self, name: str) -> None:
        agent_id = id_of_agent(name)
        # The wall clock of an agent may be wrong by years; its numbers grow from run to run.
        self._starts += 1
        supervisor = Supervisor()
        self._supervisors.append(supervisor)
        self._agents[name] = Gossip(
            self.banks[name],
            VirtualTransport(self.world, agent_id),
            key_of(name),
            alias=name,
            supervisor=supervisor,
            runtime=VirtualRuntime(self.world, agent_id),
        )
        self._agents[name].number_from(self._starts * DAY_MS)
        self._agents[name].start()

    def _learn(self) -> None:
        name = self.world.rng.choice(self.names)
        data = self.world.rng.randbytes(16)
        self.banks[name].add(data)
        self.learned.add(id_of(data))
        if name in self._agents:
            self._agents[name].notify()

    def _crash(self) -> None:
        if self._agents:
            name = self.world.rng.choice(sorted(self._agents))
            self._agents.pop(name).close()

    def _restart(self) -> None:
        stopped = [name for name in self.names if name not in self._agents]
        if stopped:
            self._start(self.world.rng.choice(stopped))

    def _partition(self) -> None:
        rng = self.world.rng
        self.world.faults.groups = {id_of_agent(name): rng.randrange(2) for name in self.names}

    def _change_network(self) -> None:
        rng = self.world.rng
        self.world.faults = Faults(
            loss=rng.uniform(0, 0.5),
            repeats=rng.uniform(0, 0.3),
            delay_s=rng.choice((0.02, 0.2, 2.0, 10.0)),
            groups=self.world.faults.groups,
        )

    def _lie(self) -> None:
        """Let answers in the name of an agent be wrong or missing from now on."""
        rng = self.world.rng
        lie = rng.choice((None, b"a lie", f"{'ab' * 32}\n".encode()))
        self.world.answers[id_of_agent(rng.choice(self.names))] = lambda kind, key: lie

    def _heal(self) -> None:
        self.world.faults = Faults()
        self.world.answers.clear()
        for name in self.names:
            if name not in self._agents:
                self._start(name)
