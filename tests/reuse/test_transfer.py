"""Heads that start from old rows, tasks combined without an image, and records of a transfer."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from teachmesh.learning.fit_method import fit_method
from teachmesh.mapping.anchor_kinds import MomentsAnchor
from teachmesh.mapping.discriminant import own_share
from teachmesh.mapping.moments_fit import (
    DENSITY_SHARE,
    HEAD_SHARE,
    HEAD_TEMPERATURE,
    fit_moments,
)
from teachmesh.mapping.quantise import quantise_rows
from teachmesh.model.backbone import Latents
from teachmesh.model.embedding import LabelledLatents
from teachmesh.model.head import OldClasses
from teachmesh.model.head_training import HeadStart, fit_head
from teachmesh.packet.limits import DEFAULT_LIMITS
from teachmesh.packet.parent_card import MAX_PARENTS, Parent
from teachmesh.reuse.combined_anchors import STYLE_RIDGE, combine_moments
from teachmesh.reuse.moments_transfer import MOST_SHOTS
from teachmesh.reuse.transfer import START_GAIN, Prior, StartTrial, Transferred, try_start
from tests.reuse.test_moments_transfer import CLASSES, METRIC, bank_prior, old_task, sample

OLD = sample(1, 100)
NOTHING = (OLD[0][:0], OLD[1][:0])
SHIFT = np.random.default_rng(7).normal(size=OLD[0].shape[1]) / OLD[0].shape[1] ** 0.5
OLD_HEAD = fit_head(*OLD, *NOTHING, CLASSES, max_epochs=30).head


def start(order: np.ndarray) -> HeadStart:
    """Return a start with the old rows in the given order."""
    return HeadStart(np.arange(CLASSES), OLD_HEAD.weight[order], OLD_HEAD.bias[order])


def test_training_begins_with_the_old_rows() -> None:
    """Classes without a match start as without a prior."""
    x, labels = sample(40, 3)
    some = HeadStart(np.array([4, 1]), OLD_HEAD.weight[:2], OLD_HEAD.bias[:2])
    alone = fit_head(x, labels, *NOTHING, CLASSES, seed=5, max_epochs=1).head
    begun = fit_head(x, labels, *NOTHING, CLASSES, seed=5, max_epochs=1, start=some).head
    step = 1.01e-3  # one epoch is one step of Adam, at most the learning rate
    np.testing.assert_allclose(begun.weight[[4, 1]], OLD_HEAD.weight[:2], atol=step)
    np.testing.assert_allclose(
        begun.weight[[0, 2, 3, 5]], alone.weight[[0, 2, 3, 5]], atol=2 * step
    )


def test_the_trial_accepts_matching_rows_and_refuses_permuted_ones() -> None:
    """Held-out shots show the difference."""
    x, labels = sample(41, 6)
    trial = try_start(x, labels, CLASSES, start(np.arange(CLASSES)))
    assert trial.passes
    assert trial.gain > START_GAIN
    assert trial.right > trial.right_alone
    assert trial.macs > 0
    permuted = try_start(x, labels, CLASSES, start(np.roll(np.arange(CLASSES), 2)))
    assert not permuted.passes
    assert permuted.right <= permuted.right_closed < trial.right


def test_a_class_with_one_shot_prevents_the_trial() -> None:
    """Its only shot cannot be held out."""
    x, labels = sample(41, 3)
    one = np.concatenate([np.flatnonzero(labels == 0)[:1], np.flatnonzero(labels > 0)])
    trial = try_start(x[one], labels[one], CLASSES, start(np.arange(CLASSES)))
    assert not trial.passes
    assert trial.macs == 0


def test_many_images_prevent_the_trial() -> None:
    """Above the limit nothing is tried, even if the rows fit well."""
    few, many = (
        try_start(*sample(41, n), CLASSES, start(np.arange(CLASSES)))
        for n in (MOST_SHOTS, MOST_SHOTS + 1)
    )
    assert few.macs > 0
    assert many == StartTrial(0.0, 0.0, 0.0, 0.0, 0)
    assert not many.passes


def logits(anchor: MomentsAnchor, points: np.ndarray) -> np.ndarray:
    """Return (N, C) scores of an anchor's head at points of the metric's space."""
    return points @ anchor.head_rows().T + anchor.head_bias


def covariance(anchor: MomentsAnchor) -> np.ndarray:
    """Return the (D, D) covariance of an anchor."""
    return anchor.roots().T @ anchor.roots() + float(anchor.rest[0]) * np.eye(anchor.dim)


def test_moments_of_two_styles_classify_a_third() -> None:
    """The styles of the old tasks are removed."""
    anchors = [fit_moments(*sample(seed, 200), CLASSES, METRIC, rank=8) for seed in (1, 2)]
    everything = np.arange(CLASSES)
    parts = [OldClasses(anchor, list(everything), everything) for anchor in anchors]
    combined = combine_moments(parts, CLASSES)
    x, labels = sample(3, 60)
    scores = logits(combined, METRIC.apply(x))
    assert np.mean((scores - scores.mean(axis=0)).argmax(1) == labels) > 3 / CLASSES


def test_the_covariance_of_a_combination_is_the_mean_of_the_old_ones() -> None:
    """This holds up to rounding, because both have 16 directions and 32 can be sent."""
    anchors = [fit_moments(*sample(seed, 200), CLASSES, METRIC, rank=8) for seed in (1, 2)]
    everything = np.arange(CLASSES)
    combined = combine_moments(
        [OldClasses(a, list(everything), everything) for a in anchors], CLASSES
    )
    assert combined.spread() == pytest.approx(np.mean([a.spread() for a in anchors]), rel=1e-3)
    assert combined.degrees.tolist() == [sum(int(a.degrees[0]) for a in anchors)]
    old = np.mean([covariance(anchor) for anchor in anchors], axis=0)
    assert np.abs(covariance(combined) - old).max() < 0.02 * np.abs(old).max()
    MomentsAnchor.from_tensors(combined.tensors(), CLASSES)


def test_a_combination_of_one_task_answers_like_this_task() -> None:
    """It has the means of the task, and its head has the scale of a fitted head.

    Without the density's part, the right class is ahead by 1 / `HEAD_TEMPERATURE` on average.
    """
    old = old_task()
    everything = np.arange(CLASSES)
    combined = combine_moments([OldClasses(old, list(everything), everything)], CLASSES)
    means = old.class_means()
    np.testing.assert_allclose(combined.class_means(), means, atol=float(old.mean_scales.max()))
    share = own_share(int(old.degrees[0]), HEAD_SHARE)
    precision = np.linalg.inv((1 - share) * np.eye(old.dim) + share * covariance(old))
    offsets = means[:, None] - means  # (class mean, class, D)
    densities = -0.5 * np.einsum("ijk,kl,ijl->ij", offsets, precision, offsets)
    scores = logits(combined, means) - DENSITY_SHARE * densities
    others = scores.sum(axis=1) - scores.diagonal()
    lead = float((scores.diagonal() - others / (CLASSES - 1)).mean())
    assert lead == pytest.approx(1 / HEAD_TEMPERATURE, rel=0.02)
    x, labels = sample(1, 60)
    points = METRIC.apply(x)
    right = [np.mean(logits(a, points).argmax(1) == labels) for a in (old, combined)]
    assert right[1] > right[0] - 0.05


def test_means_of_classes_that_no_tasks_share_stay() -> None:
    """Style and class cannot be separated, so the old means are kept."""
    one, other = (fit_moments(*sample(seed, 200), CLASSES, METRIC, rank=8) for seed in (1, 2))
    parts = [OldClasses(one, [0, 1, 2], np.arange(3)), OldClasses(other, [3], np.array([3]))]
    means = combine_moments(parts, 4).class_means()
    expected = np.concatenate([one.class_means()[:3], other.class_means()[3:4]])
    steps = max(float(anchor.mean_scales.max()) for anchor in (one, other))
    np.testing.assert_allclose(means, expected, atol=steps)


def test_shared_classes_determine_the_styles() -> None:
    """One task lacks a class and is shifted as a whole; the missing class shifts with it.

    Five shared classes and the penalty r on two styles move the missing class by
    shift / (2 + 0.4 r), and the shared classes by half of the shift.
    """
    old = fit_moments(*OLD, CLASSES, METRIC, rank=8)
    means, shift = old.class_means(), 8 * SHIFT
    levels, scales = quantise_rows(means[:5] + shift)
    moved = dataclasses.replace(old, means=levels, mean_scales=scales)
    whole = OldClasses(old, range(CLASSES), np.arange(CLASSES))
    combined = combine_moments([whole, OldClasses(moved, range(5), np.arange(5))], CLASSES)
    parts = np.array([1 / 2] * 5 + [1 / (2 + 0.4 * STYLE_RIDGE)])
    steps = float(scales.max() + combined.mean_scales.max())
    between = combined.class_means() - means
    np.testing.assert_allclose(between, np.outer(parts, shift), atol=steps / 2)
    assert steps < 0.1 * np.abs(shift).max()


def test_a_class_in_no_part_is_refused() -> None:
    """A task without images needs all its classes."""
    anchor = fit_moments(*OLD, CLASSES, METRIC, rank=8)
    with pytest.raises(ValueError, match="1 are in none"):
        combine_moments([OldClasses(anchor, [0, 1], np.array([0, 1]))], 3)


def test_a_transfer_is_recorded_and_a_refused_one_leaves_no_trace() -> None:
    """Class moments with matching classes, and with permuted ones."""
    x, labels = sample(20, 3)
    train = LabelledLatents(Latents(x, x), labels)
    nothing = LabelledLatents(Latents(x[:0], x[:0]), labels[:0])
    parents = tuple(Parent(f"class {c}", "ab" * 32, f"old {c}") for c in range(CLASSES))
    alone = fit_method("moments", train, nothing, CLASSES, METRIC)
    right = Prior(bank_prior(old_task()), moments_parents=parents)
    transferred = fit_method("moments", train, nothing, CLASSES, METRIC, prior=right)
    assert (transferred.borrowed, transferred.parents) == ("classes", parents)
    assert transferred.notes["reuse_gain"] > 0
    permuted = Prior(
        bank_prior(old_task(), np.roll(np.arange(CLASSES), 2)), moments_parents=parents
    )
    refused = fit_method("moments", train, nothing, CLASSES, METRIC, prior=permuted)
    assert (refused.borrowed, refused.parents) == ("nothing", ())
    for name, tensor in alone.tensors().items():
        np.testing.assert_array_equal(refused.tensors()[name], tensor)


def test_a_card_without_space_for_all_parents_has_a_remark() -> None:
    """The first parents in order are kept; if all fit, there is no remark."""
    parents = [Parent("x", f"{number:064x}", "old") for number in range(MAX_PARENTS + 1)]
    full, over = Transferred(set(parents[:-1])), Transferred(set(parents))
    assert full.sorted_parents() == over.sorted_parents() == tuple(parents[:-1])
    assert full.remarks() == ()
    (remark,) = over.remarks()
    assert "2048 of the 2049" in remark
    assert len(remark) <= DEFAULT_LIMITS.warning
    x, labels = sample(20, 3)
    train = LabelledLatents(Latents(x, x), labels)
    nothing = LabelledLatents(Latents(x[:0], x[:0]), labels[:0])
    prior = Prior(bank_prior(old_task()), moments_parents=tuple(parents))
    assert fit_method("moments", train, nothing, CLASSES, METRIC, prior=prior).warnings == (remark,)


def test_a_transferred_start_is_recorded_on_the_card() -> None:
    """Gain and parents are recorded for matching rows, and neither for permuted ones."""
    x, labels = sample(41, 6)
    train = LabelledLatents(Latents(x, x), labels)
    nothing = LabelledLatents(Latents(x[:0], x[:0]), labels[:0])
    parents = tuple(Parent(f"class {c}", "ab" * 32, f"old {c}") for c in range(CLASSES))
    for order, expected in ((np.arange(CLASSES), parents), (np.roll(np.arange(CLASSES), 2), ())):
        prior = Prior(start=start(order), head_parents=parents)
        fitted = fit_method("maha", train, nothing, CLASSES, METRIC, prior=prior)
        assert fitted.parents == expected
        assert fitted.notes.get("reuse_start_gain", 0.0) > 0 or not expected
        assert ("reuse_start_gain" in fitted.notes) == bool(expected)
