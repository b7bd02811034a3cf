"""A hostile skill in the bank of an agent: stored and shown, but not used in answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom
from typer.testing import CliRunner

from teachmesh.agent import Agent
from teachmesh.agent.on_mesh.list_desk import NO_LIST, AgentListDesk
from teachmesh.agent.on_mesh.node import Node
from teachmesh.agent.on_mesh.quarantine_watch import QuarantineWatch
from teachmesh.cli.main import app
from teachmesh.packet.quarantine_list import read_list, sign_list
from teachmesh.packet.signing import VerifiedSkill, agent_id
from teachmesh.screening.capture import probability_of, takes_too_many_kept
from teachmesh_lab.drill.forged_skills import copy_of
from tests.conftest import write_task
from tests.screening.drawn_tasks_bank import DIM, DrawnBank, skill_of, with_means
from tests.sharing.memory_transport import Hub, InMemoryTransport
from tests.sharing.meshes import wait_until


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Agent:
    """Alice's agent with two tasks."""
    folder = tmp_path_factory.mktemp("alice")
    alice = Agent(folder / "home")
    for name in ("warm", "cold"):
        alice.learn(write_task(folder / "tasks", name, per_class=8))
    return alice


@pytest.fixture
def copied(taught: Agent, tmp_path: Path) -> tuple[Agent, VerifiedSkill]:
    """Bob's agent with the skills of Alice, and a copy of one of them under the same name."""
    bob = Agent(tmp_path / "bob")
    for info in taught.infos():
        bob.receive(taught.read(info.id))
    return bob, copy_of(taught.bank.load(taught.find("warm").id).skill)


@contextmanager
def sharing(*agents: Agent) -> Iterator[None]:
    """Let agents run in one network."""
    hub = Hub()
    with ExitStack() as stack:
        for agent in agents:
            transport = InMemoryTransport(hub, agent.id)
            stack.enter_context(Node(agent, transport, on_event=lambda _event: None))
        yield


