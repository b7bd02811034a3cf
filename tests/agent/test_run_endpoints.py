"""Agents find their peers and ports again after a restart, and say who uses a port."""

from __future__ import annotations

import json
import os
import socket
import threading
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from teachmesh.agent import Agent
from teachmesh.agent.on_mesh.node import Node
from teachmesh.agent.teaching.known_source import known_skill
from teachmesh.bank.agents_here import AgentsHere
from teachmesh.bank.known_endpoints import MAX_JOINED, KnownEndpoints
from teachmesh.errors import NetworkError
from teachmesh.sharing import zenoh_transport
from teachmesh.sharing.join_watch import JoinWatch, Link
from teachmesh.sharing.own_addresses import own_addresses
from teachmesh.sharing.own_transport import make_transport
from teachmesh.sharing.zenoh_transport import ZenohTransport
from tests.learned_homes import LearnedHomes
from tests.sharing.memory_transport import Hub, InMemoryTransport
from tests.sharing.meshes import id_of_agent, wait_until
from tests.sharing.test_zenoh_transport import Recorder


def test_agents_find_each_other_again_after_both_were_restarted(tmp_path: Path) -> None:
    """The second time nobody names an endpoint: one remembers its port, the other the endpoint."""
    alice, bob = Agent(tmp_path / "alice"), Agent(tmp_path / "bob")
    with alice.share(discover=True) as first:
        endpoints = first.endpoints
        with bob.share(join=endpoints, discover=True) as second:
            second.wait_for_peers()
            known = bob.home.path / "known_endpoints.json"
            wait_until(lambda: known.exists() and endpoints[0] in known.read_text(), "it is saved")
    with alice.share(discover=True) as first, bob.share(discover=True) as second:
        assert first.endpoints == endpoints
        second.wait_for_peers()
        first.wait_for_peers()


def test_a_taken_port_names_the_agent_that_uses_it(tmp_path: Path) -> None:
    """Home and process of an agent of this user; the plain reason for other programs."""
    alice, bob = Agent(tmp_path / "alice"), Agent(tmp_path / "bob")
    with alice.share() as first:
        with pytest.raises(NetworkError) as caught:
            bob.share(listen=first.endpoints).__enter__()
        for part in (str(alice.home.path), f"process {os.getpid()}", "--listen"):
            assert part in str(caught.value)
        assert bob.status()["running"] is None
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        taken = f"tcp/127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(NetworkError, match="in use.*--listen") as caught:
            bob.share(listen=taken).__enter__()
    assert "the agent of" not in str(caught.value)


def test_the_list_of_agents_forgets_those_that_were_killed(tmp_path: Path) -> None:
    """Without the lock of its home, an agent does not run; damaged files are removed."""
    folder = tmp_path / "list"
    here = AgentsHere(folder)
    here.add(tmp_path / "killed", ["tcp/127.0.0.1:7"])
    (folder / "junk.json").write_text("[")
    assert here.using("7") is None
    assert list(folder.iterdir()) == []
    blocked = tmp_path / "file"
    blocked.write_text("")
    AgentsHere(blocked).add(tmp_path, [])
    assert AgentsHere(blocked).using("7") is None


