"""Source skills: matches and priors of a new task from a bank of real skills."""

from __future__ import annotations

import numpy as np
import pytest

from teachmesh.errors import UsageError
from teachmesh.mapping.anchor import TaskAnchor
from teachmesh.mapping.maha import fit_maha
from teachmesh.mapping.metric import Metric
from teachmesh.model.backbone import Latents
from teachmesh.model.embedding import LabelledLatents
from teachmesh.model.head import Head
from teachmesh.packet.card import Card
from teachmesh.packet.parent_card import Parent
from teachmesh.packet.skill import Skill
from teachmesh.reuse.source_skills import (
    WITHOUT_IMAGE,
    SourceSkill,
    SourceSkills,
    apart_from,
    without_copies,
)
from teachmesh.reuse.text_encoders import NameComparer
from tests.reuse.test_moments_transfer import CLASSES, DIM, METRIC, old_task, sample

NAMES = ("dog", "cat", "horse", "house", "guitar", "person")
MOMENTS, OTHER, HEADED, SMALL = ("1" * 64, "2" * 64, "3" * 64, "4" * 64)


def source(
    skill_id: str,
    anchor: TaskAnchor,
    head: Head | None = None,
    parents: tuple[str, ...] = (),
    warnings: tuple[str, ...] = (),
    classes: tuple[str, ...] = NAMES,
    also: tuple[TaskAnchor, ...] = (),
) -> SourceSkill:
    """Return a source with a skill of the given parts."""
    card = Card(
        task=skill_id[0],
        classes=classes,
        images_per_class=(9,) * CLASSES,
        validation_images=0,
        method=anchor.kind,
        anchors=tuple(sorted(part.kind for part in (anchor, *also))),
        backbone_name="drawn",
        backbone_fingerprint="a" * 64,
        reference_id="b" * 64,
        validation_accuracy=None,
        cost_macs=0,
        cost_s=0.0,
        author="c" * 64,
        alias="ann",
        created="2026-11-30T11:00:00Z",
        privacy="statistics",
        version="0",
        parents=tuple(Parent(NAMES[0], parent, NAMES[0]) for parent in parents),
        warnings=warnings,
    )
    skill = Skill.of(card, [anchor, *also], head)
    return SourceSkill(skill_id, card.task, "ann", "c" * 64, classes, {skill_id: skill}.__getitem__)


def headed(
    skill_id: str = HEADED, dim: int = DIM, also: tuple[TaskAnchor, ...] = ()
) -> SourceSkill:
    """Return a source with a trained head of the given size, by default without class moments."""
    x, labels = sample(3, 9)
    random = np.random.default_rng(4)
    weight, bias = random.normal(size=(CLASSES, dim)), random.normal(size=CLASSES)
    head = Head(weight.astype(np.float32), bias.astype(np.float32))
    return source(skill_id, fit_maha(x[:, :dim], labels, CLASSES), head, also=also)


def bank(*sources: SourceSkill) -> SourceSkills:
    """Return sources that match equal names."""
    return SourceSkills(sources, NameComparer(), "text", lambda: METRIC)


def test_the_bank_has_the_mean_covariance_of_the_skills_with_moments() -> None:
    """Skills without moments have no class means, and change no covariance."""
    anchors = [old_task(1), old_task(2)]
    sources = bank(source(MOMENTS, anchors[0]), headed(), source(OTHER, anchors[1]))
    one, none, other = sources.source_tasks()
    assert none.means is None
    for anchor, found in zip(anchors, (one, other), strict=True):
        np.testing.assert_array_equal(found.means, anchor.class_means())
    parts = [a.roots().T @ a.roots() + float(a.rest[0]) * np.eye(a.dim) for a in anchors]
    np.testing.assert_allclose(sources.covariance(), np.mean(parts, axis=0), rtol=1e-12)
    assert bank(headed()).covariance() is None
    assert bank(headed()).transform() is None


def test_matched_classes_give_their_moments_and_their_head_rows() -> None:
    """Moments and heads of other sizes, as another backbone has them, are left out."""
    anchor = old_task(1)
    sources = bank(headed(SMALL, DIM - 1), source(MOMENTS, anchor), headed())
    x, labels = sample(20, 3)
    train = LabelledLatents(Latents(x, x), labels)
    report = sources.match("new", ("tree", NAMES[4], NAMES[1]), train)
    assert [[match.label for match in row] for row in report.matches] == [[], [4] * 3, [1] * 3]
    assert (report.n_matched, report.n_known, report.by_looks) == (2, 3, False)
    prior = sources.prior_of(report, train)
    assert prior.bank is not None
    (matched,) = prior.bank.matched
    assert len(prior.bank.tasks) == 1
    np.testing.assert_array_equal(matched.classes, [1, 2])
    np.testing.assert_array_equal(matched.means, anchor.class_means()[[4, 1]])
    np.testing.assert_array_equal(matched.rows, anchor.head_rows()[[4, 1]])
    assert prior.moments_parents == tuple(Parent(NAMES[k], MOMENTS, NAMES[k]) for k in (4, 1))
    old, start = headed().skill.head(), prior.start
    assert old is not None
    assert start is not None
    np.testing.assert_array_equal(start.classes, [1, 2])
    np.testing.assert_array_equal(start.weight, old.weight[[4, 1]])
    np.testing.assert_array_equal(start.bias, old.bias[[4, 1]])
    assert prior.head_parents == tuple(Parent(NAMES[k], HEADED, NAMES[k]) for k in (4, 1))


def test_latents_of_another_size_use_no_moments() -> None:
    """Their parents are not named either."""
    sources = bank(source(MOMENTS, old_task(1)))
    x, labels = sample(20, 3)
    report = sources.match("new", NAMES, None)
    short = LabelledLatents(Latents(x[:, 1:], x[:, 1:]), labels)
    prior = sources.prior_of(report, short)
    assert (prior.bank, prior.start, prior.moments_parents) == (None, None, ())


def test_combinations_of_present_skills_are_left_out() -> None:
    """Each counts if one of its parents is missing; learned skills always count."""
    anchor = old_task(1)
    plain, other = source(MOMENTS, anchor), source(OTHER, anchor, parents=(MOMENTS,))
    whole = source(HEADED, anchor, parents=(MOMENTS, OTHER), warnings=(WITHOUT_IMAGE,))
    part = source(SMALL, anchor, parents=(MOMENTS, "5" * 64), warnings=(WITHOUT_IMAGE,))
    assert without_copies([plain, other, whole, part]) == (plain, other, part)
    assert apart_from([plain, other, whole, part], frozenset({OTHER})) == (plain, part)
    assert apart_from([plain, other, whole, part], frozenset({MOMENTS})) == ()


def test_the_mode_none_reads_no_skill() -> None:
    """Other modes read the skills once; an unknown mode is refused before that."""
    read = []

    def sources() -> list[SourceSkill]:
        read.append(1)
        return [headed()]

    def metric() -> Metric:
        return METRIC

    assert SourceSkills.of(sources, metric, "none", "names") is None
    with pytest.raises(UsageError, match="auto, text, vision or none, got 'smell'"):
        SourceSkills.of(sources, metric, "smell", "names")
    assert read == []
    by_names = SourceSkills.of(sources, metric, "text", "names")
    by_looks = SourceSkills.of(sources, metric, "vision", "names")
    assert by_names is not None
    assert by_looks is not None
    assert (by_names.encoder, by_looks.encoder, len(read)) == ("names", None, 2)
