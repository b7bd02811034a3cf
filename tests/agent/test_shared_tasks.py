"""Three agents with parts of a task make the skill of one agent that learned all images."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from shutil import copytree
from typing import Any, NamedTuple

import pytest
from typer.testing import CliRunner

from benchmarks.grow_tasks import content
from teachmesh.agent import Agent
from teachmesh.agent.known_skills.withdraw_skills import receive_tombstone
from teachmesh.agent.on_mesh.part_desk import AgentPartDesk
from teachmesh.agent.teaching import shared_tasks as module
from teachmesh.agent.teaching.shared_tasks import publish
from teachmesh.cli.main import app
from teachmesh.errors import DataError, TeachmeshError, UsageError
from teachmesh.learning.statistics_file import read_statistics, write_statistics
from teachmesh.packet.part import PartFacts, sign_part
from tests.agent.test_grow_task import part as some_images
from tests.agent.test_grow_task import run
from tests.agent.test_withdrawn_task import Box, wait_synced
from tests.sharing.meshes import wait_until


class Homes(NamedTuple):
    """Homes that tests copy, and what one agent learns.

    Attributes:
        folder: has the homes `alice` (owner of warm), `bob` and `carol`, each with a part; `dora`
            has the skill only.
        whole: content of the skill of all images.
        first: content of the skill of Alice's and Bob's images.
    """

    folder: Path
    whole: Any
    first: Any

    def agents(self, target: Path, *names: str) -> list[Agent]:
        """Return agents on copies of homes."""
        return [Agent(copytree(self.folder / name, target / name)) for name in names]


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Homes:
    """Alice invites Bob and Carol, who each make a part; two of Bob's photos are Alice's."""
    folder = tmp_path_factory.mktemp("parts")
    parts = [
        some_images(folder, "one", {"red": slice(0, 7), "orange": slice(0, 8)}),
        some_images(folder, "two", {"red": slice(5, 12), "orange": slice(8, 12)}),
        some_images(folder, "three", {"yellow": slice(0, 12)}),
    ]
    alice, bob, carol, dora = (Agent(folder / n) for n in ("alice", "bob", "carol", "dora"))
    skill = alice.learn(parts[0], name="warm", allow_few=True).skill_id
    alice.invite_to_task("warm", [bob.key.public_key, carol.key.public_key])
    assert alice.find("warm").id == skill, "the invitation changes no skill"
    for agent in (bob, carol, dora):
        agent.receive(alice.read(skill))
    for agent, images in ((bob, parts[1]), (carol, parts[2])):
        exchange(agent, alice)
        made = agent.learn(images, part_of=f"warm@{alice.alias}")
        assert (made.skill_id, len(made.parts)) == ("", 1)
    one, other = Agent(folder / "whole"), Agent(folder / "first")
    one.learn(folder / "whole" / "warm")
    other.learn(parts[0], name="warm")
    other.learn(parts[1], add_to="warm")
    found = Homes(folder, content(one, "warm"), content(other, "warm"))
    for agent in (alice, bob, carol, dora, one, other):
        agent.bank.close()
    return found


def ignored(event: str, **details: Any) -> None:
    """Take no notice of an event."""


def exchange(asker: Agent, answerer: Agent) -> list[str]:
    """Let one agent ask another for everything, without a network; return the parts it got."""
    here, there = AgentPartDesk(asker, ignored), AgentPartDesk(answerer, ignored)
    key = answerer.key.public_key
    listed = there.answer(here.list_request(key))
    if listed is None:
        return []
    wanted = here.take_list(key, listed)
    for part in wanted:
        answer = there.answer(here.part_request(key, part))
        assert answer is not None
        assert here.take_part(key, part, answer)
    return wanted


def hear_withdrawals(one: Agent, other: Agent) -> None:
    """Let an agent hear of all withdrawals that another one knows."""
    for name in one.bank.withdrawals.ids():
        data = one.bank.withdrawals.get(name)
        assert data is not None
        receive_tombstone(other.bank, other.key, data, name)
    AgentPartDesk(other, ignored).settle()


def held(agent: Agent) -> set[str]:
    """Ids of the parts in an agent's bank."""
    return {entry.id for entry in agent.bank.parts.entries()}


