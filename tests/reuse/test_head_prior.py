"""Closed-form starts of a head, with and without old rows as a prior."""

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
    """Return random rows for some classes."""
    rows = np.random.default_rng(seed).normal(size=(len(classes), DIM)).astype(np.float32)
    return HeadStart(np.array(classes), rows, np.zeros(len(classes), dtype=np.float32))


@pytest.mark.parametrize("classes", [[2], [2, 4]])
def test_rows_without_differences_leave_plain_ridge_regression(classes: list[int]) -> None:
    """A single row, or equal rows, cannot separate classes."""
    old = old_rows(classes)
    old.weight[:] = old.weight[0]
    weight, centre, values = fit_ridge(X, LABELS, CLASSES)
    found = fit_start(old, X, LABELS, CLASSES).start
    np.testing.assert_array_equal(found.weight, fit_start(None, X, LABELS, CLASSES).start.weight)
    np.testing.assert_array_equal(found.classes, np.arange(CLASSES))
    np.testing.assert_allclose(found.weight, SHARPNESS * weight, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found.bias, SHARPNESS * (values - weight @ centre), atol=1e-4)


def test_the_start_equals_an_explicit_ridge_fit_with_a_prior() -> None:
    """The weight of the prior comes from fits that leave out one shot each."""
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


def test_old_rows_of_matching_classes_raise_the_accuracy() -> None:
    """The task has two shots per class; the old head was learned from a hundred."""
    few, labels = sample(12, 2)
    weight, centre, values = fit_ridge(*sample(1, 100), CLASSES)
    rows = HeadStart(np.arange(CLASSES), weight.astype(np.float32), np.zeros(CLASSES, np.float32))
    start = fit_start(rows, few, labels, CLASSES).start
    asked, truth = sample(12, 60)
    alone, centre, values = fit_ridge(few, labels, CLASSES)
    right_alone = np.mean(((asked - centre) @ alone.T + values).argmax(1) == truth)
    right = np.mean((asked @ start.weight.T + start.bias).argmax(1) == truth)
    assert right > right_alone


def test_the_prior_weight_is_averaged_with_the_usual_one() -> None:
    """It is never negative; for a prior without information it is half the usual weight."""
    unseen = np.array([[1.0, -1.0]])
    assert prior_weight(0.8 * unseen, unseen) == pytest.approx(0.5 * (0.8 + USUAL_PRIOR_WEIGHT))
    assert prior_weight(-9 * unseen, unseen) == 0
    assert prior_weight(unseen, 0 * unseen) == pytest.approx(0.5 * USUAL_PRIOR_WEIGHT)


def _fit(targets: np.ndarray, kept: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return offset and weights of ridge regression, with the penalty of all shots."""
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
    """Return the error of a fit without one shot on that shot."""
    offset, weights = _fit(targets, np.delete(np.arange(len(X)), i))
    return np.asarray(targets[i] - offset - weights @ X[i])
