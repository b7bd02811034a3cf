"""Biases are kept if they help on validation images, and dropped otherwise."""

from __future__ import annotations

import numpy as np

from teachmesh.biases.bias_choice import (
    FEWEST_WRONG,
    Candidate,
    accuracy,
    choose,
    gain_can_show,
    gain_is_clear,
    not_tried,
)
from teachmesh.mapping.fusion import fuse, log_softmax
from teachmesh.model.head import Head

LABELS = np.arange(40) % 2
VALUES = np.zeros(3, dtype=np.int8), np.ones(1, dtype=np.float32)
HEAD = Head(np.eye(2, dtype=np.float32), np.zeros(2, dtype=np.float32))


def scores(right: int, margin: float = 2.0) -> np.ndarray:
    """Return (40, 2) features for which `HEAD` answers the first `right` images correctly."""
    sure = np.where(np.arange(40) < right, margin, -margin)
    return np.where(LABELS[:, None] == [[0, 1]], sure[:, None], 0).astype(np.float32)


def test_a_better_decision_is_kept_with_both_accuracies() -> None:
    """30 of 40 answers are correct without biases, 38 with them."""
    chosen = choose(Candidate(HEAD, scores(38)), VALUES, log_softmax(scores(30)), LABELS, [1.0])
    assert (chosen.accuracy_without, chosen.accuracy_with) == (0.75, 0.95)
    assert chosen.weight == 1.0
    assert chosen.biases is not None
    np.testing.assert_allclose(chosen.biases.head().weight, HEAD.weight, atol=0.01)


def test_a_worse_decision_is_dropped_and_both_accuracies_are_reported() -> None:
    """The card reports the attempt; the skill stays without biases."""
    chosen = choose(Candidate(HEAD, scores(20)), VALUES, log_softmax(scores(30)), LABELS, [1.0])
    assert (chosen.weight, chosen.biases) == (0.0, None)
    assert (chosen.accuracy_without, chosen.accuracy_with) == (0.75, 0.5)


def test_a_worse_decision_is_kept_if_biases_are_always_kept() -> None:
    """The paper's way: the decision with biases replaces the other one, whatever it is worth."""
    worse = Candidate(HEAD, scores(20))
    chosen = choose(worse, VALUES, log_softmax(scores(30)), LABELS, [1.0], always=True)
    assert chosen.weight == 1.0
    assert chosen.biases is not None
    assert (chosen.accuracy_without, chosen.accuracy_with) == (0.75, 0.5)


def test_fused_decisions_never_answer_worse_than_those_without() -> None:
    """This holds for any quality of the biased decision."""
    without = log_softmax(scores(30))
    for right in range(0, 41, 4):
        chosen = choose(
            Candidate(HEAD, scores(right)), VALUES, without, LABELS, [0.25, 0.5, 0.75, 1.0]
        )
        kept = chosen.accuracy_with if chosen.biases else chosen.accuracy_without
        assert kept >= accuracy(without, LABELS)


def test_surer_answers_that_are_no_better_are_dropped() -> None:
    """They would cost every answer a second pass without any gain."""
    surer = Candidate(HEAD, scores(40, margin=6.0))
    assert choose(surer, VALUES, log_softmax(scores(40)), LABELS, [1.0]).biases is None


def test_a_gain_within_its_noise_is_dropped() -> None:
    """Two images gained are a clear gain; two gained and one lost equally surely are noise."""
    margins = np.where(np.arange(40) < 30, 1.0, -1.0)
    for gained, lost, clear in ((2, 0, True), (2, 1, False), (9, 2, True), (0, 0, False)):
        after = margins.copy()
        after[:lost], after[30 : 30 + gained] = -1.0, 1.0
        before, new = (
            log_softmax(np.where(LABELS[:, None] == [[0, 1]], side[:, None], 0))
            for side in (margins, after)
        )
        assert gain_is_clear(before, new, LABELS) == clear


def test_all_images_count_for_a_clear_gain() -> None:
    """One more correct answer is enough only if true classes get more probable on all images."""
    right = np.arange(40) < 30
    before = np.where(right, 0.5, -1.0)
    alone, throughout = before.copy(), np.where(right, 2.0, -1.0)
    alone[30] = throughout[30] = 0.1
    pooled = [
        log_softmax(np.where(LABELS[:, None] == [[0, 1]], side[:, None], 0))
        for side in (before, alone, throughout)
    ]
    assert not gain_is_clear(pooled[0], pooled[1], LABELS)
    assert gain_is_clear(pooled[0], pooled[2], LABELS)


def test_the_log_loss_chooses_the_weight() -> None:
    """A better decision gets a larger weight."""
    weights = [0.25, 0.5, 0.75, 1.0]
    without = log_softmax(scores(30))
    weak, strong = (
        choose(Candidate(HEAD, scores(right)), VALUES, without, LABELS, weights).weight
        for right in (31, 40)
    )
    assert weak <= strong == 1.0


def test_a_pool_of_weight_nought_and_one_is_one_of_the_two() -> None:
    """Every pool is normalised."""
    a, b = log_softmax(scores(30)), log_softmax(scores(38, 1.0))
    np.testing.assert_allclose(fuse(a, b, 0.0), a, atol=1e-12)
    np.testing.assert_allclose(fuse(a, b, 1.0), b, atol=1e-12)
    np.testing.assert_allclose(np.exp(fuse(a, b, 0.3)).sum(1), 1)


def test_biases_are_not_tried_where_their_best_case_is_within_noise() -> None:
    """Biases are not trained with fewer than `FEWEST_WRONG` wrong images."""
    for wrong in range(FEWEST_WRONG + 2):
        posteriors = log_softmax(scores(40 - wrong))
        assert gain_can_show(posteriors, LABELS) == (wrong >= FEWEST_WRONG)
    said = not_tried(log_softmax(scores(39)), LABELS)
    assert (said.weight, said.biases) == (0.0, None)
    assert said.accuracy_with == said.accuracy_without == 39 / 40
