"""Class moments with a bank prior: a gain if the classes match, otherwise no change."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from teachmesh.mapping.anchor_kinds import MomentsAnchor
from teachmesh.mapping.metric import Metric, ReferenceLatents, fit_metric
from teachmesh.mapping.moments_fit import fit_moments
from teachmesh.mapping.whitening import DenseWhitening
from teachmesh.reuse.moments_prior import BankPrior, MatchedClasses, pooled_whitening
from teachmesh.reuse.moments_transfer import (
    MOST_SHOTS,
    SMALL_LOSS,
    gate_moments,
    run_trials,
    scores_within_task,
)

DIM, CLASSES = 48, 6
LOOKS = np.random.default_rng(5).normal(size=(CLASSES, DIM))
SPREAD = np.random.default_rng(6).uniform(0.3, 1.4, DIM)


def sample(seed: int, per_class: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (N, D) latents and (N,) labels of the six classes in a random style."""
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(CLASSES), per_class)
    style = random.normal(size=DIM)
    rows = style + LOOKS[labels] + SPREAD * 4.0 * random.normal(size=(len(labels), DIM))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows.astype(np.float32), labels


def reference_metric() -> Metric:
    """Return the metric of eight other sets of six classes, as reference images would give it."""
    parts = [sample(seed, 40) for seed in range(900, 908)]
    latents = np.concatenate([x for x, _ in parts])
    labels = np.concatenate([labels + CLASSES * i for i, (_, labels) in enumerate(parts)])
    return fit_metric(ReferenceLatents(latents, labels, None))


METRIC = reference_metric()


def old_task(seed: int = 1) -> MomentsAnchor:
    """Return moments of the six classes in another style, from many images."""
    return fit_moments(*sample(seed, 300), CLASSES, METRIC, rank=8)


def bank_prior(old: MomentsAnchor, order: np.ndarray | None = None) -> BankPrior:
    """Return a prior in which all six classes match, in the right or a wrong order."""
    chosen = np.arange(CLASSES) if order is None else order
    rows = old.head_rows()
    matched = MatchedClasses(np.arange(CLASSES), old.class_means()[chosen], rows[chosen])
    return BankPrior((old.moments(),), METRIC, (matched,))


def test_three_shots_gain_from_their_classes_in_another_style() -> None:
    """The mean gain over draws is large, and no draw loses much."""
    prior, gains = bank_prior(old_task()), []
    for seed in range(20, 26):
        x, labels = sample(seed, 40)
        rows = np.concatenate([np.flatnonzero(labels == c)[:3] for c in range(CLASSES)])
        alone = fit_moments(x[rows], labels[rows], CLASSES, METRIC, rank=8)
        found = gate_moments(alone, x[rows], labels[rows], CLASSES, prior)
        others = np.setdiff1d(np.arange(len(x)), rows)
        scores = scores_within_task((alone, found.anchor), x[others], METRIC)
        accuracy = [float(np.mean(s.argmax(1) == labels[others])) for s in scores]
        gains.append(accuracy[1] - accuracy[0])
    assert np.mean(gains) > 0.05
    assert min(gains) > -0.05


def test_a_closed_gate_returns_the_anchor_of_the_task_alone() -> None:
    """Classes matched in a wrong order fail the gate, and the object itself is returned."""
    x, labels = sample(30, 3)
    alone = fit_moments(x, labels, CLASSES, METRIC, rank=8)
    wrong = bank_prior(old_task(), np.roll(np.arange(CLASSES), 2))
    found = gate_moments(alone, x, labels, CLASSES, wrong)
    assert found.kind == "nothing"
    assert found.anchor is alone
    assert found.trial is not None
    assert found.trial.right_alone < 1


@pytest.mark.parametrize("per_class", [1, MOST_SHOTS + 1])
def test_nothing_is_tried_with_one_shot_or_many_shots(per_class: int) -> None:
    """One shot cannot be held out, and many shots need no prior."""
    x, labels = sample(31, per_class)
    alone = fit_moments(x, labels, CLASSES, METRIC, rank=8)
    found = gate_moments(alone, x, labels, CLASSES, bank_prior(old_task()))
    assert (found.kind, found.trial) == ("nothing", None)
    assert found.anchor is alone


def test_a_single_task_without_a_match_is_not_used() -> None:
    """The covariance of one task is no useful prior."""
    x, labels = sample(32, 3)
    alone = fit_moments(x, labels, CLASSES, METRIC, rank=8)
    unrelated = BankPrior((old_task().moments(),), METRIC)
    assert gate_moments(alone, x, labels, CLASSES, unrelated).anchor is alone


def test_a_gain_that_is_too_small_to_matter_is_none() -> None:
    """Shots that are far apart have a loss near zero with and without the prior."""
    x, labels = sample(34, 6)
    easy = (x + 4 * LOOKS[labels]).astype(np.float32)
    prior = bank_prior(old_task())
    for trial in run_trials(easy, labels, CLASSES, prior).values():
        assert trial.right == trial.right_alone == 1
        assert trial.loss < SMALL_LOSS
        assert trial.gain == 0
    alone = fit_moments(easy, labels, CLASSES, METRIC, rank=8)
    assert gate_moments(alone, easy, labels, CLASSES, prior).anchor is alone


def test_an_anchor_with_a_prior_is_admitted_by_a_student() -> None:
    """Its tensors pass the checks for received skills, and its covariance is unchanged."""
    x, labels = sample(33, 3)
    alone = fit_moments(x, labels, CLASSES, METRIC, rank=8)
    found = gate_moments(alone, x, labels, CLASSES, bank_prior(old_task()))
    assert found.kind == "classes"
    tensors = found.anchor.tensors()
    MomentsAnchor.from_tensors(tensors, CLASSES)
    for name in ("directions", "variances", "rest", "degrees"):
        assert tensors[name] is alone.tensors()[name]


def test_pooled_whitening_needs_no_square_matrix_where_tasks_are_few() -> None:
    """Inner products equal those of the dense covariance of these tasks."""
    tasks = [old_task(seed).moments() for seed in (1, 2)]
    covariance = np.mean([t.roots.T @ t.roots + t.rest * np.eye(DIM) for t in tasks], axis=0)
    ridge = (1e-3 + 0.1) * np.trace(covariance) / DIM + 1e-9
    dense = DenseWhitening(covariance + ridge * np.eye(DIM))
    rows = torch.from_numpy(LOOKS)
    one, other = pooled_whitening(tasks, 0.1).apply(rows), dense.apply(rows)
    np.testing.assert_allclose((one @ one.T).numpy(), (other @ other.T).numpy(), rtol=1e-6)
