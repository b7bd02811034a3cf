"""What only a real network has: endpoints, ports, processes that die."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest

from skillmesh.errors import NetworkError
from skillmesh.sharing.transport import is_address
from skillmesh.sharing.zenoh_transport import ZenohTransport, parse_endpoint, with_free_port
from tests.bank.processes import start
from tests.sharing.inventories import BytesInventory, id_of
from tests.sharing.meshes import ZenohMesh, id_of_agent, wait_until

AGENT = id_of_agent("alice")


class Nobody:
    """A handler that has nothing."""

    def on_announcement(self, data: bytes) -> None:
        """Ignore it."""

    def on_request(self, kind: str, key: str) -> bytes | None:
        """It is not here."""
        return None


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
    """Before anything is opened."""
    with pytest.raises(NetworkError, match="expected an endpoint like"):
        ZenohTransport(AGENT, join=[text])


def test_a_port_in_use_is_refused_in_one_sentence() -> None:
    """With the endpoint, the reason and what to do."""
    first = ZenohTransport(AGENT, listen=["127.0.0.1:0"])
    first.start(Nobody())
    try:
        (endpoint,) = first.endpoints()
        second = ZenohTransport(id_of_agent("bob"), listen=[endpoint])
        with pytest.raises(NetworkError) as caught:
            second.start(Nobody())
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
    assert is_address(AGENT, "ids", "all")
    for agent, kind, key in [
        ("*", "skill", content),
        ("**", "skill", content),
        (AGENT + "/x", "skill", content),
        (AGENT, "*", content),
        (AGENT, "skill", "*"),
        (AGENT, "skill", content + "?x=1"),
        (AGENT, "skill", "all"),
        (AGENT, "ids", content),
        (AGENT, "blob", content.upper()),
        (AGENT, "skill", content + "\n"),
    ]:
        assert not is_address(agent, kind, key)


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
        wait_until(lambda: early_bank.ids() == later_bank.ids(), "the banks are equal", 20)
    finally:
        mesh.close()


def next_line(process: subprocess.Popen[str]) -> dict[str, object]:
    """What a process says next; its complaint if it ends instead."""
    assert process.stdout is not None
    assert process.stderr is not None
    line = process.stdout.readline()
    assert line, process.stderr.read()
    said: dict[str, object] = json.loads(line)
    return said


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_a_skill_outlives_the_process_of_its_author() -> None:
    """Author killed without a word; a third agent gets the skill from the other process."""
    at_author, at_survivor = (with_free_port("tcp/127.0.0.1:0") for _ in range(2))
    holder = ["-m", "tests.sharing.holder"]
    author = start([*holder, "author", at_author, "", "precious"])
    survivor = start([*holder, "survivor", at_survivor, at_author])
    mesh = ZenohMesh()
    try:
        assert next_line(survivor) == {"count": 1}
        author.send_signal(signal.SIGKILL)
        author.wait(10)
        bank = BytesInventory()
        transport = ZenohTransport(id_of_agent("third"), join=[at_survivor])
        mesh.make_transport = lambda name, at_the_side=False: transport  # type: ignore[method-assign]
        mesh.agent("third", bank)
        wait_until(lambda: bank.ids() == {id_of(b"precious")}, "the skill arrives")
        survivor.communicate("", timeout=30)
        assert survivor.returncode == 0
    finally:
        mesh.close()
        for process in (author, survivor):
            process.kill()
            process.communicate()
