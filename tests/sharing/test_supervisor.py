"""Background work goes on after errors that nobody expected, and they are reported."""

from __future__ import annotations

from contextlib import suppress

import pytest

from teachmesh.sharing import gossip as gossip_module
from teachmesh.sharing.gossip import Gossip
from teachmesh.sharing.runtime import ThreadRuntime
from teachmesh.sharing.supervisor import LONGEST_PAUSE_S, Fault, Supervisor
from tests.sharing.inventories import BytesInventory
from tests.sharing.memory_transport import Hub, InMemoryTransport
from tests.sharing.meshes import Mesh, id_of_agent, key_of, wait_until


class FaultyInventory(BytesInventory):
    """Has a defect that raises an error of any kind, some times."""

    def __init__(self, *items: bytes, errors: int) -> None:
        super().__init__(*items)
        self.errors = [ZeroDivisionError("a defect") for _ in range(errors)]

    def ids(self) -> frozenset[str]:
        """Fail, or return the ids."""
        with suppress(IndexError):  # several threads ask
            raise self.errors.pop()
        return super().ids()

    def admit(self, skill_id: str, data: bytes) -> None:
        """Fail once."""
        if data == b"odd":
            self.refuse.add(skill_id)
            raise KeyError("odd")
        super().admit(skill_id, data)


def test_no_defect_ends_sharing(mesh: Mesh) -> None:
    """Announcing, planning, serving and admitting fail, and the banks end equal."""
    alice, bob = FaultyInventory(b"one", errors=4), FaultyInventory(errors=4)
    mesh.agent("alice", alice)
    second = mesh.agent("bob", bob)
    wait_until(lambda: not (alice.errors or bob.errors), "the defects are over")
    wait_until(lambda: alice.ids() == bob.ids(), "the banks are equal")
    assert {fault.name for fault in second.stats().faults} <= {"announce", "plan", "serve", "pull"}
    assert sum(fault.count for fault in second.stats().faults) >= 1


def test_a_skill_whose_admission_has_a_defect_does_not_stop_the_others(mesh: Mesh) -> None:
    """The error is counted, and the skill is not pulled in an endless loop."""
    alice, bob = BytesInventory(b"odd", b"good"), FaultyInventory(errors=0)
    mesh.agent("alice", alice)
    second = mesh.agent("bob", bob)
    wait_until(lambda: len(bob.ids()) == 1, "the good one is here")
    wait_until(lambda: bool(second.stats().faults), "the defect is counted")
    (fault,) = second.stats().faults
    assert str(fault).startswith("pull failed once and was restarted (KeyError")


def test_pauses_double_and_reports_become_rarer() -> None:
    """Every error is counted; the 1st, 2nd, 4th and 8th are reported."""
    reports: list[Fault] = []
    supervisor = Supervisor(reports.append)
    results = iter([*[SystemExit("end")] * 9, 5.0, ValueError("again")])

    def step() -> float:
        result = next(results)
        if isinstance(result, BaseException):
            raise result
        return result

    safe = supervisor.supervised("work", step)
    pauses = [safe() for _ in range(9)]
    assert pauses == [min(0.1 * 2**n, LONGEST_PAUSE_S) for n in range(9)]
    assert [fault.count for fault in reports] == [1, 2, 4, 8]
    assert safe() == 5.0
    assert safe() == 0.1
    assert [str(fault) for fault in supervisor.faults()] == [
        "work failed 10 times and was restarted (ValueError: again)"
    ]


def test_a_request_without_a_thread_is_started_again_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A machine without free threads neither ends the planner nor blames the peer."""
    hub, refused = Hub(), iter(range(3))
    start = ThreadRuntime.request

    def request(self: ThreadRuntime, *arguments: object) -> None:
        if next(refused, None) is not None:
            raise RuntimeError("can't start new thread")
        start(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(ThreadRuntime, "request", request)
    alice, bob = BytesInventory(b"one"), BytesInventory()
    agents = [
        Gossip(
            bank,
            InMemoryTransport(hub, id_of_agent(name)),
            key_of(name),
            alias=name,
            interval_s=0.1,
        )
        for name, bank in (("alice", alice), ("bob", bob))
    ]
    try:
        for agent in agents:
            agent.start()
        wait_until(lambda: alice.ids() == bob.ids(), "the banks are equal")
        faults = [fault for agent in agents for fault in agent.stats().faults]
        assert {fault.name for fault in faults} == {"plan"}
        assert sum(fault.count for fault in faults) == 3
    finally:
        for agent in agents:
            agent.close()


class FaultyTransport(InMemoryTransport):
    """Has a defect that raises an error in a request, some times."""

    errors = 3

    def request(self, agent_id: str, kind: str, key: str, timeout_s: float) -> bytes | None:
        """Fail, or request."""
        if self.errors:
            self.errors -= 1
            raise ZeroDivisionError("a defect")
        return super().request(agent_id, kind, key, timeout_s)


def test_no_defect_of_a_request_or_an_announcement_ends_a_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A failed request gives its place back; a broadcast that fails does not end the reader."""
    hub, decode, broken = Hub(), gossip_module.decode_announcement, iter(range(3))

    def decoded(*arguments: object) -> object:
        if next(broken, None) is not None:
            raise ZeroDivisionError("a defect")
        return decode(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(gossip_module, "decode_announcement", decoded)
    alice, bob = BytesInventory(b"one", b"two"), BytesInventory()
    transports = [FaultyTransport(hub, id_of_agent(name)) for name in ("alice", "bob")]
    transports[0].errors = 0
    agents = [
        Gossip(bank, transport, key_of(name), alias=name, interval_s=0.1)
        for name, bank, transport in zip(("alice", "bob"), (alice, bob), transports, strict=True)
    ]
    try:
        for agent in agents:
            agent.start()
        wait_until(lambda: alice.ids() == bob.ids(), "the banks are equal")
        counts = {fault.name: fault.count for fault in agents[1].stats().faults}
        heard = [f.count for a in agents for f in a.stats().faults if f.name == "receive"]
        assert (counts["request"], sum(heard)) == (3, 3)
    finally:
        for agent in agents:
            agent.close()
