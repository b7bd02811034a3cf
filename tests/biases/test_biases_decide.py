"""Answers come from the biased network, even if a skill shifts every answer by one class."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from teachmesh.agent import Agent
from teachmesh.data.loader import iterate_batches
from teachmesh.data.tasks import read_task
from teachmesh.learning.fit_method import linear_within
from teachmesh.mapping.anchor_kinds import MomentsAnchor
from teachmesh.model.embedding import LabelledLatents
from teachmesh.model.head import Head
from teachmesh.packet.bias_tensors import SkillBiases
from teachmesh.packet.signing import sign
from teachmesh.packet.skill import Skill
from teachmesh_lab.evaluation.measure import measure
from tests.biases.bias_samples import biased
from tests.learned_homes import LearnedHomes
from tests.packet.sample_skills import sample_bias_card

CLASSES = 3


def answering_the_next_class(plain: Skill, agent: Agent) -> Skill:
    """Add biases of zero and a head that shifts the classes by one and decides alone."""
    anchor = plain.anchor("moments")
    assert isinstance(anchor, MomentsAnchor)
    head = linear_within(anchor, agent.metric())
    turned = Head(np.roll(head.weight, 1, axis=0), np.roll(head.bias, 1))
    layout = biased(agent.backbone, "last:1").layout
    card = sample_bias_card(layout, choice="last:1", features="multi")
    biases = SkillBiases.of(np.zeros(layout.total, np.float32), None, turned).tensors()
    return Skill(dataclasses.replace(plain.card, biases=card), {**plain.tensors, **biases})


@pytest.fixture
def agents(learned: LearnedHomes, tmp_path: Path) -> tuple[Agent, Agent]:
    """An agent that learned without biases, and one that has the skill with biases."""
    plain, turned = Agent(learned.copy(tmp_path / "plain", "warm")), Agent(tmp_path / "turned")
    skill = plain.bank.load(plain.find("warm").id).skill
    turned.receive(sign(answering_the_next_class(skill, turned), plain.key).data)
    return plain, turned


@pytest.mark.parametrize("given", [None, "warm"])
def test_predictions_are_those_of_the_second_pass(
    agents: tuple[Agent, Agent], warm: Path, given: str | None
) -> None:
    """Every image gets the class after that of the first pass, with a given task and without."""
    classes = read_task(warm).classes
    before, after = (
        [classes.index(p.class_name) for p in agent.predict_many(warm, task=given).predictions]
        for agent in agents
    )
    assert len(set(before)) == CLASSES
    assert after == [(index + 1) % CLASSES for index in before]


def test_measured_answers_are_those_of_the_second_pass(
    agents: tuple[Agent, Agent], warm: Path
) -> None:
    """Labels are the expected answers: all correct with images, none without a second pass."""
    plain, turned = agents
    task = read_task(warm)
    images = task.test.images
    (batch,) = iterate_batches(images, plain.backbone.size, batch_size=len(images))
    latents = plain.backbone.embed(batch.images)
    first = plain.sync().decide(latents).class_given(0)
    tests = {"warm": LabelledLatents(latents, (first + 1) % CLASSES)}
    classes = {"warm": task.classes}
    (score,) = measure(turned, classes, tests, {"warm": images})
    assert (score.oracle, score.final, score.direct) == (1.0, 1.0, 1.0)
    (score,) = measure(turned, classes, tests)
    assert (score.oracle, score.final, score.direct) == (0.0, 0.0, 0.0)
