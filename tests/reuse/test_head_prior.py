"""A start that leans on old rows: what regression does of it, and what it does without them."""

from __future__ import annotations

import numpy as np
import pytest

from teachmesh.mapping.ridge import RIDGE, fit_ridge
from teachmesh.model.head_training import HeadStart
from teachmesh.reuse.head_prior import SHARPNESS, fit_start
from teachmesh.reuse.leave_one_out_ridge import USUAL_PRIOR_WEIGHT, prior_weight
from tests.reuse.test_moments_transfer import CLASSES, sample

X, LABELS = sample(11, 4)
DIM = X.shape[1]


def old_rows(classes: list[int], seed: int = 3) -> HeadStart:
    """Rows that mean nothing, for some classes."""
    rows = np.random.default_rng(seed).normal(size=(len(classes), DIM)).astype(np.float32)
    return HeadStart(np.array(classes), rows, np.zeros(len(classes), dtype=np.float32))


@pytest.mark.parametrize("classes", [[2], [2, 4]])
def test_rows_that_tell_nothing_apart_leave_ridge_regression(classes: list[int]) -> None:
    """One row has no other class to differ from; equal rows differ in nothing."""
    old = old_rows(classes)
    old.weight[:] = old.weight[0]
    weight, centre, values = fit_ridge(X, LABELS, CLASSES)
    found = fit_start(old, X, LABELS, CLASSES).start
    np.testing.assert_array_equal(found.weight, fit_start(None, X, LABELS, CLASSES).start.weight)
    np.testing.assert_array_equal(found.classes, np.arange(CLASSES))
    np.testing.assert_allclose(found.weight, SHARPNESS * weight, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found.bias, SHARPNESS * (values - weight @ centre), atol=1e-4)


def test_it_is_the_ridge_fit_of_what_a_share_of_the_old_rows_leaves() -> None:
    """Written out: the slope by leaving each shot out in turn, then one fit of the rest."""
    old = old_rows([1, 3, 5])
    differences = old.weight.astype(np.float64) - old.weight.mean(axis=0, dtype=np.float64)
    spread = (X.astype(np.float64) @ differences.T).std(axis=0)
    wanted = (0.5 * (1 / CLASSES) * (1 - 1 / CLASSES)) ** 0.5
    rows = np.zeros((CLASSES, DIM))
    rows[old.classes] = differences * (wanted / spread)[:, None]
    target, prior = np.eye(CLASSES)[LABELS], X.astype(np.float64) @ rows.T
    errors, unseen = (np.stack([_left_out(values, i) for i in range(len(X))])
                      for values in (target, prior))  # fmt: skip
    slope = prior_weight(errors, unseen)
    assert slope > 0
    offset, weights = _fit(target - slope * prior, np.arange(len(X)))
    found = fit_start(old, X, LABELS, CLASSES)
    expected = SHARPNESS * (weights + slope * rows)
    np.testing.assert_allclose(found.start.weight, expected, atol=2e-4)
    np.testing.assert_allclose(found.start.bias, SHARPNESS * offset, atol=2e-4)
    assert found.macs > len(X) ** 2 * DIM  # the Gram matrix at least


def test_old_rows_of_the_right_classes_answer_better_than_the_shots_alone() -> None:
    """Two shots a class, and a head that was learned from a hundred."""
    few, labels = sample(12, 2)
    weight, centre, values = fit_ridge(*sample(1, 100), CLASSES)
    rows = HeadStart(np.arange(CLASSES), weight.astype(np.float32), np.zeros(CLASSES, np.float32))
    start = fit_start(rows, few, labels, CLASSES).start
    asked, truth = sample(12, 60)
    alone, centre, values = fit_ridge(few, labels, CLASSES)
    right_alone = np.mean(((asked - centre) @ alone.T + values).argmax(1) == truth)
    right = np.mean((asked @ start.weight.T + start.bias).argmax(1) == truth)
    assert right > right_alone


def test_the_slope_is_half_what_leave_one_out_says_and_half_what_is_usual() -> None:
    """And never below zero; a prior that says nothing gives no slope of its own."""
    unseen = np.array([[1.0, -1.0]])
    assert prior_weight(0.8 * unseen, unseen) == pytest.approx(0.5 * (0.8 + USUAL_PRIOR_WEIGHT))
    assert prior_weight(-9 * unseen, unseen) == 0
    assert prior_weight(unseen, 0 * unseen) == pytest.approx(0.5 * USUAL_PRIOR_WEIGHT)


def _fit(targets: np.ndarray, kept: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Offset and weights of least squares with the penalty that all shots give."""
    counts = np.bincount(LABELS)
    share = 1 / (CLASSES * counts[LABELS])
    centre = share @ X.astype(np.float64)
    centred = (X - centre) * share[:, None] ** 0.5
    penalty = RIDGE * np.sum(centred**2) / len(X)
    design = np.concatenate([np.ones((len(kept), 1)), X[kept]], axis=1) * share[kept, None] ** 0.5
    square = design.T @ design + np.diag([0.0] + [penalty] * DIM)
    solved = np.linalg.solve(square, design.T @ (targets[kept] * share[kept, None] ** 0.5))
    return solved[0], solved[1:].T


def _left_out(targets: np.ndarray, i: int) -> np.ndarray:
    """What a fit without one shot leaves of its targets."""
    offset, weights = _fit(targets, np.delete(np.arange(len(X)), i))
    return np.asarray(targets[i] - offset - weights @ X[i])
