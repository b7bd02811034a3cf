"""No skill of a peer makes an answer fail: it is refused or set aside, and the others answer."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from teachmesh.agent import Agent
from teachmesh.agent.answers.answer_writer import AnswerWriter
from teachmesh.agent.answers.student import Student
from teachmesh.agent.skill_faults import SkillFault
from teachmesh.errors import SkillRefused
from teachmesh.mapping.metric import Metric
from teachmesh.model.backbone import Latents
from teachmesh.packet.codec import encode
from teachmesh.packet.signing import VerifiedSkill, sign
from teachmesh.packet.skill import Skill
from teachmesh.reuse.source_skills import SourceSkill
from tests.learned_homes import LearnedHomes
from tests.packet.sample_skills import MALLORY, N_CLUSTERS, moments_skill, sample_card

METRIC = Metric.identity(8)
EXTREMES = np.array([0, 1e-45, 1e-7, -1e-7, 1, -1, 16, 1e4, -1e4, 1e6, -1e6], np.float32)
Tensors = dict[str, np.ndarray]


def narrow(tensors: Mapping[str, np.ndarray]) -> Tensors:
    """Return tensors of a skill with 7 latents."""
    found = {name: array[:, :7] if array.ndim == 2 else array for name, array in tensors.items()}
    if "moments.variances" in found:
        # The mean variance of the latents is limited.
        found["moments.variances"] = found["moments.variances"] / 1024
    return found


def headless(tensors: Mapping[str, np.ndarray]) -> Tensors:
    """Return tensors of a skill without a trained head."""
    return {name: array for name, array in tensors.items() if not name.startswith("head.")}


def forged(skill: Skill, task: str, tensors: Tensors) -> VerifiedSkill:
    """Return a skill with other tensors that Mallory signs."""
    card = dataclasses.replace(skill.card, task=task, author=MALLORY.public_key)
    return sign(Skill(card, tensors), MALLORY)


@pytest.mark.parametrize("method", ["gmmc", "maha", "moments"])
def test_a_skill_that_does_not_fit_its_backbone_is_refused_or_set_aside(
    method: str, learned: LearnedHomes, tmp_path: Path, warm: Path
) -> None:
    """An older version may have saved it before: then it has a reason, and the others answer."""
    home = learned.copy(tmp_path / "bob", "warm", "cold", method=method)
    bob = Agent(home, mapper=method)
    skill = bob.bank.load(bob.find("warm").id).skill
    image = warm / "red" / "00.png"
    expected = bob.predict(image)
    bad = {"narrow": forged(skill, "narrow", narrow(skill.tensors))}
    if method != "moments":
        bad["headless"] = forged(skill, "headless", headless(skill.tensors))
    for found in bad.values():
        with pytest.raises(SkillRefused, match=r"of size 1024 .* got 7|carries no head") as refused:
            bob.receive(found.data)
        assert refused.value.reason == "SCHEMA"
        bob.bank.put(found)
    assert bob.predict(image) == expected
    again = Agent(tmp_path / "bob", mapper=method)
    reasons = {info.task: info.reason for info in again.infos() if not info.usable}
    assert set(reasons) == set(bad)
    assert again.predict(image) == expected


def test_a_skill_that_cannot_be_registered_is_set_aside() -> None:
    """The student names the reason and registers the others."""
    good = moments_skill()
    broken = good.tensors | {"gmmc.variances": np.zeros((N_CLUSTERS, 8), np.float32)}
    bank = {"bad": Skill(good.card, broken), "good": good}
    student = Student("gmmc", METRIC)
    student.sync(bank, bank.__getitem__)
    assert student.skill_ids == ("good",)
    assert "expected variances of at least" in student.unusable["bad"]


def test_a_skill_that_fails_in_an_answer_is_named() -> None:
    """Decisions of a skill are computed late, so its fault may come late."""
    good = moments_skill()
    broken = {**good.tensors, "head.bias": np.full(3, np.inf, np.float32)}
    latents = Latents(*np.ones((2, 2, 8), np.float32))
    for tensors in (broken, narrow_head(good.tensors)):
        bank = {"bad": Skill(good.card, tensors), "good": good}
        student = Student("gmmc", METRIC)
        student.sync(bank, bank.__getitem__)
        with np.errstate(invalid="ignore"), pytest.raises(SkillFault) as fault:
            list(student.decide(latents).within)
        assert fault.value.skill_id == "bad"


def narrow_head(tensors: Mapping[str, np.ndarray]) -> Tensors:
    """Return tensors of a skill whose head reads 7 latents."""
    return {**tensors, "head.weight": tensors["head.weight"][:, :7]}


def valid_skill(method: str, n_classes: int) -> Skill:
    """Return a skill with one anchor of a method."""
    if method != "maha":
        skill = moments_skill(n_classes)
        kept = (f"{method}.", f"held_out.{method}", "head." if method == "gmmc" else "-")
        tensors = {n: a for n, a in skill.tensors.items() if n.startswith(kept)}
    else:
        random, labels = np.random.default_rng(0), np.arange(3 * n_classes) % n_classes
        shapes = {"maha.means": (n_classes, 8), "maha.samples": (3 * n_classes, 8)}
        shapes |= {"head.weight": (n_classes, 8), "head.bias": (n_classes,)}
        tensors = {n: random.normal(size=s).astype(np.float32) for n, s in shapes.items()}
        tensors["maha.sample_classes"] = labels.astype(np.uint16)
    return Skill(sample_card(n_classes, method=method, anchors=(method,)), tensors)


def mutated(skill: Skill, random: np.random.Generator) -> Skill:
    """Set entries of some tensors to extreme values."""
    tensors = {name: np.array(array) for name, array in skill.tensors.items()}
    for name in random.choice(sorted(tensors), random.integers(1, 4)):
        array = tensors[name]
        kind = {"f": EXTREMES, "i": np.array([-127, 0, 127]), "u": np.array([0, 1])}
        chosen = random.random(array.shape) < random.choice([0.1, 1.0])
        values = random.choice(kind[array.dtype.kind], array.shape)
        if random.random() < 0.5:
            values = np.full(array.shape, values.flat[0])
        if array.dtype == np.float16:
            values = np.clip(values, -6e4, 6e4)
        array[chosen] = values[chosen].astype(array.dtype)
    return Skill(skill.card, tensors)


def is_admitted(skill: Skill) -> bool:
    """Return whether a skill passes the checks of its content."""
    try:
        encode(skill)
    except SkillRefused:
        return False
    return True


@pytest.mark.parametrize("method", ["gmmc", "maha", "moments"])
def test_no_admitted_numbers_make_an_answer_fail(method: str) -> None:
    """Huge, tiny and zero numbers, one class: all probabilities are finite, no warning is given."""
    random, tried = np.random.default_rng(0), 0
    for _ in range(100):
        bad = mutated(valid_skill(method, int(random.integers(1, 4))), random)
        if not is_admitted(bad):
            continue
        tried += 1
        bank = {"bad": bad, "good": valid_skill(method, 3)}
        points = random.normal(size=(4, 8)) * random.choice([1e-3, 1.0, 30.0])
        check_answers(method, bank, points.astype(np.float32))
    assert tried >= 20


def check_answers(method: str, bank: Mapping[str, Skill], points: np.ndarray) -> None:
    """Describe the answers of a student, and check every number in them."""
    student = Student(method, METRIC)
    student.sync(bank, bank.__getitem__)
    assert student.skill_ids == tuple(sorted(bank))
    sources = [
        SourceSkill(key, key, "mallory", "x", skill.card.classes, bank.__getitem__)
        for key, skill in sorted(bank.items())
    ]
    for given in (None, "bad"):
        decisions = student.decide(Latents(points, points), given)
        for found in AnswerWriter(sources).describe(decisions, list("abcd"), 3, 0.25):
            numbers = [found.probability, *(other.probability for other in found.alternatives)]
            assert all(0 <= number <= 1 + 1e-9 for number in numbers)
            assert np.isfinite(found.familiarity)