def invoke(*arguments: str) -> Any:
    """Run a command; return the document that it prints."""
    result = CliRunner().invoke(app, [*arguments, "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_a_copy_changes_no_answer_and_no_name(
    copied: tuple[Agent, VerifiedSkill], warm: Path
) -> None:
    """It is listed with the reason, an event reports it, and other agents get it."""
    bob, copy = copied
    images = sorted(warm.glob("*/0*.png"))[::4]
    expected, watch = bob.predict(images), QuarantineWatch(bob)
    assert watch.news() == []
    bob.receive(copy.data)
    ((event, details),) = watch.news()
    assert (event, details["skill"], details["reason"]) == ("quarantined", copy.id, "DUPLICATE")
    assert bob.predict(images) == expected
    assert Agent(bob.home.path).predict(images) == expected
    held = {info.id: info for info in bob.infos()}[copy.id]
    assert "skills quarantine list" in held.reason
    assert bob.find("warm").id != copy.id
    assert copy.id in bob.bank.ids()
    assert bob.unusable_reasons() == [
        "1 skills in quarantine, see: teachmesh skills quarantine list"
    ]


def test_a_skill_that_arrives_during_the_screening_is_screened_next(
    copied: tuple[Agent, VerifiedSkill],
) -> None:
    """The state of the bank counts as seen from before the screening."""
    bob, copy = copied

    class Busy(Agent):
        def screen(self) -> None:
            super().screen()
            self.receive(copy.data)

    watch = QuarantineWatch(Busy(bob.home.path))
    assert watch.news() == []
    assert [details["skill"] for _, details in watch.news()] == [copy.id]


def test_a_person_may_release_or_drop_a_skill(copied: tuple[Agent, VerifiedSkill]) -> None:
    """A running agent hears of both."""
    bob, copy = copied
    bob.receive(copy.data)
    watch, home = QuarantineWatch(bob), ["--home", str(bob.home.path)]
    watch.news()
    (listed,) = invoke("skills", "quarantine", "list", *home)["skills"]
    assert (listed["id"], listed["code"], listed["against"]) == (copy.id, "DUPLICATE", "warm")
    assert invoke("skills", "quarantine", "release", copy.id[:8], *home)["id"] == copy.id
    assert [event for event, _ in watch.news()] == ["released"]
    assert copy.id in bob.sync().skill_ids
    refused = CliRunner().invoke(app, ["skills", "quarantine", "drop", copy.id, "--yes", *home])
    assert refused.exit_code != 0


def test_a_dropped_skill_is_gone(copied: tuple[Agent, VerifiedSkill]) -> None:
    """It is not fetched again."""
    bob, copy = copied
    bob.receive(copy.data)
    bob.sync()
    home = ["--home", str(bob.home.path)]
    assert invoke("skills", "quarantine", "drop", "warm", *home)["id"] == copy.id
    assert copy.id in bob.bank.removed_ids()
    assert invoke("skills", "quarantine", "list", *home)["skills"] == []


def test_the_author_of_a_skill_uses_it(copied: tuple[Agent, VerifiedSkill], tmp_path: Path) -> None:
    """Bob learns the same images himself: his own skill is used, and Alice's is quarantined."""
    bob, _ = copied
    bob.sync()
    own = bob.learn(write_task(tmp_path / "tasks", "warm", per_class=8)).skill_id
    assert own in bob.sync().skill_ids
    assert [verdict.against for verdict in bob.quarantine().values()] == [own]


def test_equal_sets_may_be_used_differently_until_a_person_trusts_an_author(
    copied: tuple[Agent, VerifiedSkill], taught: Agent, warm: Path, tmp_path: Path
) -> None:
    """Digests are those of the sets; of two equal skills, each agent uses the one that came first.

    After both persons trusted the author, skills and answers are equal.
    """
    bob, copy = copied
    carol = Agent(tmp_path / "carol")
    carol.receive(copy.data)
    carol.sync()
    for info in taught.infos():
        carol.receive(taught.read(info.id))
    bob.receive(copy.data)
    assert bob.bank.digest() == carol.bank.digest()
    assert set(bob.sync().skill_ids) ^ set(carol.sync().skill_ids) == {
        copy.id,
        taught.find("warm").id,
    }
    author = agent_id(taught.bank.load(taught.find("warm").id).skill.card.author)
    for agent in (bob, carol):
        agent.trust.trust(author)
    assert bob.sync().skill_ids == carol.sync().skill_ids
    assert copy.id not in carol.sync().skill_ids
    images = sorted(warm.glob("*/0*.png"))[::8]
    assert bob.predict(images) == carol.predict(images)


def test_an_agent_takes_over_the_quarantine_of_one_that_it_trusts(
    copied: tuple[Agent, VerifiedSkill], tmp_path: Path
) -> None:
    """Carol got the copy before the original, and Bob after it. A stranger's list has no effect."""
    bob, copy = copied
    bob.receive(copy.data)
    bob.sync()
    carol, dave = Agent(tmp_path / "carol"), Agent(tmp_path / "dave")
    for agent in (carol, dave):
        agent.receive(copy.data)
        agent.sync()
    carol.trust.trust(bob.id)
    original = bob.find("warm").id
    with sharing(bob, carol, dave):
        wait_until(lambda: copy.id in carol.quarantine(), "Carol uses the original")
        wait_until(lambda: original in dave.quarantine(), "Dave uses the copy")
    assert carol.sync().skill_ids == bob.sync().skill_ids
    assert bob.key.public_key not in dave.quarantine_lists.read()
    carol.trust.forget(bob.id)
    assert carol.doubted() == frozenset()
    assert copy.id not in carol.sync().skill_ids  # it came last now


def test_lists_of_others_and_unchanged_lists_are_not_taken(
    copied: tuple[Agent, VerifiedSkill], taught: Agent
) -> None:
    """Anybody may answer in the name of a peer, and repeat an old list."""
    bob, copy = copied
    desk = AgentListDesk(bob)
    assert desk.answer(NO_LIST) is None
    assert desk.request_to(taught.key.public_key) is None
    bob.trust.trust(taught.id)
    assert desk.request_to(taught.key.public_key) == NO_LIST
    theirs = [sign_list([copy.id] * number, number, taught.key) for number in (0, 1)]
    for answer in (sign_list([copy.id], 9, bob.key).data, theirs[1].data[:-1], b"", theirs[1].data):
        desk.take(taught.key.public_key, answer)
    assert bob.doubted() == {copy.id}
    assert desk.request_to(taught.key.public_key) == theirs[1].id
    desk.take(taught.key.public_key, theirs[0].data)
    assert bob.doubted() == {copy.id}
    bob.receive(copy.data)
    bob.sync()
    own = read_list(desk.answer(NO_LIST) or b"")
    assert own.skills == bob.quarantine().keys() == {copy.id}
    assert desk.answer(own.id) is None
    bob.remove(copy.id)
    assert read_list(desk.answer(own.id) or b"").skills == set()


def test_kept_images_of_an_own_task_are_tested(warm: Path, tmp_path: Path) -> None:
    """A skill that takes a fourth of them is quarantined, whatever it takes of drawn ones."""
    bob, axes = Agent(tmp_path / "bob"), 3 * np.eye(6, DIM)
    bank = DrawnBank(own="bob")
    bank.put(skill_of("task", with_means(axes[:1]), "bob"))
    bank.kept = axes[1:].repeat(2, axis=0)  # real images lie elsewhere than drawn ones
    bank.put(skill_of("taker", with_means(axes[1:]), "mallory"))
    assert bank.codes()["taker"] == "CAPTURE"
    bob.learn(warm)
    points = bob.kept_points(bob.bank.load(bob.find("warm").id).skill)
    assert points is not None
    assert points.shape[1] == bob.metric().dim


@pytest.mark.parametrize(
    ("taken", "number", "is_too_many"),
    [
        (0, 0, False),
        (4, 5, False),
        (7, 14, False),
        (10, 16, False),
        (11, 16, True),
        (40, 100, True),
    ],
)
def test_few_images_of_an_own_task_may_be_taken_by_chance(
    taken: int, number: int, is_too_many: bool
) -> None:
    """The limit is that of the exact binomial test at a fourth; scipy is the oracle."""
    flags = np.arange(number) < taken
    assert takes_too_many_kept(flags) == is_too_many
    chance = 1.0 if taken == 0 else float(binom.sf(taken - 1, number, 0.25))
    assert np.isclose(probability_of(taken, number, 0.25), chance)