def test_a_free_port_that_is_taken_meanwhile_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two agents that start at once may choose the same free port."""
    choose = zenoh_transport.with_free_port
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        taken = f"tcp/127.0.0.1:{other.getsockname()[1]}"
        chosen = iter([taken, taken])
        monkeypatch.setattr(
            zenoh_transport, "with_free_port", lambda text: next(chosen, None) or choose(text)
        )
        transport = ZenohTransport(id_of_agent("alice"), listen=["127.0.0.1:0"])
        transport.start(Recorder())
        try:
            assert transport.endpoints() != (taken,)
        finally:
            transport.close()


def test_remembered_endpoints_are_few_and_a_damaged_file_is_empty(tmp_path: Path) -> None:
    """The newest come first; nothing is written if nothing is new."""
    known, path = KnownEndpoints(tmp_path), tmp_path / "known_endpoints.json"
    known.note([], {})
    assert not path.exists()
    for n in range(MAX_JOINED + 5):
        known.note([f"tcp/10.0.0.{n}:1"], {"tcp/127.0.0.1:0": f"tcp/127.0.0.1:{n + 1}"})
    again = KnownEndpoints(tmp_path)
    assert again.joined == [f"tcp/10.0.0.{n}:1" for n in range(MAX_JOINED + 4, 4, -1)]
    assert again.listened == {"tcp/127.0.0.1:0": f"tcp/127.0.0.1:{MAX_JOINED + 5}"}
    for text in ("", "[]", '{"schema": "other"}', '{"joined": [1]'):
        path.write_text(text)
        assert KnownEndpoints(tmp_path).joined == []
    schema = "teachmesh.known-endpoints/1"
    path.write_text(json.dumps({"schema": schema, "joined": [1, "a", "x" * 999], "listened": 3}))
    assert (KnownEndpoints(tmp_path).joined, KnownEndpoints(tmp_path).listened) == (["a"], {})


def test_the_state_of_a_joined_endpoint_has_a_reason() -> None:
    """Connected, refused, a name that does not exist, and a peer that connected first."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
        there, name = f"tcp/localhost:{port}", "tcp/no-such-name.invalid:1"
        links: list[Link] = []
        long = f"tcp/{'a' * 200}.example:1"
        watch = JoinWatch([there, "tcp/127.0.0.1:1", name, long], lambda: links)
        assert not watch.look()
        first, refused, unknown, odd = watch.states()
        assert (odd.is_joined, odd.reason) == (False, "unknown name")
        assert (first.is_joined, first.reason) == (False, "no agent answers there")
        assert (refused.is_joined, refused.reason) == (False, "connection refused")
        assert (unknown.is_joined, bool(unknown.reason)) == (False, True)
        links.append(Link("tcp/127.0.0.1:59999", is_outgoing=False))
        watch.look()
        assert watch.states()[0].is_joined
        links[:] = [Link(f"tcp/127.0.0.1:{port}", is_outgoing=True)]
        watch.look()
        assert [state.is_joined for state in watch.states()] == [True, False, False, False]

        def broken() -> list[Link]:
            raise RuntimeError("a defect")

        faulty = JoinWatch([there], broken)
        assert not faulty.look()
        assert faulty.states()[0].reason == "RuntimeError('a defect')"


def _hears_itself(group: str, port: int, address: str) -> bool:
    """Return whether a datagram to a group comes back through the interface of an address."""
    kind = socket.AF_INET, socket.SOCK_DGRAM
    with suppress(OSError, ValueError), socket.socket(*kind) as to, socket.socket(*kind) as back:
        back.bind(("", port))
        own = socket.inet_aton(address)
        back.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(group) + own)
        back.settimeout(10)
        to.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, own)
        to.sendto(b"hello", (group, port))
        return back.recv(9) == b"hello"
    return False


def test_agents_of_a_local_network_find_each_other_unless_they_listen_on_loopback() -> None:
    """Neither knows an endpoint of the other; the group is used by this test only."""
    port = 20_000 + os.getpid() % 20_000
    if not any(_hears_itself("224.0.0.224", port, address) for address in own_addresses()):
        pytest.skip("needs a network interface with multicast")
    group = f"224.0.0.224:{port}"
    heard = Recorder()
    alice, bob = (
        ZenohTransport(id_of_agent(name), listen=["0.0.0.0:0"], discover=group)
        for name in ("alice", "bob")
    )
    alice.start(heard)
    bob.start(Recorder())
    try:

        def is_heard() -> bool:
            bob.announce(b"hello")
            return bool(heard.announcements)

        wait_until(is_heard, "alice hears bob")
    finally:
        alice.close()
        bob.close()
    private = make_transport("zenoh", "A", listen=["127.0.0.1:0"], discover=True)
    public = make_transport("zenoh", "A", listen=["0.0.0.0:0"], discover=True)
    hidden = make_transport("zenoh", "A", listen=["0.0.0.0:0"])
    found = [each._discover for each in (private, public, hidden)]  # type: ignore[attr-defined]
    assert found == [None, zenoh_transport.DISCOVERY, None]


def test_a_task_that_was_learned_is_skipped_until_an_image_is_new(
    tmp_path: Path, warm: Path, learned: LearnedHomes
) -> None:
    """`up --learn` again is one event with the skill; a changed photo is no known task."""
    assert known_skill(Agent(tmp_path / "new"), warm, 0) is None
    agent = Agent(learned.copy(tmp_path / "home", "warm"))
    (skill,) = agent.bank.ids()
    events: list[dict[str, Any]] = []
    stop = threading.Event()

    def listen(event: dict[str, Any]) -> None:
        events.append(event)
        if event["event"] in ("skipped", "saved", "error"):
            stop.set()

    with Node(agent, InMemoryTransport(Hub(), agent.id), listen) as node:
        node.run([warm], stop)
    (skipped,) = [event for event in events if event["event"] == "skipped"]
    assert (skipped["task"], skipped["skill"]) == ("warm", skill)
    assert [event for event in events if event["event"] == "error"] == []
    assert known_skill(agent, warm, 0) == skill
    (warm / "red").rename(warm / "rosy")
    assert known_skill(agent, warm, 0) is None
