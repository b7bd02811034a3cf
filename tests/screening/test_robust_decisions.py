"""Ids, numbers of classes, sharp heads and wide covariances give an attacker nothing.

These hold for every admitted skill, without any screening.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import pytest

from teachmesh.agent.answers.student import Student
from teachmesh.mapping.anchor_kinds import MAX_SPREAD, MomentsAnchor
from teachmesh.mapping.metric import Metric
from teachmesh.model.backbone import Latents
from teachmesh.packet.skill import Skill
from tests.screening.drawn_tasks_bank import DIM, drawn_anchor, skill_of, with_means

HONEST = {"b" * 64: drawn_anchor(1), "c" * 64: drawn_anchor(2)}


def images_of(anchor: MomentsAnchor, count: int = 60) -> np.ndarray:
    """Draw images of a task, (count, D)."""
    random = np.random.default_rng(3)
    labels = np.arange(count) % anchor.n_classes
    return anchor.class_means()[labels] + random.normal(size=(count, DIM))


def answers(anchors: Mapping[str, MomentsAnchor], points: np.ndarray) -> list[tuple[str, int]]:
    """Return the skill and the class that answer each image."""
    skills: dict[str, Skill] = {
        key: skill_of("task", anchor, "alice").skill for key, anchor in anchors.items()
    }
    student = Student("moments", Metric.identity(DIM))
    student.sync(skills, skills.__getitem__)
    latents = points.astype(np.float32)
    tasks, classes = student.decide(Latents(latents, latents)).answer()
    return [(student.skill_ids[t], int(c)) for t, c in zip(tasks, classes, strict=True)]


def test_an_id_that_sorts_first_wins_no_tie() -> None:
    """A copy has equal evidence: it gets about half of the images, whatever its id."""
    points = images_of(HONEST["b" * 64], 400)
    for ground in ("0" * 64, "f" * 64):
        found = answers({**HONEST, ground: HONEST["b" * 64]}, points)
        assert 150 <= sum(skill == ground for skill, _ in found) <= 250


def test_a_sharp_head_changes_no_answer() -> None:
    """The task is chosen by its evidence, in which no head takes part."""
    near = with_means(0.7 * HONEST["b" * 64].class_means())
    points = np.vstack([images_of(anchor) for anchor in HONEST.values()])
    plain = answers({**HONEST, "a" * 64: near}, points)
    sharp = dataclasses.replace(near, head_scales=1000 * near.head_scales)
    assert answers({**HONEST, "a" * 64: sharp}, points) == plain


def test_one_class_has_no_advantage_over_many() -> None:
    """The best class of a task counts, so one class of a task has the evidence of all of them."""
    anchor = HONEST["b" * 64]
    one = dataclasses.replace(
        anchor,
        **{
            name: getattr(anchor, name)[:1]
            for name in ("means", "mean_scales", "head", "head_scales", "head_bias")
        },
    )
    points = images_of(anchor, 300)
    found = answers({**HONEST, "a" * 64: one}, points)
    taken = [i for i, (skill, _) in enumerate(found) if skill == "a" * 64]
    assert {i % anchor.n_classes for i in taken} == {0}
    assert 25 <= len(taken) <= 75


@pytest.mark.parametrize("number", [1, 24])
def test_a_huge_covariance_moves_no_honest_decision(number: int) -> None:
    """Nothing is shared between tasks, and wide tasks have less evidence."""
    points = np.vstack([images_of(anchor) for anchor in HONEST.values()])
    widest = np.array([0.99 * MAX_SPREAD], np.float32)
    hostile = {
        f"{index:064x}": dataclasses.replace(
            drawn_anchor(50 + index), rest=widest, variances=np.zeros(2, np.float32)
        )
        for index in range(number)
    }
    assert answers({**HONEST, **hostile}, points) == answers(HONEST, points)
