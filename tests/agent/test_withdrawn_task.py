"""Withdraw a task: everywhere, for good, and as if it had never been learned."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import copytree
from typing import Any, NamedTuple

import pytest

from teachmesh.agent import Agent
from teachmesh.agent.known_skills import withdraw_skills as module
from teachmesh.agent.known_skills.withdraw_skills import receive_tombstone, retire_replaced
from teachmesh.agent.on_mesh.node import BankInventory, Node
from teachmesh.bank.store import digest_of
from teachmesh.errors import DataError, SkillRefused, StorageError, UsageError
from teachmesh.mapping.anchor_kinds import METHODS
from teachmesh.packet.tombstone import sign_tombstone
from teachmesh.sharing.zenoh_transport import ZenohTransport
from tests.agent.test_agent import _some_latents
from tests.conftest import write_task
from tests.packet.sample_skills import MALLORY
from tests.sharing.meshes import wait_until


class Homes(NamedTuple):
    """Homes that tests copy.

    Attributes:
        folder: has the homes `alice` (task warm), `replaced` (warm in two versions, same agent),
            and `bob` (task cold).
        tasks: folder of the two tasks.
        old: id of the first version of warm.
        new: id of the second version of warm.
        cold: id of bob's skill.
    """

    folder: Path
    tasks: Path
    old: str
    new: str
    cold: str

    def copy(self, name: str, target: Path) -> Path:
        """Return a copy of a home."""
        return copytree(self.folder / name, target)


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Homes:
    """Agents that learned their tasks with all mappers."""
    folder = tmp_path_factory.mktemp("homes")
    warm, cold = write_task(folder / "tasks", "warm"), write_task(folder / "tasks", "cold")
    alice, bob = Agent(folder / "alice"), Agent(folder / "bob")
    old, good = (
        agent.learn(task, also=("gmmc", "maha"), allow_few=True).skill_id
        for agent, task in ((alice, warm), (bob, cold))
    )
    for agent in (alice, bob):
        agent.bank.close()
    replaced = Agent(copytree(folder / "alice", folder / "replaced"))
    new = replaced.learn(warm, replace=True, seed=1, allow_few=True).skill_id
    replaced.bank.close()
    return Homes(folder, folder / "tasks", old, new, good)


class Box:
    """An agent that can be switched on and off; its events are collected."""

    def __init__(self, home: Path) -> None:
        self.agent = Agent(home)
        self.events: list[dict[str, Any]] = []

    @contextmanager
    def on(self, *join: str) -> Iterator[Node]:
        """Run the agent on loopback."""
        transport = ZenohTransport(self.agent.id, listen=("tcp/127.0.0.1:0",), join=join)
        with Node(self.agent, transport, on_event=self.events.append) as node:
            yield node

    def tasks(self) -> list[str]:
        """Names of the tasks that this agent can answer."""
        return sorted(entry.task for entry in self.agent.bank.active())

    def said(self, event: str) -> list[str]:
        """Tasks of all events of a kind."""
        return [item.get("task", "") for item in self.events if item["event"] == event]


def wait_tasks(box: Box, *tasks: str) -> None:
    """Wait until an agent knows exactly these tasks."""
    wait_until(lambda: box.tasks() == list(tasks), f"the tasks are {tasks}")


def wait_synced(*nodes: Node) -> None:
    """Wait until every node is in sync with every other one; others may just have left."""
    ids = {node.agent.id for node in nodes}

    def synced() -> bool:
        return all(
            {peer.agent_id for peer in node.gossip.stats().peers if peer.in_sync}
            >= ids - {node.agent.id}
            for node in nodes
        )

    wait_until(synced, "all are in sync")


def test_a_withdrawal_reaches_a_box_that_was_off(homes: Homes, tmp_path: Path) -> None:
    """Over Zenoh; the author is off when the box comes back, which still has the skill."""
    alice = Box(homes.copy("alice", tmp_path / "alice"))
    bob = Box(homes.copy("bob", tmp_path / "bob"))
    carol, dora = Box(tmp_path / "carol"), Box(tmp_path / "dora")
    with carol.on() as third:
        (endpoint,) = third.transport.endpoints()
        with alice.on(endpoint) as first, bob.on(endpoint) as second:
            wait_synced(first, second, third)
            assert alice.tasks() == bob.tasks() == carol.tasks() == ["cold", "warm"]
        with alice.on(endpoint) as first:
            Agent(tmp_path / "alice").withdraw("warm")  # as another process does
            wait_synced(first, third)
            wait_tasks(carol, "cold")
        assert bob.tasks() == ["cold", "warm"]
        with bob.on(endpoint) as second:
            wait_tasks(bob, "cold")
            with dora.on(endpoint) as fourth:
                wait_tasks(dora, "cold")
                wait_synced(second, third, fourth)
            wait_until(lambda: bob.said("withdrawn") == ["warm"], "bob says it")
            wait_until(lambda: carol.said("withdrawn") == ["warm"], "carol says it")
        for box in (bob, carol, dora):
            assert homes.old not in {entry.id for entry in box.agent.bank.entries()}
            assert box.agent.digest() == alice.agent.digest()
        assert set(dora.said("received")) <= {"cold"}

        again = alice.agent.learn(homes.tasks / "warm", allow_few=True).skill_id
        with alice.on(endpoint) as first:
            wait_synced(first, third)
            wait_tasks(carol, "cold", "warm")
        assert again in carol.agent.bank.ids()
        assert carol.agent.status()["withdrawn"] == 1


@pytest.mark.parametrize("method", METHODS)
def test_answers_are_those_of_an_agent_that_never_had_the_task(
    homes: Homes, tmp_path: Path, method: str
) -> None:
    """Bit for bit, in every order of two skills and a tombstone; forged ones change nothing."""
    alice = Agent(homes.copy("alice", tmp_path / "alice"))
    bob = Agent(homes.copy("bob", tmp_path / "bob"), mapper=method)
    bad, good = homes.old, homes.cold
    latents = _some_latents(bob, homes.tasks)
    expected = bob.sync().decide(latents)
    grave, forged = sign_tombstone(bad, alice.key), sign_tombstone(good, MALLORY)
    arrivals: dict[str, Callable[[Agent], object]] = {
        "bad": lambda agent: agent.receive(alice.read(bad), bad),
        "good": lambda agent: agent.receive(bob.read(good), good),
        "grave": lambda agent: receive_tombstone(agent.bank, agent.key, grave.data, grave.id),
        "forged": lambda agent: receive_tombstone(agent.bank, agent.key, forged.data, forged.id),
    }
    for number, order in enumerate(itertools.permutations(("bad", "good", "grave"))):
        agent = Agent(tmp_path / f"student{number}", mapper=method)
        for name in (*order[: number % 4], "forged", *order[number % 4 :], "good", "grave"):
            if name == "bad" and order.index("grave") < order.index("bad"):
                with pytest.raises(SkillRefused, match="withdrawn"):
                    arrivals[name](agent)
            else:
                arrivals[name](agent)
            if name != "forged":
                agent.sync()  # answers are derived, and then changed
        found = agent.sync().decide(latents)
        assert agent.digest() == bob.digest()
        assert found.skill_ids == expected.skill_ids == (good,)
        assert found.joint().tobytes() == expected.joint().tobytes()
        for one, other in zip(found.familiarity, expected.familiarity, strict=True):
            assert one.tobytes() == other.tobytes()


def test_withdrawing_takes_all_versions_and_the_task_can_be_learned_again(
    homes: Homes, tmp_path: Path
) -> None:
    """The author keeps the files until they are pruned; nothing of another task changes."""
    agent = Agent(homes.copy("replaced", tmp_path / "home"))
    old, new = homes.old, homes.new
    result = agent.withdraw("warm")
    assert (result.task, result.skills) == ("warm", (old, new))
    assert agent.digest() == digest_of([])
    assert agent.sync().skill_ids == ()
    assert {info.id: info.reason for info in agent.infos() if not info.usable} == {
        old: "withdrawn by its author",
        new: "withdrawn by its author",
    }
    with pytest.raises(DataError, match="not withdrawn, 'warm' was before"):
        agent.withdraw("warm")
    with pytest.raises(DataError, match="expected a known task"):
        agent.withdraw("nothing")
    for data in (agent.read(old), agent.read(new)):
        with pytest.raises(SkillRefused, match="withdrawn by its author"):
            agent.receive(data)
    learned = agent.learn(homes.tasks / "warm", allow_few=True)  # no --replace is needed
    assert learned.skill_id not in (old, new)
    assert agent.card(learned.skill_id)["replaces"] is None
    pruned = agent.prune()
    assert {entry.id for entry in pruned.deleted} == {old, new}
    assert pruned.size_bytes == sum(entry.size_bytes for entry in pruned.deleted) > 0
    assert [entry.id for entry in agent.bank.entries()] == [learned.skill_id]
    assert agent.bank.check().is_clean


def test_a_withdrawn_version_can_be_restored_as_a_new_one(homes: Homes, tmp_path: Path) -> None:
    """Its content travels under another id, to which no tombstone refers; history lists all."""
    agent, peer = Agent(homes.copy("replaced", tmp_path / "home")), Agent(tmp_path / "peer")
    agent.withdraw("warm")
    for name in agent.bank.withdrawals.ids():
        data = BankInventory(agent).read_tombstone(name)
        assert data is not None
        BankInventory(peer).admit_tombstone(name, data)
    restored = agent.restore("warm", 1).skill_id
    assert agent.bank.ids() == [restored]
    assert [version.active for version in agent.history("warm")] == [True, False, False]
    peer.receive(agent.read(restored), restored)
    assert peer.digest() == agent.digest()
    old, new = (agent.bank.load(skill).skill.tensors for skill in (homes.old, restored))
    assert {name: array.tobytes() for name, array in old.items()} == {
        name: array.tobytes() for name, array in new.items()
    }


def test_only_the_author_withdraws_and_strangers_names_are_no_obstacle(
    homes: Homes, tmp_path: Path
) -> None:
    """The error names the author and the local remedy; with two tasks of a name, mine is meant."""
    alice = Agent(homes.copy("alice", tmp_path / "alice"))
    bob = Agent(homes.copy("bob", tmp_path / "bob"))
    hers = homes.old
    bob.receive(alice.read(hers))
    for selector in ("warm", hers, hers[:8]):
        with pytest.raises(
            UsageError, match=f"learned by {alice.alias} .{alice.id[:9]}.; .*skills remove"
        ):
            bob.withdraw(selector)
    mine = bob.learn(homes.tasks / "cold", name="warm", allow_few=True).skill_id
    assert bob.withdraw("warm").skills == (mine,)
    assert bob.bank.ids() == sorted([hers, homes.cold])
    with pytest.raises(DataError, match="was before"):
        bob.withdraw(mine)
    with pytest.raises(DataError, match="expected a known task"):
        Agent(tmp_path / "empty").withdraw("warm")


def test_an_id_withdraws_one_version_and_what_it_replaced_stays_replaced(
    homes: Homes, tmp_path: Path
) -> None:
    """An older version comes back only when its author restores it."""
    agent = Agent(homes.copy("replaced", tmp_path / "home"))
    old, new = homes.old, homes.new
    assert agent.withdraw(new[:12]).skills == (new,)
    assert agent.bank.active() == []
    assert set(agent.bank.withdrawals.skills()) == {old, new}


def test_a_newcomer_gets_no_old_version(homes: Homes, tmp_path: Path) -> None:
    """A running author retires versions that it replaced; peers delete them when they hear it."""
    alice = Box(homes.copy("replaced", tmp_path / "alice"))
    bob, carol = Box(tmp_path / "bob"), Box(tmp_path / "carol")
    old, new = homes.old, homes.new
    bob.agent.receive(alice.agent.read(old))
    with alice.on() as first:
        (endpoint,) = first.transport.endpoints()
        with bob.on(endpoint) as second:
            wait_synced(first, second)
            with carol.on(endpoint) as third:
                wait_synced(first, second, third)
                wait_until(lambda: bool(bob.said("received")), "bob says it")
                wait_until(lambda: bool(carol.said("received")), "carol says it")
    for box in (bob, carol):
        assert [entry.id for entry in box.agent.bank.entries()] == [new]
        assert box.said("received") == ["warm"]
        assert box.said("refused") == []
    # Bob may look at his skills between the end of the old version and the start of the new one.
    assert (carol.said("withdrawn"), set(bob.said("withdrawn")) <= {"warm"}) == ([], True)
    reasons = {info.id: info.reason for info in alice.agent.infos()}
    assert reasons == {old: "replaced by a newer skill of its author", new: ""}


def test_versions_of_others_are_kept_until_their_author_retires_them(
    homes: Homes, tmp_path: Path
) -> None:
    """Otherwise peers would differ for ever; a prune says how many it kept."""
    alice, bob = Agent(homes.copy("replaced", tmp_path / "alice")), Agent(tmp_path / "bob")
    old, new = homes.old, homes.new
    for skill in (old, new):
        bob.receive(alice.read(skill))
    assert (bob.prune().deleted, bob.prune().kept) == ((), 1)
    retire_replaced(alice.bank, alice.key)
    (name,) = alice.bank.withdrawals.ids()
    data = BankInventory(alice).read_tombstone(name)
    assert data is not None
    BankInventory(bob).admit_tombstone(name, data)
    assert bob.bank.ids() == alice.bank.ids() == [new]
    assert bob.prune().to_json() == {"skills": [], "size_bytes": 0, "kept": 0}


def test_a_full_list_of_tombstones_is_said(
    homes: Homes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Peers would refuse more, so the agent refuses too; replaced versions use half of it."""
    monkeypatch.setattr(module, "MAX_PER_AUTHOR", 1)
    monkeypatch.setattr(module, "RETIRED_AT_MOST", 0)
    agent = Agent(homes.copy("replaced", tmp_path / "home"))
    retire_replaced(agent.bank, agent.key)
    assert agent.bank.withdrawals.ids() == []
    with pytest.raises(UsageError, match="withdrew 1 skills, the most"):
        agent.withdraw("warm")
    assert len(agent.bank.active()) == 1, "the newest version goes last"


def test_a_withdrawal_that_cannot_be_saved_changes_nothing(
    homes: Homes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error comes before the answer changes."""
    agent = Agent(homes.copy("alice", tmp_path / "home"))

    def full(*_arguments: object, **_options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("teachmesh.bank.hashed_files.write_atomic", full)
    with pytest.raises(StorageError, match="disk is full"):
        agent.withdraw("warm")
    assert agent.bank.ids() == [homes.old]
    assert agent.sync().skill_ids == (homes.old,)
