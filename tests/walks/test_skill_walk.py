"""The walk of a skill: the stations of `Agent.learn` and `Agent.receive`, checked one by one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from teachmesh.agent import Agent, LearnOptions
from teachmesh.data.tasks import read_task
from teachmesh.errors import SkillRefused, TeachmeshError, UsageError
from teachmesh.learning.variants import find_variant
from teachmesh.model.embedding import embed_splits
from teachmesh.packet.codec import decode, encode, skill_id
from teachmesh.packet.signing import AgentKey, VerifiedSkill, sign, verify
from teachmesh.packet.skill import Skill
from tests.learned_homes import LearnedHomes


def unclocked(skill: Skill) -> bytes:
    """The bytes of a skill without the time of learning."""
    card = dataclasses.replace(skill.card, created="2000-01-01T00:00:00Z", cost_s=0.0)
    return encode(Skill(card, skill.tensors))


@pytest.mark.parametrize("reuse", ["none", "auto"])
def test_every_station_of_a_skill(
    learned: LearnedHomes, tmp_path: Path, warm: Path, reuse: str
) -> None:
    """Options, task, sources, latents, match, lesson, skill and bytes, stepped through by hand."""
    walker, learner = Agent(tmp_path / "walker"), Agent(tmp_path / "learner")
    learner.key = walker.key
    other = Agent(learned.copy(tmp_path / "other", "warm"))
    taught = other.read(other.find("warm").id)
    for agent in (walker, learner):
        agent.receive(taught)

    options = LearnOptions(name="mine", seed=3, also=("maha",), reuse=reuse)
    variant = options.variant(walker.variant)
    assert variant == find_variant("moments")

    task = read_task(warm, name=options.name, seed=options.seed)
    assert (task.name, task.classes) == ("mine", ("orange", "red", "yellow"))
    assert walker.check_task(task, variant, options) is None

    sources = walker.source_skills(task, options.reuse, options.encoder)
    assert (sources.skills is None) == (reuse == "none")

    told: list[str] = []
    latents = walker.embed_task(task, on_understood=told.append)
    assert told == [task.summary()]
    train, validation = embed_splits(walker.backbone, (task.train, task.validation))
    assert latents.train.latents.multi.tobytes() == train.latents.multi.tobytes()
    assert latents.validation.latents.last.tobytes() == validation.latents.last.tobytes()
    assert np.array_equal(latents.train.labels, task.train.labels)
    assert len(latents) == len(task.train) + len(task.validation)

    match = sources.match(latents.train)
    if reuse == "none":
        assert (match.report, match.prior) == (None, None)
    else:
        assert match.report is not None
        assert [row[0].class_name for row in match.report.matches] == list(task.classes)
        assert match.prior is not None
        assert len(match.prior.moments_parents) == 3

    lesson = options.lesson(task, variant, None, started_s=0.0)
    assert (lesson.task, lesson.also, lesson.seed) == ("mine", ("maha",), 3)
    datetime.strptime(lesson.created, "%Y-%m-%dT%H:%M:%SZ")

    skill = walker.teacher().teach(lesson, latents, match.prior)
    assert set(skill.card.anchors) == {"maha", "moments"}
    assert skill.card.backbone_fingerprint == walker.backbone.fingerprint
    assert skill.card.author == walker.key.public_key

    signed = sign(skill, walker.key)
    assert decode(signed.data).skill == skill
    assert verify(decode(signed.data)) == signed

    entry = walker.bank.put(signed)
    assert walker.read(entry.id) == signed.data
    assert entry.id == skill_id(signed.data)

    result = learner.learn(warm, name="mine", seed=3, also=("maha",), reuse=reuse)
    saved = learner.bank.load(result.skill_id).skill
    assert unclocked(saved) == unclocked(skill)
    assert (result.task, result.classes, result.n_images) == ("mine", task.classes, len(latents))
    assert (result.reuse is None) == (reuse == "none")


def test_options_and_keywords_are_the_same(tmp_path: Path, warm: Path) -> None:
    """A keyword overrides the field of the options; an unknown keyword is refused."""
    agent = Agent(tmp_path / "home")
    options = LearnOptions(method="gmmc", name="first")
    assert agent.learn(warm, options, method="maha").method == "maha"
    with pytest.raises(UsageError, match="--replace"):
        agent.learn(warm, options)
    assert agent.learn(warm, options, replace=True).task == "first"
    with pytest.raises(UsageError, match="metod"):
        agent.learn(warm, metod="maha")


def test_the_checks_before_the_first_image_come_in_order(
    learned: LearnedHomes, tmp_path: Path, warm: Path
) -> None:
    """Method, budget, further methods, folder, earlier skill, encoder: the first error counts."""
    agent = Agent(learned.copy(tmp_path / "home", "warm"))
    understood: list[str] = []
    missing = tmp_path / "missing"
    options = LearnOptions(method="x", bb_passes=3, also=("y",), encoder="z")
    for path, changes, message in (
        (missing, {}, "got 'x'"),
        (missing, {"method": None}, "--bb-passes"),
        (missing, {"bb_passes": None}, "got 'y'"),
        (missing, {"also": ()}, "got nothing there"),
        (warm, {}, "--replace"),
        (warm, {"replace": True}, "minilm"),
    ):
        options = dataclasses.replace(options, **changes)
        with pytest.raises(TeachmeshError, match=message):
            agent.learn(path, options, on_understood=understood.append)
    assert understood == []


def test_every_station_of_a_received_skill(
    learned: LearnedHomes, tmp_path: Path, warm: Path
) -> None:
    """Bytes, verified skill, entry and answer: bob answers the task that alice taught him."""
    alice = Agent(learned.copy(tmp_path / "alice", "warm", agent="alice"))
    bob = Agent(learned.copy(tmp_path / "bob", "cold", agent="bob"))
    sent = alice.find("warm").id
    data = alice.read(sent)

    verified = bob.admission.check(sent, data)
    assert isinstance(verified, VerifiedSkill)
    assert (verified.id, verified.data) == (sent, data)
    assert verified.skill == alice.bank.load(sent).skill
    assert bob.bank.put(verified, restore=False).id == sent

    other = Agent(tmp_path / "other")
    entry = other.receive(data, expected_id=sent)
    assert entry in bob.bank.entries()
    assert other.read(entry.id) == bob.read(entry.id) == data

    answer = bob.predict_one(sorted((warm / "red").iterdir())[0])
    assert not isinstance(answer, list)
    assert (answer.task, answer.class_name, answer.author) == ("warm", "red", alice.id)


def test_mallory_can_neither_forge_nor_alter_alices_skill(
    learned: LearnedHomes, tmp_path: Path
) -> None:
    """A changed byte, another author or another id is refused with a reason; the bank is empty."""
    alice, bob = Agent(learned.copy(tmp_path / "alice", "warm")), Agent(tmp_path / "bob")
    genuine = alice.find("warm").id
    data = alice.read(genuine)
    altered = bytearray(data)
    altered[-1] ^= 1
    mallory = AgentKey(bytes(range(32)))
    refusals: dict[str, Callable[[], object]] = {
        "HASH": lambda: bob.receive(bytes(altered), expected_id=genuine),
        "SIGNATURE": lambda: bob.receive(bytes(altered)),
        "AUTHOR": lambda: sign(decode(data).skill, mallory),
    }
    for reason, attempt in refusals.items():
        with pytest.raises(SkillRefused) as error:
            attempt()
        assert error.value.reason == reason
    assert bob.bank.ids() == []
