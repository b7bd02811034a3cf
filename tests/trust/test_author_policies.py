"""Skills of strangers wait, trust activates them at once, and a block leaves no trace."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from shutil import copytree
from typing import Any, NamedTuple

import pytest

from teachmesh.agent import Agent
from teachmesh.agent.known_skills.bank_view import BankView
from teachmesh.agent.on_mesh.known_agents import decide, known_agents
from teachmesh.agent.on_mesh.node import Node
from teachmesh.errors import SkillRefused
from teachmesh.packet.codec import decode
from teachmesh.packet.signing import VerifiedSkill, agent_id, sign
from teachmesh.packet.skill import Skill
from teachmesh.sharing.author_budget import MAX_PENDING_PER_AUTHOR, AuthorBudget
from teachmesh.sharing.twin_watch import TWIN
from tests.conftest import write_task
from tests.learned_homes import LearnedHomes
from tests.packet.sample_skills import MALLORY
from tests.sharing.meshes import wait_until


class Homes(NamedTuple):
    """Homes of two agents that learned one task each; tests copy them.

    Attributes:
        folder: has the homes `alice` (task warm) and `bob` (task cold).
        images: images of both tasks.
        skills: bytes of the skills of alice and bob.
    """

    folder: Path
    images: list[Path]
    skills: list[bytes]

    def copy(self, name: str, target: Path) -> Agent:
        """Return an agent with a copy of a home."""
        return Agent(copytree(self.folder / name, target))


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory, learned: LearnedHomes) -> Homes:
    """Two agents learned; nobody shares yet."""
    folder = tmp_path_factory.mktemp("strangers")
    skills, images = [], []
    for name, task in (("alice", "warm"), ("bob", "cold")):
        bank = BankView(learned.copy(folder / name, task, agent=name, allow_few=True)).bank
        skills += [bank.get(skill_id) for skill_id in bank.ids()]
        bank.close()
        images += sorted(write_task(folder / "tasks", task).glob("*/00.png"))
    return Homes(folder, images, skills)


def answers(agent: Agent, homes: Homes) -> str:
    """Return all answers, to compare every byte."""
    return json.dumps(agent.predict_many(homes.images).to_json())


def imported(folder: Path, *skills: bytes) -> Agent:
    """Return an agent that got skills from files."""
    agent = Agent(folder)
    for data in skills:
        agent.receive(data)
    return agent


@contextmanager
def running(agent: Agent, *join: str) -> Iterator[tuple[Node, list[dict[str, Any]]]]:
    """Share over Zenoh, and collect the events."""
    events: list[dict[str, Any]] = []
    with agent.share(join=join, on_event=events.append) as node:
        yield node, events


def signed_by_mallory(data: bytes) -> VerifiedSkill:
    """Return the content of a skill under another author's name."""
    skill = decode(data).skill
    card = replace(skill.card, author=MALLORY.public_key, alias="mallory")
    return sign(Skill(card, skill.tensors), MALLORY)


def _message(event: dict[str, Any]) -> str | None:
    """Return the text of an error."""
    return event.get("message")


def test_answers_after_a_block_are_those_of_an_agent_that_never_had_the_skill(
    homes: Homes, tmp_path: Path
) -> None:
    """Bit for bit, with arrays in memory, on the disk, and after unblocking."""
    alice = BankView(homes.folder / "alice").id
    never = imported(tmp_path / "never", homes.skills[1])
    agent = imported(tmp_path / "home", *homes.skills)
    both = answers(agent, homes)
    decide(BankView(tmp_path / "home"), alice[:9], "block")  # another process
    assert (answers(agent, homes), agent.digest()) == (answers(never, homes), never.digest())
    assert agent.infos() == never.infos()
    again = Agent(tmp_path / "home")
    assert answers(again, homes) == answers(never, homes)
    decide(BankView(tmp_path / "home"), alice, "unblock")
    assert answers(agent, homes) == answers(again, homes) == both


def test_names_of_pending_skills_change_no_answer(homes: Homes, tmp_path: Path) -> None:
    """A stranger uses the name of a trusted task; it waits, with a reason that says the command."""
    alice = BankView(homes.folder / "alice").id
    agent = imported(tmp_path / "home", homes.skills[0])
    agent.trust.trust(alice)
    agent.trust.set_policy("ask")
    before = answers(agent, homes)
    copy = signed_by_mallory(homes.skills[0])
    stranger = agent_id(MALLORY.public_key)
    agent.receive(copy.data)
    assert answers(agent, homes) == before
    assert agent.find("warm").author == alice
    (waiting,) = [info for info in agent.active_infos() if not info.usable]
    assert waiting.reason.endswith(f"teachmesh peers trust {stranger}")
    assert waiting.display_name == f"warm@mallory@{stranger.lower()}"
    assert agent.find(waiting.display_name).id == copy.id
    assert (agent.status()["skills"], agent.status()["pending"]) == (1, 1)


