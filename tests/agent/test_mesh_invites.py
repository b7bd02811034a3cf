"""A second agent joins an encrypted mesh with an invite, and both trust each other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from teachmesh import Agent, ConfigError, NetworkError
from teachmesh.agent.on_mesh import mesh_invites
from teachmesh.sharing import enrolment
from teachmesh.trust.trust_book import TrustBook
from tests.cli.test_commands import run, run_json


@pytest.fixture(autouse=True)
def _slow_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for a thread that is stopped for seconds."""
    monkeypatch.setattr(enrolment, "TIMEOUT_S", 60.0)
    monkeypatch.setattr(mesh_invites, "_START_TIMEOUT_S", 60.0)


def test_an_invite_lets_one_agent_in(tmp_path: Path, warm: Path, caplog: Any) -> None:
    """It joins, gets the skill, trusts and is trusted; a third agent cannot use the invite."""
    caplog.set_level("DEBUG")
    alice, bob, eve = (Agent(tmp_path / name) for name in ("alice", "bob", "eve"))
    alice.learn(warm, allow_few=True)
    home, events = ("--home", str(alice.home.path)), []
    with alice.share(tls=True, on_event=events.append) as inviting:
        made = run_json("invite", "--minutes", "5", *home)
        said: list[dict[str, Any]] = []
        with bob.share(join=made["invite"], on_event=said.append) as joined:
            joined.wait_for_peers()
        assert bob.digest() == alice.digest()
        assert TrustBook(alice.home.path).state().trusted.keys() == {bob.id}
        assert TrustBook(bob.home.path).state().trusted.keys() == {alice.id}
        enrolled = {"event": "enrolled", "alias": alice.alias, "id": alice.id}
        assert {key: said[0][key] for key in enrolled} == enrolled
        invited = [event for event in events if event["event"] == "invited"]
        assert [(event["alias"], event["id"]) for event in invited] == [(bob.alias, bob.id)]
        with pytest.raises(NetworkError, match="refused: the invite is used"):
            eve.share(join=made["invite"])
        assert any("the invite is used" in str(event.get("message")) for event in events)
        with pytest.raises(NetworkError, match="one that this agent made"):
            alice.share(join=made["invite"])
        # Given again, as by a service after a restart, the invite means the same mesh.
        with bob.share(join=[made["invite"]]) as again:
            again.wait_for_peers()
        listed = run_json("invite", "--list", *home)["invites"]
        assert [(i["id"], i["state"], i["used_by"]) for i in listed] == [
            (made["id"], "used", bob.id)
        ]
        assert inviting.endpoints[0].startswith("tls/")
    secret = made["invite"].removeprefix("TEACHMESH:")
    assert secret[2:20] not in caplog.text
    assert secret[2:20] not in json.dumps([*events, *said])
    assert not (eve.home.path / "mesh.key").exists()


def test_an_invite_is_printed_listed_and_revoked(tmp_path: Path) -> None:
    """The text alone is on stdout; the QR code is drawn on stderr."""
    alice, home = Agent(tmp_path / "alice"), ("--home", str(tmp_path / "alice"))
    assert "expected a running agent" in run("invite", *home, code=3).stderr
    with alice.share(tls=True):
        printed = run("invite", "--at", "10.0.0.7", *home)
        assert printed.stdout.startswith("TEACHMESH:")
        assert printed.stdout.count("\n") == 1
        assert "at 10.0.0.7:" in printed.stderr
        (made,) = run_json("invite", "--list", *home)["invites"]
        assert (
            run("invite", "--revoke", made["id"], *home).stdout == f"revoked invite {made['id']}\n"
        )
        assert "revoked" in run("invite", "--list", *home).stdout
        assert "--minutes" in run("invite", "--list", "--minutes", "1", *home, code=2).stderr
    with alice.share():
        assert "this one listens on loopback only" in run("invite", *home, code=3).stderr


def test_without_an_invite_no_connection_leaves_the_machine(tmp_path: Path) -> None:
    """The sentences name the next command."""
    agent = Agent(tmp_path / "alone")
    with pytest.raises(ConfigError, match="run `teachmesh invite` on an agent of the mesh"):
        agent.share(join="192.0.2.1:7447")
    with pytest.raises(NetworkError, match="expected tls/0.0.0.0:7447"):
        agent.share(listen="tcp/0.0.0.0:7447")
    warned = run("up", "--listen", "nowhere", "--insecure", "--home", str(tmp_path), code=7)
    assert "expected an endpoint" in warned.stderr
    assert not (agent.home.path / "mesh.key").exists()


def test_a_qr_code_has_the_text(tmp_path: Path) -> None:
    """Its modules are those of the text in the alphanumeric mode, which is the smallest."""
    segno = pytest.importorskip("segno")
    with Agent(tmp_path / "alice").share(tls=True):
        printed = run("invite", "--home", str(tmp_path / "alice"))
    code = segno.make(printed.stdout.strip(), micro=False)
    assert code.mode == "alphanumeric"
    assert len(printed.stderr.splitlines()) >= (code.symbol_size()[1] + 1) // 2
