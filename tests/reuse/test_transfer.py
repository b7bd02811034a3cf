"""Heads that start from old rows, behind a trial; heads put together without an image."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from teachmesh.learning.fit_method import fit_method
from teachmesh.mapping.moments import MomentsAnchor
from teachmesh.mapping.moments_fit import fit_moments
from teachmesh.mapping.quantise import quantise_rows
from teachmesh.model.backbone import Latents
from teachmesh.model.embedding import LabelledLatents
from teachmesh.model.head_training import HeadStart, fit_head
from teachmesh.packet.limits import DEFAULT_LIMITS
from teachmesh.packet.parent_card import MAX_PARENTS, Parent
from teachmesh.reuse.combined_moments import Part, combine_moments
from teachmesh.reuse.moments_transfer import MOST_SHOTS
from teachmesh.reuse.transfer import START_GAIN, Prior, StartTrial, Transferred, try_start
from tests.reuse.test_moments_transfer import CLASSES, bank_prior, old_task, sample

OLD = sample(1, 100)
NOTHING = (OLD[0][:0], OLD[1][:0])
SHIFT = np.random.default_rng(7).normal(size=OLD[0].shape[1]) / OLD[0].shape[1] ** 0.5
OLD_HEAD = fit_head(*OLD, *NOTHING, CLASSES, max_epochs=30).head


def start(order: np.ndarray) -> HeadStart:
    """Every class starts from the row of the class that the order says."""
    return HeadStart(np.arange(CLASSES), OLD_HEAD.weight[order], OLD_HEAD.bias[order])


def test_before_the_first_step_the_rows_are_the_old_ones() -> None:
    """And classes without a match start as they do alone."""
    x, labels = sample(40, 3)
    some = HeadStart(np.array([4, 1]), OLD_HEAD.weight[:2], OLD_HEAD.bias[:2])
    alone = fit_head(x, labels, *NOTHING, CLASSES, seed=5, max_epochs=1).head
    begun = fit_head(x, labels, *NOTHING, CLASSES, seed=5, max_epochs=1, start=some).head
    step = 1.01e-3  # one epoch is one step of Adam, at most the learning rate
    np.testing.assert_allclose(begun.weight[[4, 1]], OLD_HEAD.weight[:2], atol=step)
    np.testing.assert_allclose(
        begun.weight[[0, 2, 3, 5]], alone.weight[[0, 2, 3, 5]], atol=2 * step
    )


def test_the_trial_takes_rows_of_the_same_classes_and_refuses_mixed_up_ones() -> None:
    """Held-out shots tell them apart."""
    x, labels = sample(41, 6)
    trial = try_start(x, labels, CLASSES, start(np.arange(CLASSES)))
    assert trial.passes
    assert trial.gain > START_GAIN
    assert trial.right > trial.right_alone
    assert trial.macs > 0
    mixed_up = try_start(x, labels, CLASSES, start(np.roll(np.arange(CLASSES), 2)))
    assert not mixed_up.passes
    assert mixed_up.right <= mixed_up.right_closed < trial.right


def test_one_shot_of_a_class_cannot_be_held_out() -> None:
    """Nothing is tried, so nothing is taken."""
    x, labels = sample(41, 3)
    one = np.concatenate([np.flatnonzero(labels == 0)[:1], np.flatnonzero(labels > 0)])
    trial = try_start(x[one], labels[one], CLASSES, start(np.arange(CLASSES)))
    assert not trial.passes
    assert trial.macs == 0


def test_many_images_need_nobody() -> None:
    """Above the limit of class moments too nothing is tried, however well the rows fit."""
    few, many = (
        try_start(*sample(41, n), CLASSES, start(np.arange(CLASSES)))
        for n in (MOST_SHOTS, MOST_SHOTS + 1)
    )
    assert few.macs > 0
    assert many == StartTrial(0.0, 0.0, 0.0, 0.0, 0)
    assert not many.passes


def test_moments_of_two_styles_know_a_third() -> None:
    """Class means from the centres of their tasks: the styles drop out."""
    anchors = [fit_moments(*sample(seed, 200), CLASSES, rank=8) for seed in (1, 2)]
    everything = np.arange(CLASSES)
    parts = [Part(anchor, list(everything), everything) for anchor in anchors]
    combined = combine_moments(parts, CLASSES)
    x, labels = sample(3, 60)
    scores = combined.head_logits(x) - combined.head_logits(x).mean(axis=0)
    assert np.mean(scores.argmax(1) == labels) > 3 / CLASSES


def test_the_scatter_of_a_combination_is_the_mean_of_the_old_ones() -> None:
    """Total variance to rounding, and as much of each direction as 32 directions can hold."""
    anchors = [fit_moments(*sample(seed, 200), CLASSES, rank=8) for seed in (1, 2)]
    everything = np.arange(CLASSES)
    combined = combine_moments([Part(a, list(everything), everything) for a in anchors], CLASSES)
    assert combined.trace() == pytest.approx(np.mean([a.trace() for a in anchors]), rel=1e-3)
    old = sum(anchor.integer_scatter() for anchor in anchors) / 2
    difference = np.abs(combined.integer_scatter() - old).max()
    assert difference < 0.02 * np.abs(old).max()
    MomentsAnchor.from_tensors(combined.tensors(), CLASSES)


def test_a_combination_of_one_task_answers_as_the_task() -> None:
    """The same means, and scores in the unit of a regressed head: 1 for the right class."""
    old = old_task()
    everything = np.arange(CLASSES)
    combined = combine_moments([Part(old, list(everything), everything)], CLASSES)
    np.testing.assert_allclose(combined.class_means(), old.class_means(), atol=0.01)
    scores = combined.head_logits(old.class_means())
    others = scores[~np.eye(CLASSES, dtype=bool)]
    assert scores.diagonal().mean() - others.mean() == pytest.approx(1, abs=0.02)
    assert scores.mean() == pytest.approx(1 / CLASSES, abs=0.02)
    x, labels = sample(1, 60)
    right = [np.mean(a.head_logits(x).argmax(1) == labels) for a in (old, combined)]
    assert right[1] > right[0] - 0.05


def test_classes_that_no_two_tasks_share_stay_where_they_are() -> None:
    """What is style and what is class cannot be known: their means are the old ones."""
    one, other = (fit_moments(*sample(seed, 200), CLASSES, rank=8) for seed in (1, 2))
    parts = [Part(one, [0, 1, 2], np.arange(3)), Part(other, [3], np.array([3]))]
    means = combine_moments(parts, 4).class_means()
    expected = np.concatenate([one.class_means()[:3], other.class_means()[3:4]])
    np.testing.assert_allclose(means, expected, atol=0.01)


def test_shared_classes_tell_styles_apart() -> None:
    """A task that lacks a class, moved as a whole: the class lands where it is elsewhere."""
    old = fit_moments(*OLD, CLASSES, rank=8)
    means = old.class_means()
    levels, scales = quantise_rows(means[:5] + 0.2 * SHIFT)
    moved = dataclasses.replace(old, means=levels, mean_scales=scales)
    whole = Part(old, range(CLASSES), np.arange(CLASSES))
    combined = combine_moments([whole, Part(moved, range(5), np.arange(5))], CLASSES).class_means()
    between = combined - means  # half of the shift, for all classes alike
    np.testing.assert_allclose(between, np.tile(0.1 * SHIFT, (CLASSES, 1)), atol=0.01)


def test_a_class_that_nobody_knows_is_named() -> None:
    """Zero images need all classes."""
    anchor = fit_moments(*OLD, CLASSES, rank=8)
    with pytest.raises(ValueError, match="1 are in none"):
        combine_moments([Part(anchor, [0, 1], np.array([0, 1]))], 3)


def test_what_was_taken_is_named_and_what_was_not_leaves_no_trace() -> None:
    """Class moments with bank_prior of the same classes, and of the classes mixed up."""
    x, labels = sample(20, 3)
    train = LabelledLatents(Latents(x, x), labels)
    nothing = LabelledLatents(Latents(x[:0], x[:0]), labels[:0])
    parents = tuple(Parent(f"class {c}", "ab" * 32, f"old {c}") for c in range(CLASSES))
    alone = fit_method("moments", train, nothing, CLASSES)
    right = Prior(bank_prior(old_task()), moments_parents=parents)
    taken = fit_method("moments", train, nothing, CLASSES, prior=right)
    assert (taken.borrowed, taken.parents) == ("classes", parents)
    assert taken.calibration["reuse_gain"] > 0
    mixed = Prior(bank_prior(old_task(), np.roll(np.arange(CLASSES), 2)), moments_parents=parents)
    refused = fit_method("moments", train, nothing, CLASSES, prior=mixed)
    assert (refused.borrowed, refused.parents) == ("nothing", ())
    for name, tensor in alone.tensors().items():
        np.testing.assert_array_equal(refused.tensors()[name], tensor)


def test_a_card_that_has_no_room_for_all_parents_says_so() -> None:
    """As many as fit, in order, and a remark; as many as fit exactly need none."""
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
    assert fit_method("moments", train, nothing, CLASSES, prior=prior).warnings == (remark,)


def test_a_heads_start_is_named_on_the_card_if_it_was_taken() -> None:
    """Its gain and its parents, both or neither."""
    x, labels = sample(41, 6)
    train = LabelledLatents(Latents(x, x), labels)
    nothing = LabelledLatents(Latents(x[:0], x[:0]), labels[:0])
    parents = tuple(Parent(f"class {c}", "ab" * 32, f"old {c}") for c in range(CLASSES))
    for order, taken in ((np.arange(CLASSES), parents), (np.roll(np.arange(CLASSES), 2), ())):
        prior = Prior(start=start(order), head_parents=parents)
        fitted = fit_method("maha", train, nothing, CLASSES, prior=prior)
        assert fitted.parents == taken
        assert fitted.calibration.get("reuse_start_gain", 0.0) > 0 or not taken
        assert ("reuse_start_gain" in fitted.calibration) == bool(taken)