def test_only_invited_authors_teach_under_the_strictest_policy(
    homes: Homes, tmp_path: Path
) -> None:
    """The refusal names the author and the command; nothing is stored."""
    agent = Agent(tmp_path)
    agent.trust.set_policy("invited")
    with pytest.raises(SkillRefused, match="teachmesh peers trust") as caught:
        agent.receive(homes.skills[0])
    assert (caught.value.reason, agent.bank.entries()) == ("STRANGER", [])
    agent.trust.trust(BankView(homes.folder / "alice").id)
    assert agent.receive(homes.skills[0]).task == "warm"


def test_strangers_cannot_fill_a_bank() -> None:
    """Identities are free, so their skills have limits in all."""
    budget = AuthorBudget()
    budget.check_pending("ab", 0, 0, 0)
    for numbers in ((MAX_PENDING_PER_AUTHOR, 100, 0), (0, 1000, 0), (0, 1, 10**9)):
        with pytest.raises(SkillRefused, match="peers pending") as caught:
            budget.check_pending("ab", *numbers)
        assert caught.value.reason == "LIMIT"


def test_trust_activates_waiting_skills_in_a_running_agent_and_a_block_removes_them(
    homes: Homes, tmp_path: Path
) -> None:
    """Two agents over Zenoh; another process decides."""
    alice, carol = homes.copy("alice", tmp_path / "alice"), Agent(tmp_path / "carol")
    carol.trust.set_policy("ask")
    empty, other = carol.digest(), BankView(tmp_path / "carol")
    with running(alice) as (node, _), running(carol, *node.endpoints) as (_, events):
        wait_until(lambda: any(e["event"] == "received" for e in events), "a skill came")
        (came,) = [e for e in events if e["event"] == "received"]
        assert (came["standing"], came["author"]) == ("pending", alice.id)
        assert (carol.digest(), [info.usable for info in carol.infos()]) == (empty, [False])
        decide(other, alice.id[:9], "trust")
        assert answers(carol, homes) == answers(alice, homes)
        assert carol.digest() == alice.digest()
        decide(other, alice.id, "block")
        wait_until(lambda: not list((tmp_path / "carol/bank/skills").iterdir()), "it is gone")
        assert carol.digest() == empty
        decide(other, alice.id, "forget")
        wait_until(lambda: len(carol.bank.ids()) == 1, "it waits again")
        assert carol.digest() == empty


def test_a_blocked_peer_delivers_the_skills_of_a_trusted_author(
    homes: Homes, tmp_path: Path
) -> None:
    """Trust in an author and trust in a relay are two things; the author is not there any more."""
    relay, carol = homes.copy("bob", tmp_path / "bob"), Agent(tmp_path / "carol")
    relay.receive(homes.skills[0])
    alice = BankView(homes.folder / "alice").id
    carol.trust.set_policy("invited")
    carol.trust.trust(alice)
    carol.trust.block(relay.id)
    with running(relay) as (node, _), running(carol, *node.endpoints):
        wait_until(lambda: carol.bank.ids() != [], "the skill came")
    assert [entry.task for entry in carol.bank.entries()] == ["warm"]


def test_a_copied_home_is_said_on_both_sides_and_a_new_identity_ends_it(
    homes: Homes, tmp_path: Path
) -> None:
    """Both name the command; afterwards they exchange, and old skills stay in use."""
    first, second = (homes.copy("alice", tmp_path / name) for name in ("first", "second"))
    with running(first) as (node, one), running(second, *node.endpoints) as (_, other):
        wait_until(lambda: all(TWIN in map(_message, events) for events in (one, other)), "said")
        assert "teachmesh identity new" in TWIN
    old = second.id
    second.bank.close()
    view = BankView(tmp_path / "second")
    view.trust.set_policy("ask")
    view.renew_identity()
    assert view.id != old
    renewed = Agent(tmp_path / "second")
    with running(first) as (node, _), running(renewed, *node.endpoints) as (other_node, _):
        other_node.wait_for_peers(1)
    assert all(info.usable for info in renewed.infos())
    standings = {one.id: one.standing for one in known_agents(view)}
    assert standings == {view.id: "trusted", old: "trusted"}
