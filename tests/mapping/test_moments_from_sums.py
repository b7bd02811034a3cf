"""Moments from exact sums equal those from rows, and do not depend on how a task grew."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from teachmesh.mapping.anchor_kinds import MomentsAnchor
from teachmesh.mapping.discriminant import class_means
from teachmesh.mapping.moments_fit import fit_moments
from teachmesh.mapping.moments_from_sums import (
    fit_moments_from_sums,
    ridge_from_sums,
    scatter_in_metric,
)
from teachmesh.mapping.ridge import fit_ridge
from teachmesh.mapping.task_sums import STEPS_PER_UNIT, TaskSums, fixed_point
from tests.mapping.latents import DIM, Sample, make_sample, sample_metric

METRIC = sample_metric()


def sums_of(sample: Sample) -> TaskSums:
    """Return the exact sums of a sample."""
    return TaskSums.of(sample.latents, sample.labels, sample.n_classes)


def rounded(sample: Sample) -> np.ndarray:
    """Return the latents that the sums are made of."""
    return (fixed_point(sample.latents) / STEPS_PER_UNIT).astype(np.float32)


def covariance(anchor: MomentsAnchor) -> np.ndarray:
    """Return the (D, D) covariance that an anchor describes."""
    roots = anchor.roots()
    return np.asarray(roots.T @ roots + float(anchor.rest[0]) * np.eye(anchor.dim))


@pytest.mark.parametrize(("per_class", "n_classes"), [(2, 2), (4, 5), (40, 3)])
def test_a_balanced_task_has_the_moments_of_its_rows(per_class: int, n_classes: int) -> None:
    """Means, covariance, degrees of freedom and head agree with those fitted to the latents."""
    sample = make_sample(4, n_classes=n_classes, per_class=per_class)
    expected = fit_moments(rounded(sample), sample.labels, n_classes, METRIC)
    found = fit_moments_from_sums(sums_of(sample), METRIC)
    np.testing.assert_allclose(found.class_means(), expected.class_means(), atol=0.02)
    np.testing.assert_allclose(covariance(found), covariance(expected), atol=0.02)
    assert found.degrees == expected.degrees
    scale = np.abs(expected.head_rows()).max()
    np.testing.assert_allclose(found.head_rows(), expected.head_rows(), atol=0.02 * scale)
    np.testing.assert_allclose(found.head_bias, expected.head_bias, rtol=1e-3, atol=1e-3)


def test_the_head_of_a_balanced_task_is_that_of_ridge_regression() -> None:
    """Before rounding, the two closed forms agree to many digits."""
    sample = make_sample(5, n_classes=4, per_class=9)
    weights, centre, values = fit_ridge(rounded(sample), sample.labels, 4)
    found = ridge_from_sums(sums_of(sample))
    np.testing.assert_allclose(found.weights, weights, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(found.centre, centre, atol=1e-9)
    np.testing.assert_allclose(found.values, values, atol=1e-12)


def test_classes_of_unequal_size_count_alike() -> None:
    """The centre is the mean of class means, and the scatter that of all residuals."""
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), [2, 5, 30])
    sample = Sample(make_sample(6, per_class=13).latents[:37], random.permutation(labels), 3)
    means = class_means(rounded(sample), sample.labels, 3)
    z = METRIC.apply(rounded(sample))
    residuals = z - class_means(z, sample.labels, 3)[sample.labels]
    found = scatter_in_metric(sums_of(sample), METRIC)
    np.testing.assert_allclose(found.squares.numpy(), residuals.T @ residuals, atol=1e-6)
    np.testing.assert_allclose(found.trace, (residuals**2).sum() / 34, rtol=1e-9)
    np.testing.assert_allclose(ridge_from_sums(sums_of(sample)).centre, means.mean(0), atol=1e-9)


def test_products_with_the_precision_equal_the_explicit_inverse() -> None:
    """The inverse of (1 - g) I + g own, for several weights g."""
    scatter = scatter_in_metric(sums_of(make_sample(7)), METRIC)
    own, rows = scatter.squares.numpy() / scatter.degrees, np.eye(DIM)[:5]
    for share in (0.0, 0.3, 0.9):
        expected = rows @ np.linalg.inv((1 - share) * np.eye(DIM) + share * own)
        np.testing.assert_allclose(scatter.times_precision(rows, share), expected, atol=1e-9)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1), st.integers(3, 33))
def test_a_task_that_grew_has_the_moments_of_the_whole_task(seed: int, cut: int) -> None:
    """Every byte is equal, for shuffled images in two parts with other numbers of classes."""
    sample = make_sample(8)
    order = np.random.default_rng(seed).permutation(len(sample.labels))
    parts = []
    for rows in np.split(order, [cut]):
        known, labels = np.unique(sample.labels[rows], return_inverse=True)
        part = TaskSums.of(sample.latents[rows], labels, len(known))
        parts.append(part.with_classes(known, sample.n_classes))
    found = fit_moments_from_sums(parts[0].plus(parts[1]), METRIC).tensors()
    expected = fit_moments_from_sums(sums_of(sample), METRIC).tensors()
    assert {name: array.tobytes() for name, array in found.items()} == {
        name: array.tobytes() for name, array in expected.items()
    }


def test_one_image_per_class_and_equal_images_have_moments() -> None:
    """Without degrees of freedom, or without variance, no direction has variance."""
    for labels in (np.arange(3), np.zeros(3, dtype=np.int64)):
        latents = np.full((3, DIM), 0.25, dtype=np.float32)
        anchor = fit_moments_from_sums(TaskSums.of(latents, labels, labels.max() + 1), METRIC)
        assert np.abs(anchor.variances).max() < 1e-20
        assert all(np.isfinite(array).all() for array in anchor.tensors().values())


def test_sums_of_another_network_or_without_a_class_are_refused() -> None:
    """Both are said before anything is computed."""
    sums = sums_of(make_sample(1))
    with pytest.raises(ValueError, match="latents of size 24, got 5"):
        fit_moments_from_sums(sums_of(make_sample(1, dim=5)), METRIC)
    with pytest.raises(ValueError, match="each of 4 classes, 1 have none"):
        fit_moments_from_sums(sums.with_classes(np.arange(3), 4), METRIC)
