"""Agents as processes share over Zenoh, survive a kill, and notice skills saved by others."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from teachmesh.agent import Agent
from teachmesh.agent.backbones import fetch_reference
from teachmesh.errors import NetworkError
from teachmesh.model.reference import Reference
from teachmesh_lab.demo.agent_processes import AgentProcess
from tests.conftest import write_task

DEADLINE_S = 90.0


@contextmanager
def _stopped_in_the_end(agents: list[AgentProcess]) -> Iterator[None]:
    try:
        yield
    finally:
        for agent in agents:
            agent.stop()


def _wait_count(agent: AgentProcess, count: int) -> None:
    agent.wait_for(
        lambda e: e["event"] == "stats" and e["count"] == count,
        f"{count} skills",
        time.monotonic() + DEADLINE_S,
    )


def _wait_joined(agent: AgentProcess) -> None:
    deadline_s = time.monotonic() + DEADLINE_S
    agent.wait_for(lambda e: e["event"] == "joined", "the connection", deadline_s)


def _endpoint(agent: AgentProcess) -> str:
    deadline_s = time.monotonic() + DEADLINE_S
    return str(agent.wait_for(lambda e: e["event"] == "ready", "the start", deadline_s)["endpoint"])


class Mesh(NamedTuple):
    """Three agents in processes: alice was killed, bob and carol run.

    Attributes:
        homes: folder of the homes `alice`, `bob` and `carol`.
        tasks: folder of the tasks: `warm` of alice, `cold` of bob, and `other`, not learned yet.
        alice: taught warm, and was killed.
        bob: taught cold.
        carol: joined bob after alice was killed.
        digests: digests of the three banks at that time.
    """

    homes: Path
    tasks: Path
    alice: AgentProcess
    bob: AgentProcess
    carol: AgentProcess
    digests: list[str]


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory, forked_programs: None) -> Iterator[Mesh]:
    """Two agents learn and share; one is killed; a third joins the other. Each is a process."""
    homes = tmp_path_factory.mktemp("mesh")
    tasks = homes / "tasks"
    write_task(tasks, "cold", per_class=6, seed=7).rename(tasks / "other")
    paths = [tmp_path_factory.mktemp("nowhere") / "missing", write_task(tasks, "warm")]
    agents: list[AgentProcess] = []
    with _stopped_in_the_end(agents):
        alice = AgentProcess("alice", homes / "alice", learn=paths)
        agents.append(alice)
        join = [_endpoint(alice)]
        bob = AgentProcess("bob", homes / "bob", learn=[write_task(tasks, "cold")], join=join)
        agents.append(bob)
        _wait_count(alice, 2)
        _wait_count(bob, 2)
        _wait_joined(bob)  # found out once per second, and never after the kill
        alice.kill()
        carol = AgentProcess("carol", homes / "carol", join=[_endpoint(bob)])
        agents.append(carol)
        _wait_count(carol, 2)
        digests = [Agent(homes / name).digest() for name in ("alice", "bob", "carol")]
        yield Mesh(homes, tasks, alice, bob, carol, digests)
    assert Agent(homes / "bob").status()["running"] is None


def test_a_late_agent_gets_a_killed_authors_skill_from_a_survivor(mesh: Mesh) -> None:
    """All three banks are equal, and the late agent knows the task of the killed one."""
    assert len(set(mesh.digests)) == 1
    image = sorted((mesh.tasks / "warm" / "red").iterdir())[0]
    answer = Agent(mesh.homes / "carol").predict_one(image)
    assert not isinstance(answer, list)
    assert (answer.task, answer.class_name) == ("warm", "red")


def test_a_task_that_cannot_be_learned_is_an_event_and_the_agent_goes_on(mesh: Mesh) -> None:
    """A bad folder stops neither the agent nor the next task."""
    events = [event for event in mesh.alice.events if event["event"] in ("error", "saved")]
    assert [event["event"] for event in events] == ["error", "saved"]
    assert events[0]["exit_code"] == 4
    assert events[1]["task"] == "warm"


def test_a_running_agent_shares_a_skill_that_another_command_saved(mesh: Mesh) -> None:
    """The skill of `learn` in a home with a running `up` reaches the peers by itself."""
    skill_id = Agent(mesh.homes / "bob").learn(mesh.tasks / "other", allow_few=True).skill_id
    event = mesh.carol.wait_for(
        lambda e: e["event"] == "received" and e["skill"] == skill_id,
        "the skill",
        time.monotonic() + DEADLINE_S,
    )
    assert event["task"] == "other"
    assert Agent(mesh.homes / "carol").status()["running"] is not None


def test_the_events_of_a_process_tell_what_happened_and_when(mesh: Mesh) -> None:
    """Joined, came, received and in sync; counters only when they say something new."""
    deadline_s = time.monotonic() + DEADLINE_S
    for name in ("joined", "peer_came", "saved", "received", "synced"):
        mesh.bob.wait_for(lambda e, name=name: e["event"] == name, name, deadline_s)
    events = mesh.bob.events
    assert events[0]["event"] == "ready"
    times = [event["time"] for event in events]
    assert times == sorted(times)
    states = [(e["count"], e["digest"]) for e in events if e["event"] == "stats"]
    assert len(states) == len(set(states))
    joined = mesh.carol.wait_for(lambda e: e["event"] == "joined", "the join", deadline_s)
    assert joined["endpoint"] == _endpoint(mesh.bob)


def test_the_reference_of_a_backbone_is_handed_over_by_its_hash(mesh: Mesh, tmp_path: Path) -> None:
    """A running agent sends the embedded backbone's reference to a peer that names its hash."""
    backbone = Agent(mesh.homes / "bob").backbone
    target, join = tmp_path / "got.reference", [_endpoint(mesh.bob)]
    fetch_reference(tmp_path / "dora", backbone.reference_id, join, target, timeout_s=60)
    assert Reference.from_bytes(target.read_bytes()).id == backbone.reference_id
    with pytest.raises(NetworkError, match="none answered"):
        fetch_reference(tmp_path / "dora", "0" * 64, join, tmp_path / "no", timeout_s=2)
    assert not (tmp_path / "no").exists()
