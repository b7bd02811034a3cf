"""Endpoints, ports and processes of a real network."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
import zenoh

from teachmesh.errors import NetworkError
from teachmesh.sharing.endpoints import parse_endpoint
from teachmesh.sharing.transport import is_address
from teachmesh.sharing.zenoh_transport import ANNOUNCEMENTS_PER_S, ZenohTransport
from tests.bank.processes import start
from tests.sharing.inventories import BytesInventory, id_of
from tests.sharing.meshes import ZenohMesh, id_of_agent, wait_until

AGENT = id_of_agent("alice")


class Recorder:
    """A handler that records calls and serves one content."""

    def __init__(self, content: bytes = b"") -> None:
        self.content = content
        self.announcements: list[bytes] = []
        self.requests: list[tuple[str, str]] = []

    def on_announcement(self, data: bytes) -> None:
        """Note it."""
        self.announcements.append(data)

    def on_request(self, kind: str, key: str) -> bytes | None:
        """Record the request, and serve the content."""
        self.requests.append((kind, key))
        return self.content if self.content and key == id_of(self.content) else None


@contextlib.contextmanager
def stranger(victim: ZenohTransport, handler: Recorder) -> Iterator[zenoh.Session]:
    """A bare Zenoh session, connected to a started transport."""
    config = zenoh.Config()
    config.insert_json5("mode", '"peer"')
    config.insert_json5("scouting/multicast/enabled", "false")
    config.insert_json5("listen/endpoints", "[]")
    config.insert_json5("connect/endpoints", json.dumps(list(victim.endpoints())))
    session = zenoh.open(config)
    try:

        def is_linked() -> bool:
            session.put("teachmesh/1/X/announce", b"hello")
            return bool(handler.announcements)

        wait_until(is_linked, "the stranger is heard")
        yield session
    finally:
        session.close()


@contextlib.contextmanager
def started(name: str, handler: Recorder, *join: str) -> Iterator[ZenohTransport]:
    """A transport that listens, closed at the end."""
    transport = ZenohTransport(id_of_agent(name), listen=["127.0.0.1:0"], join=join)
    transport.start(handler)
    try:
        yield transport
    finally:
        transport.close()


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("10.0.0.1:7447", "tcp/10.0.0.1:7447"),
        ("tcp/host.example:1", "tcp/host.example:1"),
        ("tls/[::1]:7447", "tls/[::1]:7447"),
    ],
)
def test_an_endpoint_is_written_as_zenoh_wants_it(text: str, endpoint: str) -> None:
    """The protocol may be left out."""
    assert parse_endpoint(text) == endpoint


@pytest.mark.parametrize(
    "text", ["", "host", "host:", "host:99999", "udp/host:1", "tcp/ho st:1", "tcp/h:1#iface=x"]
)
def test_what_is_no_endpoint_is_refused_in_one_sentence(text: str) -> None:
    """The refusal comes before a session is opened."""
    with pytest.raises(NetworkError, match="expected an endpoint like"):
        ZenohTransport(AGENT, join=[text])


def test_a_port_in_use_is_refused_in_one_sentence() -> None:
    """The message names the endpoint, the reason and the remedy."""
    first = ZenohTransport(AGENT, listen=["127.0.0.1:0"])
    first.start(Recorder())
    try:
        (endpoint,) = first.endpoints()
        second = ZenohTransport(id_of_agent("bob"), listen=[endpoint])
        with pytest.raises(NetworkError) as caught:
            second.start(Recorder())
    finally:
        first.close()
    assert endpoint in str(caught.value)
    assert "in use" in str(caught.value)
    assert "--listen" in str(caught.value)
    assert "/root" not in str(caught.value)


def test_no_address_can_hold_a_wildcard() -> None:
    """A key expression addresses one agent and one content."""
    content = "ab" * 32
    assert is_address(AGENT, "skill", content)
    assert is_address(AGENT, "ids", content)
    for agent, kind, key in [
        ("*", "skill", content),
        ("**", "skill", content),
        (AGENT + "/x", "skill", content),
        (AGENT, "*", content),
        (AGENT, "skill", "*"),
        (AGENT, "skill", content + "?x=1"),
        (AGENT, "skill", "all"),
        (AGENT, "ids", "all"),
        (AGENT, "blob", content.upper()),
        (AGENT, "skill", content + "\n"),
    ]:
        assert not is_address(agent, kind, key)


def test_a_broadcast_over_the_limit_is_not_delivered() -> None:
    """2 KiB pass, one byte more does not; what comes after megabytes still arrives."""
    handler, channel = Recorder(), "teachmesh/1/X/announce"
    with started("alice", handler) as alice, stranger(alice, handler) as session:
        hear(session, handler, channel, bytes(2048))
        for size_bytes in (2049, 5_000_000, 17 << 20):
            time.sleep(2 / ANNOUNCEMENTS_PER_S)
            session.put(channel, bytes(size_bytes))
        hear(session, handler, channel, b"after")
    assert {len(data) for data in handler.announcements} == {len(b"hello"), 2048, len(b"after")}


def hear(session: zenoh.Session, handler: Recorder, channel: str, data: bytes) -> None:
    """Broadcast until it is heard; each link delivers a limited number per second."""

    def is_heard() -> bool:
        session.put(channel, data)
        return data in handler.announcements

    wait_until(is_heard, f"{data[:20]!r} arrives")


def test_a_flood_stays_on_its_own_link() -> None:
    """Few of its messages arrive, whatever their names; another link delivers all of its own."""
    handler = Recorder()
    with (
        started("alice", handler) as alice,
        stranger(alice, handler) as flooder,
        stranger(alice, handler) as honest,
    ):
        began_s = time.monotonic()
        for number in range(40):
            for name in range(50):
                flooder.put(f"teachmesh/1/X{name}/announce", b"flood")
                flooder.delete(f"teachmesh/1/X{name}/announce")
            hear(honest, handler, "teachmesh/1/H/announce", b"news %d" % number)
        arrived = sum(data in (b"flood", b"") for data in handler.announcements)
        took_s = time.monotonic() - began_s
        assert 0 < arrived <= took_s * ANNOUNCEMENTS_PER_S + 2


def test_a_wildcard_question_is_not_answered(capfd: pytest.CaptureFixture[str]) -> None:
    """A stranger cannot make an agent read its bank, or write to its terminal, with one."""
    handler = Recorder(b"skill")
    content = id_of(b"skill")
    with started("alice", handler) as alice, stranger(alice, handler) as session:
        for selector in (
            "**",
            "*/**",
            "teachmesh/**",
            "teachmesh/1/**",
            f"teachmesh/1/*/skill/{content}",
            f"**/skill/{content}",
            f"teachmesh/1/{AGENT}/*/{content}",
            f"teachmesh/1/{AGENT}/skill/*",
            f"teachmesh/1/{AGENT}/skill/..",
        ):
            assert [r.ok for r in session.get(selector, timeout=5) if r.ok is not None] == []
        assert handler.requests == []
        plain = session.get(f"teachmesh/1/{AGENT}/skill/{content}", timeout=60)
        assert [bytes(reply.ok.payload) for reply in plain if reply.ok] == [b"skill"]
    assert capfd.readouterr().err == ""


def test_a_stranger_that_answers_for_everybody_does_not_hide_the_right_answer() -> None:
    """The reply with the right hash counts, in any order; otherwise a wrong one is returned."""
    handler, asker = Recorder(b"skill"), Recorder()
    lie = b"a lie"
    with started("alice", handler) as alice, stranger(alice, handler) as session:
        queryable = session.declare_queryable(
            "teachmesh/1/**", lambda query: query.reply(query.key_expr, lie), complete=True
        )
        with started("bob", asker, *alice.endpoints()) as bob:

            def ask(content: bytes) -> bytes | None:
                return bob.request(AGENT, "skill", id_of(content), 60)

            wait_until(lambda: ask(b"not here") == lie, "the liar is heard")
            wait_until(lambda: ask(b"skill") == b"skill", "alice is heard")
            assert [ask(b"skill") for _ in range(5)] == [b"skill"] * 5
        queryable.undeclare()


def test_an_agent_starts_before_the_one_it_joins() -> None:
    """Joining is retried for ever; starting does not wait for it."""
    mesh = ZenohMesh()
    later = ZenohTransport(id_of_agent("later"), listen=["127.0.0.1:0"])
    early_bank, later_bank = BytesInventory(b"one"), BytesInventory(b"two")
    mesh._seed = later
    try:
        mesh.agent("early", early_bank)
        mesh.make_transport = lambda name, at_the_side=False: later  # type: ignore[method-assign]
        mesh.agent("later", later_bank)
        wait_until(lambda: early_bank.ids() == later_bank.ids(), "the banks are equal")
    finally:
        mesh.close()


def next_value(process: subprocess.Popen[str], name: str) -> Any:
    """Return the next value of this name that a process prints; fail with its errors if it ends."""
    assert process.stdout is not None
    assert process.stderr is not None
    said: dict[str, Any] = {}
    while name not in said:
        line = process.stdout.readline()
        assert line, process.stderr.read()
        said = json.loads(line)
    return said[name]


@pytest.mark.usefixtures("forked_programs")
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_a_skill_outlives_the_process_of_its_author() -> None:
    """Author killed without a word; a third agent gets the skill from the other process."""
    program, anywhere = ["-m", "tests.sharing.sharing_process"], "tcp/127.0.0.1:0"
    author = start([*program, "author", anywhere, "", "precious"])
    survivor = start([*program, "survivor", anywhere, next_value(author, "endpoint")])
    mesh = ZenohMesh()
    try:
        at_survivor = next_value(survivor, "endpoint")
        assert next_value(survivor, "count") == 1
        author.send_signal(signal.SIGKILL)
        author.wait(60)
        bank = BytesInventory()
        transport = ZenohTransport(id_of_agent("third"), join=[at_survivor])
        mesh.make_transport = lambda name, at_the_side=False: transport  # type: ignore[method-assign]
        mesh.agent("third", bank)
        wait_until(lambda: bank.ids() == {id_of(b"precious")}, "the skill arrives")
        survivor.communicate("", timeout=100)
        assert survivor.returncode == 0
    finally:
        mesh.close()
        for process in (author, survivor):
            process.kill()
            process.communicate()


@pytest.mark.usefixtures("forked_programs")
@pytest.mark.skipif(sys.platform == "win32", reason="SIGSTOP")
def test_a_stopped_process_slows_nobody_and_catches_up() -> None:
    """While it is stopped `notify` returns at once and others get everything; then it does too."""
    mesh = ZenohMesh()
    alice, bob = BytesInventory(b"first"), BytesInventory()
    agent = mesh.agent("alice", alice)
    assert mesh._seed is not None
    address = next(iter(mesh._seed.endpoints()))
    process = start(["-m", "tests.sharing.sharing_process", "slow", "127.0.0.1:0", address])
    try:
        assert next_value(process, "count") == 1
        process.send_signal(signal.SIGSTOP)
        mesh.agent("bob", bob)
        for index in range(20):
            alice.add(bytes([index]) * 500_000)
            agent.notify()  # who waits for the stopped process here waits for ever
        wait_until(lambda: bob.ids() == alice.ids(), "bob has everything")
        process.send_signal(signal.SIGCONT)
        while next_value(process, "count") != 21:
            pass
        process.communicate("", timeout=100)
        assert process.returncode == 0
    finally:
        mesh.close()
        process.kill()
        process.communicate()