def published(agent: Agent) -> Any:
    """Content of the skill of the task."""
    return content(agent, "warm")


def test_parts_in_any_order_make_the_very_skill(homes: Homes, tmp_path: Path) -> None:
    """The owner publishes it; every holder of all parts makes the same one again."""
    for n, order in enumerate(itertools.permutations(("bob", "carol"))):
        alice, *others = homes.agents(tmp_path / str(n), "alice", *order)
        for other in others:
            exchange(alice, other)
            publish(alice)
        assert published(alice) == homes.whole
        assert publish(alice) == [], "equal content is no new version"
        for other in others:
            exchange(other, alice)
            for skill in alice.bank.ids():
                other.receive(alice.read(skill))
            assert len(held(other)) == 3
            compared = other.compare_parts("warm")
            assert (compared.equal, compared.left_out) == (True, {})
            assert (other.digest(), published(other)) == (alice.digest(), homes.whole)
        assert [part.used for part in alice.parts("warm")] == [True] * 3


def test_a_withdrawn_part_never_came(homes: Homes, tmp_path: Path) -> None:
    """By its author, whose tombstone travels, and by the owner."""
    for n, who in enumerate(("carol", "alice")):
        agents = homes.agents(tmp_path / str(n), "alice", "bob", "carol")
        alice, bob, carol = agents
        for other in (bob, carol):
            exchange(alice, other)
        publish(alice)
        assert published(alice) == homes.whole
        (chosen,) = (p.id for p in carol.parts() if p.author == carol.id)
        done = {"alice": alice, "carol": carol}[who].withdraw_part(chosen[:8])
        assert (done.part, done.skill is None) == (chosen, who == "carol")
        for agent in agents:
            hear_withdrawals({"alice": alice, "carol": carol}[who], agent)
            assert chosen not in held(agent)
        assert published(alice) == homes.first
        assert exchange(alice, carol) == []


def test_nobody_else_receives_anything(homes: Homes, tmp_path: Path) -> None:
    """Strangers, agents with the skill, and invited agents without a part of their own."""
    alice, bob, dora = homes.agents(tmp_path, "alice", "bob", "dora")
    exchange(alice, bob)
    publish(alice)
    for holder in (alice, bob):
        desk, asker = AgentPartDesk(holder, ignored), AgentPartDesk(dora, ignored)
        key = holder.key.public_key
        assert desk.answer(asker.list_request(key)) is None
        for part in held(alice) | held(bob):
            assert desk.answer(asker.part_request(key, part)) is None
    alice.invite_to_task("warm", dora.key.public_key)
    assert exchange(dora, alice) == [], "without a part, only the list of members"
    assert dora.bank.parts.roster((alice.key.public_key, "warm")) is not None
    dora.learn(some_images(tmp_path, "mine", {"yellow": slice(0, 5)}), part_of="warm")
    exchange(alice, dora)
    assert len(exchange(dora, alice)) == 2
    alice.invite_to_task("warm", remove=[dora.key.public_key, bob.key.public_key])
    assert len(held(alice)) == 1, "the parts of excluded agents are gone"
    overheard = AgentPartDesk(dora, ignored).list_request(alice.key.public_key)
    assert AgentPartDesk(alice, ignored).answer(overheard) is None
    assert AgentPartDesk(bob, ignored).answer(overheard) is None


def test_blocked_agents_share_nothing(homes: Homes, tmp_path: Path) -> None:
    """The owner blocks a member: its part does not count, and neither asks the other."""
    alice, bob = homes.agents(tmp_path, "alice", "bob")
    exchange(alice, bob)
    publish(alice)
    assert published(alice) == homes.first
    alice.trust.block(bob.id)
    assert len(publish(alice)) == 1
    assert alice.find("warm").n_classes == 2
    assert sum(part.used for part in alice.parts()) == 1
    assert AgentPartDesk(alice, ignored).interval_s(bob.key.public_key) is None
    assert exchange(bob, alice) == []
    alice.trust.unblock(bob.id)
    publish(alice)
    assert published(alice) == homes.first


