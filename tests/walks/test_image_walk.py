"""The walk of an image: the stations of `Agent.predict_many`, checked one by one."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from teachmesh.agent import Agent, Answers
from teachmesh.agent.answers import student as student_module
from teachmesh.agent.answers.second_passes import Refiner
from teachmesh.agent.answers.student import Student
from teachmesh.data.image_inputs import find_images
from teachmesh.data.images import decode_upright
from teachmesh.data.pixels import squash
from teachmesh.errors import DataError
from teachmesh.model.embedding import BATCH_SIZE, embed_images
from teachmesh.packet.signing import sign
from tests.biases.test_biases_decide import answering_the_next_class
from tests.learned_homes import LearnedHomes


@pytest.fixture
def agent(learned: LearnedHomes, tmp_path: Path) -> Agent:
    """An agent that learned the tasks warm and cold."""
    return Agent(learned.copy(tmp_path / "home", "warm", "cold"))


@pytest.fixture
def biased(learned: LearnedHomes, tmp_path: Path, agent: Agent) -> Agent:
    """An agent whose skill of warm has biases that answer with the next class."""
    biased = Agent(learned.copy(tmp_path / "biased", "cold", agent="biased"))
    skill = agent.bank.load(agent.find("warm").id).skill
    biased.receive(sign(answering_the_next_class(skill, biased), agent.key).data)
    return biased


def test_every_station_of_an_image(agent: Agent, cold: Path) -> None:
    """Pixels, latents, mapper, class and author, each compared with a computation by hand."""
    path = sorted((cold / "cyan").iterdir())[0]

    images = find_images(path)
    assert [image.name for image in images] == [str(path)]

    skills = agent.sync()
    by_hand = Student("moments", agent.backbone.reference.metric)
    by_hand.sync(
        {entry.id: entry for entry in agent.bank.entries()},
        lambda skill_id: agent.bank.load(skill_id).skill,
    )
    assert skills.skill_ids == by_hand.skill_ids == tuple(agent.bank.ids())

    (seen,) = agent.embed(images)
    size = agent.backbone.size
    upright = decode_upright(path.read_bytes(), size)  # (H, W, 3) uint8
    pixels = squash(upright[None], size).transpose(0, 3, 1, 2)  # (1, 3, S, S)
    latents = agent.backbone.embed(torch.from_numpy(np.ascontiguousarray(pixels)))
    assert seen.latents.last.tobytes() == latents.last.tobytes()
    assert seen.latents.multi.tobytes() == latents.multi.tobytes()

    decisions = skills.decide(seen.latents)
    expected = by_hand.decide(latents)
    assert decisions.joint().tobytes() == expected.joint().tobytes()
    assert np.isclose(np.exp(decisions.joint()).sum(), 1)

    assert agent.refine(decisions, seen) is decisions  # no skill has biases

    (prediction,) = agent.describe(decisions, seen)
    tasks, classes = expected.answer()
    skill_id = expected.skill_ids[int(tasks[0])]
    card = by_hand.skill(skill_id).card
    assert (card.task, card.classes[int(classes[0])]) == ("cold", "cyan")
    assert (prediction.task, prediction.class_name) == ("cold", "cyan")
    assert (prediction.skill_id, prediction.author) == (skill_id, agent.id)

    assert agent.predict_many(path) == Answers((prediction,), (), "moments", "embedded")


def test_the_stations_with_a_known_task(agent: Agent, cold: Path) -> None:
    """Only classes of the task are candidates, with their posteriors within the task."""
    path = sorted((cold / "cyan").iterdir())[0]
    given = agent.skill_given("warm")
    (seen,) = agent.embed(find_images(path), given)
    decisions = agent.sync().decide(seen.latents, given)
    assert decisions.given is not None
    assert decisions.skill_ids[decisions.given] == given == agent.find("warm").id
    (prediction,) = agent.describe(agent.refine(decisions, seen), seen)
    assert prediction.probability == float(np.exp(decisions.within[decisions.given][0]).max())
    assert agent.predict_many(path, task="warm").predictions == (prediction,)


def test_the_stations_with_biases(
    biased: Agent, warm: Path, cold: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Portions keep bounded activations; the second pass equals one over all images at once."""
    second = biased.second_pass()
    assert second is not None
    bytes_each = 4 * sum(int(np.prod(shape)) for shape in second.network.kept_shapes)
    monkeypatch.setattr(student_module, "KEPT_BYTES", 2 * BATCH_SIZE * bytes_each)
    images = find_images([str(warm), str(cold)])
    whole = embed_images(biased.backbone, images)
    first = biased.sync().decide(whole.latents)

    found, sizes, earlier = [], [], None
    for seen in biased.embed(images):
        assert earlier is None or not earlier.kept  # freed before the next portion
        start = sum(sizes)
        rows = slice(start, start + len(seen.names))
        assert np.array_equal(seen.latents.multi, whole.latents.multi[rows])
        decisions = biased.sync().decide(seen.latents)
        refiner = Refiner(second, decisions, seen.kept_rows)
        refined = biased.refine(decisions, seen)
        expected = refiner.given(decisions.answer()[0])
        assert refined.joint().tobytes() == expected.joint().tobytes()
        found += biased.describe(refined, seen)
        sizes.append(len(seen.names))
        earlier = seen
    assert sizes == [32, 32, 8]
    with pytest.raises(ValueError, match="before the next one"):
        biased.refine(decisions, seen)

    answers = biased.predict_many([str(warm), str(cold)])
    assert list(answers.predictions) == found
    tasks, classes = first.answer()
    for i, prediction in enumerate(found):
        skill = biased.sync().skill(first.skill_ids[int(tasks[i])])
        step = 1 if skill.card.task == "warm" else 0
        assert prediction.class_name == skill.card.classes[(int(classes[i]) + step) % 3]


def test_unreadable_images_are_named_and_the_others_answered(
    agent: Agent, biased: Agent, warm: Path, tmp_path: Path
) -> None:
    """One sentence per unreadable image; an error only if no image can be read."""
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    good = sorted((warm / "red").iterdir())[0]
    for one in (agent, biased):
        passes = one.embed(find_images([str(broken), str(good)]))
        assert [seen.names for seen in passes] == [(str(good),)]
        assert [reason.count(str(broken)) for reason in passes.failed] == [1]
        answers = one.predict_many([str(broken), str(good)])
        assert answers.failed == tuple(passes.failed)
        assert [prediction.image for prediction in answers.predictions] == [str(good)]
        with pytest.raises(DataError, match=r"broken\.png"):
            one.predict_many(broken)


def test_equivalent_classes_are_described(tmp_path: Path, agent: Agent, warm: Path) -> None:
    """A class that another task also has is listed under "same as"."""
    image = sorted((warm / "red").iterdir())[0]
    (before,) = agent.predict_many(image).predictions
    assert (before.same_as, before.probability_together) == ((), before.probability)
    agent.learn(warm, name="warm again", seed=1)
    (after,) = agent.predict_many(image, alternatives=5).predictions
    assert [(s.class_name, s.probability) for s in after.same_as] == [("red", 1.0)]
    assert {after.task, after.same_as[0].task} == {"warm", "warm again"}
    assert dataclasses.replace(after, same_as=()).class_name == before.class_name
    (twin,) = (a for a in after.alternatives if a.class_name == "red")
    assert after.probability_together == pytest.approx(after.probability + twin.probability)
    (told,) = agent.predict_many(image, task=after.task).predictions
    assert told.probability_together is None  # other tasks are no candidates
