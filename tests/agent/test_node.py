"""Agents as processes share over Zenoh, survive a kill, and notice skills saved by others."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from teachmesh.agent import Agent
from teachmesh.agent.backbones import fetch_reference
from teachmesh.errors import NetworkError
from teachmesh.model.reference import Reference
from teachmesh_lab.demo.agent_processes import AgentProcess

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


def _endpoint(agent: AgentProcess) -> str:
    deadline_s = time.monotonic() + DEADLINE_S
    return str(agent.wait_for(lambda e: e["event"] == "ready", "the start", deadline_s)["endpoint"])


def test_a_late_agent_gets_a_killed_authors_skill_from_a_survivor(
    tmp_path: Path, warm: Path, cold: Path
) -> None:
    """Two agents learn and share; one is killed; a third joins the other and knows both tasks."""
    agents: list[AgentProcess] = []
    with _stopped_in_the_end(agents):
        alice = AgentProcess("alice", tmp_path / "alice", learn=[warm])
        agents.append(alice)
        bob = AgentProcess("bob", tmp_path / "bob", learn=[cold], join=[_endpoint(alice)])
        agents.append(bob)
        _wait_count(alice, 2)
        _wait_count(bob, 2)
        alice.kill()
        carol = AgentProcess("carol", tmp_path / "carol", join=[_endpoint(bob)])
        agents.append(carol)
        _wait_count(carol, 2)
    digests = {Agent(tmp_path / name).digest() for name in ("alice", "bob", "carol")}
    assert len(digests) == 1
    answer = Agent(tmp_path / "carol").predict(sorted((warm / "red").iterdir())[0])
    assert not isinstance(answer, list)
    assert (answer.task, answer.class_name) == ("warm", "red")


def test_a_running_agent_shares_a_skill_that_another_command_saved(
    tmp_path: Path, warm: Path
) -> None:
    """The skill of `learn` in a home with a running `up` reaches the peers by itself."""
    agents: list[AgentProcess] = []
    with _stopped_in_the_end(agents):
        alice = AgentProcess("alice", tmp_path / "alice")
        agents.append(alice)
        bob = AgentProcess("bob", tmp_path / "bob", join=[_endpoint(alice)])
        agents.append(bob)
        _endpoint(bob)
        skill_id = Agent(tmp_path / "alice").learn(warm).skill_id
        event = bob.wait_for(
            lambda e: e["event"] == "received", "the skill", time.monotonic() + DEADLINE_S
        )
        assert event["skill"] == skill_id
        status = Agent(tmp_path / "bob").status()
        assert status["running"] is not None
    assert Agent(tmp_path / "bob").status()["running"] is None


def test_a_task_that_cannot_be_learned_is_an_event_and_the_agent_goes_on(
    tmp_path: Path, warm: Path
) -> None:
    """A bad folder stops neither the agent nor the next task."""
    agents: list[AgentProcess] = []
    with _stopped_in_the_end(agents):
        alice = AgentProcess("alice", tmp_path / "alice", learn=[tmp_path / "nowhere", warm])
        agents.append(alice)
        deadline_s = time.monotonic() + DEADLINE_S
        error = alice.wait_for(lambda e: e["event"] == "error", "the error", deadline_s)
        assert error["exit_code"] == 4
        saved = alice.wait_for(lambda e: e["event"] == "saved", "the skill", deadline_s)
        assert saved["task"] == "warm"


def test_the_reference_of_a_backbone_is_handed_over_by_its_hash(tmp_path: Path) -> None:
    """A running agent sends the embedded backbone's reference to a peer that names its hash."""
    backbone = Agent(tmp_path / "alice").backbone
    agents: list[AgentProcess] = []
    with _stopped_in_the_end(agents):
        alice = AgentProcess("alice", tmp_path / "alice")
        agents.append(alice)
        target = tmp_path / "got.reference"
        fetch_reference(
            tmp_path / "bob", backbone.reference_id, [_endpoint(alice)], target, timeout_s=60
        )
        assert Reference.from_bytes(target.read_bytes()).id == backbone.reference_id
        with pytest.raises(NetworkError, match="none answered"):
            fetch_reference(
                tmp_path / "bob", "0" * 64, [_endpoint(alice)], tmp_path / "no", timeout_s=2
            )
        assert not (tmp_path / "no").exists()