def test_a_repeated_request_brings_bytes_that_only_the_asker_can_read(
    homes: Homes, tmp_path: Path
) -> None:
    """Mallory overhears Bob's requests, and repeats them."""
    alice, bob, dora = homes.agents(tmp_path, "alice", "bob", "dora")
    desk, asker = AgentPartDesk(alice, ignored), AgentPartDesk(bob, ignored)
    key = alice.key.public_key
    answer = desk.answer(asker.list_request(key))
    assert answer is not None
    assert AgentPartDesk(dora, ignored).take_list(key, answer) == []
    assert dora.bank.parts.rosters() == []
    for text in (b"warm", bob.key.public_key.encode(), next(iter(held(alice))).encode()):
        assert text not in answer


def test_hostile_parts_and_lists_are_refused(homes: Homes, tmp_path: Path) -> None:
    """From an invited agent: garbage, forged statistics, and parts of other tasks."""
    alice, bob = homes.agents(tmp_path, "alice", "bob")
    events: list[dict[str, Any]] = []
    desk = AgentPartDesk(alice, lambda event, **details: events.append({"event": event, **details}))
    key = bob.key.public_key
    line = AgentPartDesk(bob, ignored)._line_to(alice.key.public_key)
    assert line is not None
    for content_ in (b"", b"\xff", b"[]", b"[" * 99, b"{}", b'{"schema":"teachmesh.part-list/1"}'):
        assert desk.take_list(key, line.seal("list", content_)) == []
    assert desk.take_list(key, b"not sealed") == []
    (good,) = held(bob)
    part = bob.bank.parts.load(good)
    assert part is not None
    statistics = read_statistics(part.payload)
    wrong = statistics.sample.rows.copy()
    wrong[0] += 1
    forged = write_statistics(replace(statistics, sample=replace(statistics.sample, rows=wrong)))
    facts = vars(part.facts)
    sent = [
        (sign_part(PartFacts(**facts), forged, bob.key).data, "VALUE"),
        (sign_part(PartFacts(**{**facts, "task": "other"}), part.payload, bob.key).data, "AUTHOR"),
        (
            sign_part(PartFacts(**{**facts, "fingerprint": "ab" * 32}), b"", bob.key).data,
            "BACKBONE",
        ),
        (b"garbage", "FORMAT"),
    ]
    for data, reason in sent:
        name = hashlib.sha256(data).hexdigest()
        assert not desk.take_part(key, name, line.seal(name, data))
        assert events[-1]["reason"] == reason
        assert desk.take_list(key, line.seal("list", list_of(name))) == [], "not requested again"
    assert not desk.take_part(key, good, line.seal(good, b"another")), "the hash decides"
    assert len(held(alice)) == 1
    assert publish(alice) == []


def list_of(*parts: str) -> bytes:
    """A list of parts."""
    document = {"schema": "teachmesh.part-list/1", "rosters": [], "parts": parts}
    return json.dumps(document).encode()


