"""Two agents that run are connected over HTTP: with an invite, and with an address."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from teachmesh import Client, ConfigError, NetworkError, UsageError
from teachmesh.agent.on_mesh import mesh_invites
from teachmesh.sharing import enrolment
from teachmesh.web import api_examples
from teachmesh.web.qr_path import qr_path
from tests.web.web_agents import Caller, running_here


@pytest.fixture(autouse=True)
def _slow_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for a thread that is stopped for seconds."""
    monkeypatch.setattr(enrolment, "TIMEOUT_S", 60.0)
    monkeypatch.setattr(mesh_invites, "_START_TIMEOUT_S", 60.0)


@pytest.fixture
def client(caller: Caller) -> Iterator[Client]:
    """A client with the token of an agent that nobody started with `teachmesh up`."""
    with Client(caller.server.url, caller.server.service.access.token) as found:
        yield found


def wait_until(holds: Callable[[], bool]) -> None:
    """Wait for a state that a slow machine shows late."""
    deadline_s = time.monotonic() + 90
    while not holds():
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


def client_of(caller: Caller) -> Client:
    """Return a client with the agent's token."""
    return Client(caller.server.url, caller.server.service.access.token)


def test_an_agent_that_runs_joins_by_address_and_by_invite(tmp_path: Path, warm: Path) -> None:
    """The page goes on during both; the invite moves the agent to the mesh, once."""
    with running_here(tmp_path / "alice", tls=True) as alice, running_here(tmp_path / "bob") as bob:
        skill = alice.server.service.agent.learn(warm, allow_few=True).skill_id
        with client_of(alice) as inviting, client_of(bob) as joining:
            made = inviting.invite(minutes=5)
            assert made.keys() == api_examples.INVITE.keys()
            assert made["qr"] == qr_path(made["invite"])
            assert [each["state"] for each in inviting.invites()] == ["open"]
            assert joining.join(f"  {made['invite'].lower()}\n")[0].startswith("tls/127.0.0.1:")
            wait_until(lambda: [found["id"] for found in joining.skills()] == [skill])
            (used,) = inviting.invites()
            assert used["used_by"] == joining.status()["id"]
            with pytest.raises(NetworkError, match="one that this agent made"):
                inviting.join(made["invite"])
            with pytest.raises(UsageError, match="one unused invite"):
                inviting.revoke(used["id"])
            with pytest.raises(NetworkError, match="expected tls/"):
                joining.join("tcp/127.0.0.1:9")
        names = [event["event"] for _, event in bob.server.events.after(0)]
        assert [name for name in names if name in ("enrolled", "ready", "stopped")] == [
            *("ready", "enrolled", "stopped", "ready")
        ]
        secret = made["invite"][12:40]
        assert secret not in str(alice.server.events.after(0) + bob.server.events.after(0))


def test_agents_without_encryption_join_by_address(tmp_path: Path, warm: Path) -> None:
    """They have no invites; the error names the way, and the address works on this machine."""
    with running_here(tmp_path / "alice") as alice, running_here(tmp_path / "bob") as bob:
        skill = alice.server.service.agent.learn(warm, allow_few=True).skill_id
        with client_of(alice) as inviting, client_of(bob) as joining:
            wait_until(lambda: inviting.status()["running"] is not None)
            with pytest.raises(ConfigError, match="up --listen tls"):
                inviting.invite()
            (address,) = inviting.status()["running"]["endpoints"]
            assert joining.join(address) == [address]
            wait_until(lambda: [found["id"] for found in joining.skills()] == [skill])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "TEACHMESH:",
        "TEACHMESH:<script>",
        "http://169.254.169.254/latest",
        "tcp/127.0.0.1:99999",
        "file:///etc/passwd",
        "127.0.0.1:7447#connect/timeout_ms=0",
        "tcp/127.0.0.1:7447?x=1",
        "TEACHMESH:" + "A" * 1900,
    ],
)
def test_a_text_that_is_no_invite_is_refused(client: Client, text: str) -> None:
    """Nothing is connected, and the sentence says what was expected."""
    with pytest.raises(UsageError, match="expected"):
        client.join(text)


def test_wrong_invites_are_refused(caller: Caller, client: Client) -> None:
    """Times that are no times, too many addresses, unknown ids, and agents that cannot join."""
    for minutes in ("nan", "inf", "-1", "0", "1e9", "x"):
        caller.ask("POST", "/v1/invites", 400, params={"minutes": minutes})
    caller.ask("POST", "/v1/invites", 400, params={"at": ["10.0.0.1"] * 5})
    caller.ask("DELETE", "/v1/invites/<b>", 400)
    caller.ask("POST", "/v1/join", 400, json={"join": "A" * 2001})
    with pytest.raises(ConfigError, match="teachmesh up --join INVITE"):
        client.join("127.0.0.1:7447")
    with pytest.raises(ConfigError, match="expected a running agent"):
        client.invite()
