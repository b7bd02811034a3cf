"""`status` and `events` tell from a second process what the running agent does."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from teachmesh.agent import Agent
from teachmesh.agent.on_mesh.node import Node
from teachmesh.cli import events_command
from teachmesh.cli.event_texts import line_of
from teachmesh.cli.running_text import running_lines
from tests.cli.test_commands import run, run_json
from tests.cli.test_startup import write_peer_skill
from tests.sharing.memory_transport import Hub, InMemoryTransport
from tests.sharing.meshes import wait_until

READY = {
    "event": "ready",
    "time": "2026-11-30T12:05:01.123Z",
    "id": "K7QM-2F3D-ABCD-EFGH",
    "alias": "box",
    "endpoints": ["tcp/0.0.0.0:7447"],
    "reachable": ["tcp/192.168.1.20:7447"],
}


@contextmanager
def running(*homes: Path) -> Iterator[list[Node]]:
    """Agents that are linked and run."""
    hub, nodes = Hub(), []
    for home in homes:
        agent = Agent(home)
        nodes.append(Node(agent, InMemoryTransport(hub, agent.id), lambda _event: None))
    if len(nodes) == 1:
        with nodes[0]:
            yield nodes
    else:
        with nodes[0], nodes[1]:
            yield nodes


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Report the state often."""
    monkeypatch.setattr("teachmesh.agent.on_mesh.node.STATE_INTERVAL_S", 0.02)
    monkeypatch.setattr("teachmesh.agent.on_mesh.node.WATCH_INTERVAL_S", 0.02)


@pytest.mark.usefixtures("fast")
def test_two_agents_tell_the_story_of_a_skill(tmp_path: Path) -> None:
    """Status and events of both homes, while they run and afterwards."""
    alice, bob = tmp_path / "alice", tmp_path / "bob"
    write_peer_skill(tmp_path / "asters.skill")
    skill = Agent(alice).receive((tmp_path / "asters.skill").read_bytes()).id
    with running(alice, bob) as (first, second):
        second.wait_for_peers()
        first.wait_for_peers()
        wait_until(lambda: "in sync with" in run("events", "--home", str(bob)).stdout, "in sync")
        shown = run("status", "--home", str(bob)).stdout
        state = run_json("status", "--home", str(bob))["running"]
    assert "have 1 skill, all that the peers offer" in shown
    name = f"{first.agent.alias} ({first.agent.id[:9]})"
    assert re.search(rf"peer {re.escape(name)} in sync \d+\.\d s ago", shown)
    assert (state["have"], state["known"], state["fetching"]) == (1, 1, 0)
    assert state["peers"][0]["id"] == first.agent.id
    assert "not running" in run("status", "--home", str(bob)).stdout
    told = run("events", "--home", str(bob))
    assert "no agent runs in this home" in told.stderr
    text = told.stdout
    assert all(re.match(r"\d\d:\d\d:\d\d ", line) for line in text.splitlines())
    story = [
        "listens on",
        f"peer {name} came with 1 skill",
        f"received asters ({skill[:12]})",
        "in sync with 1 peer: 1 skill",
        "stopped",
    ]
    places = [text.index(part) for part in story]
    assert places[0] < places[1] < places[3] < places[4]
    assert places[2] < places[4]
    lines = run("events", "--home", str(bob), "--json", "--last", "1000").stdout.splitlines()
    events = [json.loads(line) for line in lines]
    assert {event["schema"] for event in events} == {"teachmesh.event/1"}
    stats = [(e["count"], e["digest"]) for e in events if e["event"] == "stats"]
    assert stats[:2] == [stats[0], stats[-1]]  # two states of the bank, and the end
    assert len(stats) <= 3


@pytest.mark.usefixtures("fast")
def test_events_are_followed_until_the_reader_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only events that come after the command was started are printed with --last 0."""
    home, sleeps = tmp_path / "home", iter([1])

    def sleep(_seconds: float) -> None:
        if next(sleeps, None) is None:
            raise KeyboardInterrupt
        with running(home):
            pass

    with running(home):
        pass
    monkeypatch.setattr(events_command.time, "sleep", sleep)
    told = run("events", "--follow", "--home", str(home), "--last", "0", code=130)
    kinds = [line.split()[1] for line in told.stdout.splitlines()]
    assert kinds == ["agent", "stopped"]


def test_a_state_with_missing_skills_names_numbers_and_reasons() -> None:
    """The sentences that the issue asks for, for each kind of peer."""
    peers = [
        {"alias": "box", "id": "K7QM-2F3D-ABCD-EFGH", "in_sync": True, "last_seen_s": 0.9},
        {
            "alias": "old",
            "id": "AAAA-BBBB-CCCC-DDDD",
            "in_sync": False,
            "last_seen_s": 4.0,
            "reason": "its list of skills has not come yet",
        },
    ]
    state = {"endpoints": ["tcp/127.0.0.1:1"], "have": 97, "known": 102, "fetching": 5}
    joins = [{"endpoint": "tcp/a:1", "joined": False, "reason": "no answer"}]
    state |= {"peers": peers, "joins": joins, "written_s": 100.0}
    assert list(running_lines(state, 100.3)) == [
        "running, listening on tcp/127.0.0.1:1",
        "have 97 of 102 skills, fetching 5",
        "cannot reach tcp/a:1 (no answer), retrying",
        "peer box (K7QM-2F3D) in sync 1.2 s ago",
        "peer old (AAAA-BBBB) not in sync, heard 4.3 s ago: its list of skills has not come yet",
    ]


def test_texts_are_safe_and_survive_events_of_other_versions() -> None:
    """Control characters are replaced, and missing items are no traceback."""
    assert line_of(READY).endswith(
        "agent box (K7QM-2F3D) listens on tcp/0.0.0.0:7447, "
        "reachable from other machines at tcp/192.168.1.20:7447"
    )
    assert "reachable from this machine only" in line_of({**READY, "reachable": []})
    assert line_of({"event": "peer_left", "id": "A", "alias": "x\x1b[2J"}) == "peer x?[2J left"
    assert line_of({"event": "received"}) == "event received"
    assert line_of({"event": "of the future", "time": 7}) == "event of the future"
