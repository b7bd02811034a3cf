"""Biases of a bank that a student may use."""

from __future__ import annotations

import dataclasses

import numpy as np

from teachmesh.agent.answers.student import Student
from teachmesh.mapping.metric import Metric
from teachmesh.mapping.moments_fit import fit_moments
from teachmesh.packet.skill import Skill
from tests.packet.test_bias_card import DROPPED, biased_skill

METRIC = Metric.identity(8)


def with_moments(skill: Skill, method: str) -> Skill:
    """Return the skill with a second anchor, learned by one of the two methods."""
    generator = np.random.default_rng(0)
    latents = generator.normal(size=(60, 8)).astype(np.float32)
    latents /= np.linalg.norm(latents, axis=1, keepdims=True)
    anchor = fit_moments(latents, np.arange(60) % 3, 3, METRIC)
    tensors = {f"moments.{name}": array for name, array in anchor.tensors().items()}
    card = dataclasses.replace(skill.card, anchors=("gmmc", "moments"), method=method)
    return Skill(card, {**skill.tensors, **tensors})


def test_biases_are_used_only_with_the_method_that_they_were_chosen_for() -> None:
    """A trained head with biases was never compared with moments, and vice versa."""
    bank = {
        "by gmmc": with_moments(biased_skill(), "gmmc"),
        "by moments": with_moments(biased_skill(), "moments"),
        "dropped": with_moments(biased_skill(DROPPED), "gmmc"),
    }
    for method in ("gmmc", "moments"):
        student = Student(method, METRIC)
        student.sync(bank, bank.__getitem__)
        assert set(student.biased()) == {f"by {method}"}