def test_a_kill_at_any_step_is_made_up_for(
    homes: Homes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the skill is saved but before the roster is, and before the skill is saved."""
    alice, bob = homes.agents(tmp_path, "alice", "bob")
    exchange(alice, bob)

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    for place, name in ((Agent, "save"), (module, "_sign")):
        with monkeypatch.context() as patch:
            patch.setattr(place, name, killed)
            with pytest.raises(KeyboardInterrupt):
                publish(alice)
    restarted = Agent(alice.home.path)
    assert published(restarted) == homes.first, "the skill was saved"
    before = restarted.find("warm").id
    AgentPartDesk(restarted, ignored).settle()
    assert restarted.find("warm").id == before, "and is not saved again"
    assert restarted.compare_parts("warm").equal


def test_the_owner_adds_images_as_a_part(homes: Homes, tmp_path: Path) -> None:
    """The owner's later images are a part too; other changes of the skill are refused."""
    (alice,) = homes.agents(tmp_path, "alice")
    two, three = (homes.folder / name for name in ("two", "three"))
    added = alice.learn(two, add_to="warm")
    assert (added.task, len(added.parts), added.skill_id) == ("warm", 1, alice.find("warm").id)
    assert any("known already: counted once" in warning for warning in added.warnings)
    assert published(alice) == homes.first
    run("learn", three, "--add-to", "warm", "--home", alice.home.path)
    assert published(alice) == homes.whole
    refused: list[Callable[[], object]] = [
        lambda: alice.restore("warm"),
        lambda: alice.learn(two, name="warm", replace=True, force=True),
    ]
    for action in refused:
        with pytest.raises(UsageError, match="expected a task without parts"):
            action()
    parts = [part.id for part in alice.parts("warm")]
    assert len(parts) == 3
    for part in parts[1:]:
        alice.withdraw_part(part)
    with pytest.raises(UsageError, match="withdraw the task instead"):
        alice.withdraw_part(parts[0])
    alice.withdraw("warm")
    assert (held(alice), alice.parts()) == (set(), [])


def test_a_corrected_photo_changes_the_part_that_has_it(homes: Homes, tmp_path: Path) -> None:
    """In the owner's part or in another agent's; the skill is that of one agent that corrects."""
    (alice, bob), one = homes.agents(tmp_path, "alice", "bob"), Agent(tmp_path / "one")
    exchange(alice, bob)
    publish(alice)
    one.learn(homes.folder / "one", name="warm")
    one.learn(homes.folder / "two", add_to="warm")
    hers, his = (sorted((homes.folder / n / "red").iterdir()) for n in ("one", "two"))
    new = next((homes.folder / "three" / "yellow").iterdir())
    exchange(bob, alice)
    for photo, agent in ((hers[0], alice), (his[-1], bob), (new, alice), (new, alice)):
        expected = one.correct(photo, task="warm", class_name="orange")
        done = agent.correct(photo, task="warm", class_name="orange")
        assert (done.left, done.known) == (expected.left, expected.known)
        assert bool(done.skill_id) == (agent is alice)
        hear_withdrawals(alice, bob)
        hear_withdrawals(bob, alice)
        exchange(alice, bob)
        publish(alice)
        assert published(alice) == content(one, "warm")
        assert len([part for part in alice.parts("warm") if part.used]) == 2
    with pytest.raises(UsageError, match=f"{bob.id} learned it as 'red'"):
        alice.correct(his[-2], task="warm", class_name="orange")


def test_refusals_name_the_next_step(homes: Homes, tmp_path: Path, cold: Path) -> None:
    """Agents that are not invited, other methods, and options that do not fit."""
    alice, bob, dora = homes.agents(tmp_path, "alice", "bob", "dora")
    two = homes.folder / "two"
    mine = dora.learn(cold, method="gmmc").task
    cases: list[tuple[Agent, str, dict[str, Any]]] = [
        (dora, f"skills invite warm {dora.key.public_key}", {"part_of": "warm"}),
        (alice, "add the images with --add-to", {"part_of": "warm"}),
        (bob, "expected --part-of without --replace", {"part_of": "warm", "replace": True}),
        (bob, "with moments, not maha", {"part_of": "warm", "method": "maha"}),
        (bob, "expected the seed 0", {"part_of": "warm", "seed": 3}),
        (bob, "expected --part-of without --add-to", {"part_of": "warm", "add_to": "warm"}),
    ]
    for agent, message, options in cases:
        with pytest.raises(TeachmeshError, match=message):
            agent.learn(two, **options)
    with pytest.raises(UsageError, match="learned with gmmc; learn it again from all images"):
        dora.invite_to_task(mine, bob.key.public_key)
    with pytest.raises(UsageError, match=f"was learned by {alice.alias}"):
        bob.invite_to_task("warm", dora.key.public_key)
    with pytest.raises(UsageError, match="expected a member"):
        alice.invite_to_task("warm", remove=dora.key.public_key)
    with pytest.raises(DataError, match="public key of 64 hex digits, got 'nobody'"):
        alice.invite_to_task("warm", "nobody")
    exchange(alice, bob)
    exchange(bob, alice)
    (hers,) = (part.id for part in bob.parts() if part.author == alice.id)
    with pytest.raises(UsageError, match="its author and the owner of the task can withdraw it"):
        bob.withdraw_part(hers)
    with pytest.raises(DataError, match="at least 4 characters"):
        bob.withdraw_part("zz")


def test_the_commands_show_and_withdraw_parts(homes: Homes, tmp_path: Path) -> None:
    """In JSON and for people."""
    alice, bob = homes.agents(tmp_path, "alice", "bob")
    exchange(alice, bob)
    publish(alice)
    home = alice.home.path
    listed = run("skills", "parts", "warm", "--check", "--home", home)
    assert [part["images"] for part in listed["parts"]] == [14, 10]
    assert listed["check"] == {"task": "warm", "equal": True, "left_out": {}}
    invited = run("skills", "invite", "warm", alice.alias, "--home", home)
    assert len(invited["members"]) == 2
    key = run("status", "--home", bob.home.path)["public_key"]
    left = run("skills", "invite", "warm", "--remove", key, "--home", home)
    assert len(left["members"]) == 1
    runner = CliRunner()
    shown = runner.invoke(app, ["skills", "parts", "--home", str(home)])
    assert ("not yet" in shown.output, "yes" in shown.output) == (False, True)
    more = runner.invoke(
        app, ["learn", str(homes.folder / "two"), "--part-of", "warm", "--home", str(bob.home.path)]
    )
    assert "made part" in more.output
    part = max(
        (entry for entry in bob.bank.parts.entries() if entry.author == bob.key.public_key),
        key=lambda entry: entry.facts.sequence,
    ).id
    gone = run("skills", "withdraw-part", part[:10], "--home", bob.home.path)
    assert (gone["part"], gone["skill"]) == (part, None)


def test_three_agents_over_zenoh_equal_one(homes: Homes, tmp_path: Path) -> None:
    """Digests are equal everywhere; Dora, who has no part, gets the skill and no byte of a part."""
    for name in ("alice", "bob", "carol", "dora"):
        copytree(homes.folder / name, tmp_path / name)
    alice, bob, carol, dora = (Box(tmp_path / n) for n in ("alice", "bob", "carol", "dora"))
    with alice.on() as first:
        (endpoint,) = first.transport.endpoints()
        with bob.on(endpoint) as second, carol.on(endpoint) as third, dora.on(endpoint) as fourth:
            holders = (alice, bob, carol)
            everybody = (*holders, dora)

            def done() -> bool:
                skills = {box.agent.digest() for box in everybody}
                parts = all(len(held(box.agent)) == 3 for box in holders)
                used = [len(b.agent.bank.parts.rosters()[0].facts.parts) for b in holders]
                return parts and len(skills) == 1 and used == [3] * 3

            wait_until(done, "all agents agree")
            wait_synced(first, second, third, fourth)
            assert [published(box.agent) == homes.whole for box in everybody] == [True] * 4
            assert all(box.agent.compare_parts("warm").equal for box in holders)
            assert held(dora.agent) == set()
            assert dora.agent.bank.parts.rosters() == []
            assert not (tmp_path / "dora" / "bank" / "parts").exists()
            (chosen,) = (p.id for p in carol.agent.parts() if p.author == carol.agent.id)
            carol.agent.withdraw_part(chosen)

            def gone() -> bool:
                # A version may be replaced between its listing and its reading, or its withdrawal
                # may arrive a moment before the new version.
                return all(published(box.agent) == homes.first for box in everybody)

            wait_until(gone, "the withdrawn part is gone")
            wait_until(lambda: chosen not in held(bob.agent), "bob deleted it")


def test_nothing_of_a_task_that_is_not_shared_is_sent(homes: Homes, tmp_path: Path) -> None:
    """Members that asked before get no answer, neither to a list nor to a part."""
    alice, bob, carol = homes.agents(tmp_path, "alice", "bob", "carol")
    exchange(alice, bob)
    desk, key = AgentPartDesk(alice, ignored), alice.key.public_key
    asker = AgentPartDesk(carol, ignored)
    exchange(alice, carol)
    listed = desk.answer(asker.list_request(key))
    assert listed is not None
    wanted = asker.take_list(key, listed)
    assert desk.answer(asker.part_request(key, wanted[0])) is not None
    alice.unshare_task("warm")
    for member in (bob, carol):
        assert desk.answer(AgentPartDesk(member, ignored).list_request(key)) is None
    assert [desk.answer(asker.part_request(key, part)) for part in wanted] == [None] * len(wanted)
    with pytest.raises(UsageError, match="'warm' is not shared.*teachmesh skills share warm"):
        alice.invite_to_task("warm", [bob.key.public_key])
    alice.invite_to_task("warm", remove=[bob.key.public_key])
    alice.share_task("warm", allow_few=True)
    assert desk.answer(asker.list_request(key)) is not None
