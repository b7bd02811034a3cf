"""`teachmesh peers` and `config`: decisions about authors on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from teachmesh.agent.known_skills.bank_view import BankView
from teachmesh.packet.signing import agent_id
from tests.cli.test_commands import run, run_json
from tests.packet.sample_skills import ALICE, BOB, sample_signed

BOBS = agent_id(BOB.public_key)


@pytest.fixture
def view(tmp_path: Path) -> BankView:
    """The home of alice, the default, with a skill of bob, who is a stranger."""
    opened = BankView(tmp_path / "default-home")
    opened.home.key_file.write_bytes(ALICE.to_bytes())
    opened.trust.set_policy("ask")
    opened.bank.put(sample_signed(ALICE))
    opened.bank.put(sample_signed(BOB, 1, alias="bob", task="bolts"))
    return opened


def test_a_stranger_is_listed_trusted_blocked_and_unblocked(view: BankView) -> None:
    """Every step is shown by `list`, `pending` and `status`."""
    (waiting,) = run_json("peers", "pending")["skills"]
    assert (waiting["task"], waiting["author"], waiting["usable"]) == ("bolts", BOBS, False)
    status = run_json("status")
    assert [status[key] for key in ("policy", "skills", "pending", "blocked")] == ["ask", 1, 1, 0]
    assert (
        "1 skills pending, 0 agents blocked; see: teachmesh peers pending" in run("status").stdout
    )
    assert f"{BOBS} (bob) is trusted" in run("peers", "trust", BOBS[:9].lower()).stdout
    assert run("peers", "pending").stdout == "no skill waits for a decision\n"
    blocked = run_json("peers", "block", BOBS)["agent"]
    assert (blocked["standing"], blocked["alias"], blocked["skills"]) == ("blocked", "bob", 0)
    assert [skill["task"] for skill in run_json("skills", "list", "--all")["skills"]] == ["flowers"]
    agents = {one["id"]: one for one in run_json("peers", "list")["agents"]}
    assert (agents[BOBS]["standing"], agents[BOBS]["alias"]) == ("blocked", "bob")
    assert "blocked" in run("peers", "list").stdout
    assert run_json("peers", "unblock", BOBS)["agent"]["standing"] == "pending"
    assert run_json("peers", "forget", BOBS)["agent"]["skills"] == 1
    assert BOBS in run("peers", "pending").stdout
    assert view.bank.get(waiting["id"])


def test_wrong_ids_and_policies_name_what_is_possible(view: BankView) -> None:
    """An unknown agent, this agent itself, and a misspelt policy."""
    assert "see: teachmesh peers list" in run("peers", "trust", "ZZZZ", code=2).stderr
    assert "another agent" in run("peers", "block", view.id, code=2).stderr
    assert "did you mean 'ask'" in run("config", "policy", "aks", code=3).stderr


def test_alias_and_policy_are_shown_and_changed(view: BankView) -> None:
    """`config` without a value shows the setting."""
    assert run("config", "alias", "box-1").stdout == f"alias: box-1 (agent {view.id})\n"
    assert run_json("config", "alias")["alias"] == "box-1"
    assert run_json("config", "policy", "invited")["policy"] == "invited"
    assert run_json("config", "policy")["policy"] == "invited"
    assert "printable alias name" in run("config", "alias", "a\u202eb", code=3).stderr
    assert BankView().alias == "box-1"


def test_ids_are_shown_next_to_aliases(view: BankView) -> None:
    """In the list of skills and in the history."""
    assert f"bob ({BOBS[:9]})" in run("skills", "list").stdout
    assert f"bob ({BOBS[:9]})" in run("skills", "history", "bolts").stdout
    assert f"({agent_id(ALICE.public_key)[:9]})" in run("skills", "list").stdout
