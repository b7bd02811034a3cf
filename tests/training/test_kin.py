"""Heads that start from old rows, behind a trial; heads put together without an image."""

from __future__ import annotations

import numpy as np
import pytest

from skillmesh.mapping.moments import fit_moments
from skillmesh.model.backbone import Latents
from skillmesh.packet.parent_card import Parent
from skillmesh.training.combine import Part, combine_heads, combine_moments
from skillmesh.training.embedding import LabelledLatents
from skillmesh.training.heads import HeadStart, fit_head
from skillmesh.training.kin import START_GAIN, Kin, trial_of_start
from skillmesh.training.methods import fit_method
from tests.training.test_borrow import CLASSES, old_task, relatives, sample

OLD = sample(1, 100)
NOTHING = (OLD[0][:0], OLD[1][:0])
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
    trial = trial_of_start(x, labels, CLASSES, start(np.arange(CLASSES)))
    assert trial.passes
    assert trial.gain > START_GAIN
    assert trial.right > trial.right_alone
    assert trial.macs > 0
    assert trial_of_start(x, labels, CLASSES, start(np.roll(np.arange(CLASSES), 2))).gain < 0


@pytest.mark.parametrize("p", [np.inf, 2.0])
def test_a_head_from_rows_of_two_heads_is_far_above_chance_without_an_image(p: float) -> None:
    """Three classes of one old task, three of another style of them."""
    other = fit_head(*sample(2, 100), *NOTHING, CLASSES, max_epochs=30).head
    head = combine_heads([OLD_HEAD, other], [[0, 1, 2], [3, 4, 5]], p)
    lengths = np.linalg.norm(head.weight, ord=p, axis=1)
    np.testing.assert_allclose(lengths, 1.0, rtol=1e-6)
    x, labels = sample(1, 40)
    assert np.mean(head.logits(x).argmax(1) == labels) > 2 / CLASSES


def test_moments_of_two_styles_know_a_third() -> None:
    """Class means from the centres of their tasks: the styles drop out."""
    anchors = [fit_moments(*sample(seed, 200), CLASSES, rank=8) for seed in (1, 2)]
    everything = np.arange(CLASSES)
    parts = [Part(anchor, list(everything), everything) for anchor in anchors]
    head = combine_moments(parts, CLASSES)
    x, labels = sample(3, 60)
    scores = head.logits(x) - head.logits(x).mean(axis=0)
    assert np.mean(scores.argmax(1) == labels) > 3 / CLASSES


def test_a_class_that_nobody_knows_is_named() -> None:
    """Zero images need all classes."""
    anchor = fit_moments(*OLD, CLASSES, rank=8)
    with pytest.raises(ValueError, match="1 are in none"):
        combine_moments([Part(anchor, [0, 1], np.array([0, 1]))], 3)


def test_what_was_taken_is_named_and_what_was_not_leaves_no_trace() -> None:
    """Class moments with relatives of the same classes, and of the classes mixed up."""
    x, labels = sample(20, 3)
    train = LabelledLatents(Latents(x, x), labels)
    nothing = LabelledLatents(Latents(x[:0], x[:0]), labels[:0])
    parents = tuple(Parent(f"class {c}", "ab" * 32, f"old {c}") for c in range(CLASSES))
    alone = fit_method("moments", train, nothing, CLASSES)
    right = Kin(relatives(old_task()), moments_parents=parents)
    taken = fit_method("moments", train, nothing, CLASSES, kin=right)
    assert (taken.borrowed, taken.parents) == ("classes", parents)
    assert taken.calibration["reuse_gain"] > 0
    mixed = Kin(relatives(old_task(), np.roll(np.arange(CLASSES), 2)), moments_parents=parents)
    refused = fit_method("moments", train, nothing, CLASSES, kin=mixed)
    assert (refused.borrowed, refused.parents) == ("nothing", ())
    for name, tensor in alone.tensors().items():
        np.testing.assert_array_equal(refused.tensors()[name], tensor)
