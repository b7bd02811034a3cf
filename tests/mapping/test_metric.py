"""The metric compared with explicit covariances, and its fit to three kinds of images."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from teachmesh.mapping.metric import (
    DIRECTIONS,
    PROCEDURAL_SHARE,
    TASK_SHARE,
    TOTAL_SHARE,
    Metric,
    ReferenceLatents,
    fit_metric,
)
from teachmesh.mapping.whitening import RIDGE
from tests.mapping.latents import make_sample

DIM = 20


def random_metric(seed: int = 0) -> Metric:
    """Return a metric with five directions, three background directions and a centre."""
    random = np.random.default_rng(seed)

    def levels(count: int) -> np.ndarray:
        return random.integers(-127, 128, (count, DIM)).astype(np.int8)

    def positive(count: int, high: float) -> np.ndarray:
        return random.uniform(0.1, high, count).astype(np.float32)

    centre = random.normal(size=DIM).astype(np.float32)
    return Metric(centre, levels(5), positive(5, 9), positive(DIM, 2), levels(3), positive(3, 50))


def low_rank(directions: np.ndarray, variances: np.ndarray) -> np.ndarray:
    """Return the sum of outer products of unit directions, weighted by variances."""
    total = np.zeros((directions.shape[1],) * 2)
    for row, variance in zip(directions.astype(np.float64), variances, strict=True):
        total += float(variance) * np.outer(row, row) / (row @ row)
    return total


def covariance(metric: Metric) -> np.ndarray:
    """Return the (D, D) covariance that a metric stands for, without the ridge."""
    return low_rank(metric.directions, metric.variances) + np.diag(metric.rest.astype(np.float64))


def test_the_covariance_becomes_the_identity_and_the_centre_zero() -> None:
    """The oracle builds the covariance from outer products."""
    metric = random_metric()
    explicit = covariance(metric)
    explicit += (RIDGE * np.trace(explicit) / DIM + 1e-9) * np.eye(DIM)
    matrix = metric.apply(np.eye(DIM) + metric.centre)  # x - centre is multiplied by this matrix
    np.testing.assert_allclose(matrix.T @ explicit @ matrix, np.eye(DIM), atol=1e-9)
    np.testing.assert_array_equal(metric.apply(metric.centre[None]), np.zeros((1, DIM)))


def test_undo_inverts_apply_and_pull_back_is_its_transpose() -> None:
    """Both directions, and equal products of rows with points."""
    metric = random_metric()
    random = np.random.default_rng(1)
    latents, points, rows = (random.normal(size=(n, DIM)) for n in (6, 5, 4))
    np.testing.assert_allclose(metric.undo(metric.apply(latents)) + metric.centre, latents)
    np.testing.assert_allclose(metric.apply(metric.undo(points) + metric.centre), points)
    np.testing.assert_allclose(metric.pull_back(rows) @ points.T, rows @ metric.undo(points).T)


def test_the_background_is_a_plain_gaussian() -> None:
    """Its covariance is I plus outer products of the background directions."""
    metric = random_metric()
    explicit = np.eye(DIM) + low_rank(metric.background, metric.spreads)
    points = 3 * np.random.default_rng(2).normal(size=(7, DIM))
    squared = np.einsum("nd,de,ne->n", points, np.linalg.inv(explicit), points)
    expected = -0.5 * (squared + np.linalg.slogdet(explicit)[1])
    found = metric.background_gaussian.score(torch.from_numpy(points)).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_the_identity_leaves_latents_as_they_are() -> None:
    """Except for the ridge of a thousandth."""
    latents = np.random.default_rng(0).normal(size=(4, DIM))
    found = Metric.identity(DIM).apply(latents)
    np.testing.assert_allclose(found, latents / np.sqrt(1 + RIDGE), rtol=1e-6)


@pytest.mark.parametrize(
    "changes",
    [
        {"centre": np.zeros(DIM)},
        {"centre": np.full(DIM, np.nan, np.float32)},
        {"centre": np.zeros(DIM - 1, np.float32)},
        {"directions": np.ones((5, DIM), np.int16)},
        {"directions": np.zeros((5, DIM), np.int8)},
        {"directions": np.full((5, DIM), -128, np.int8)},
        {"directions": np.ones((4, DIM), np.int8)},
        {"variances": np.full(5, -1, np.float32)},
        {"variances": np.full(5, np.inf, np.float32)},
        {"rest": np.full(DIM, -1e-6, np.float32)},
        {"rest": np.ones(1, np.float32)},
        {"background": np.ones((3, DIM + 1), np.int8)},
        {"spreads": np.full(3, -1, np.float32)},
        {"spreads": np.ones((3, 1), np.float32)},
        {"variances": np.zeros(5, np.float32), "rest": np.zeros(DIM, np.float32)},
    ],
)
def test_arrays_that_do_not_fit_are_refused(changes: dict[str, np.ndarray]) -> None:
    """Wrong types, shapes, levels and variances."""
    with pytest.raises(ValueError, match="its metric"):
        dataclasses.replace(random_metric(), **changes)


def reference(dim: int = DIM) -> tuple[np.ndarray, np.ndarray]:
    """Return latents of 40 classes with 12 images each, and their labels."""
    samples = [make_sample(seed, n_classes=4, dim=dim) for seed in range(10)]
    latents = np.concatenate([sample.latents for sample in samples])
    return latents, np.concatenate([sample.labels + 4 * t for t, sample in enumerate(samples)])


def within_covariance(latents: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the unbiased covariance about the class means, one class at a time."""
    total, classes = np.zeros((latents.shape[1],) * 2), np.unique(labels)
    for label in classes:
        rows = latents[labels == label].astype(np.float64)
        total += (rows - rows.mean(0)).T @ (rows - rows.mean(0))
    return np.asarray(total / (len(latents) - len(classes)))


def expected_covariance(latents: np.ndarray, labels: np.ndarray | None, share: float) -> np.ndarray:
    """Return the covariance that a metric of these latents stands for."""
    if labels is not None:
        return share * within_covariance(latents, labels)
    total = np.cov(latents.T.astype(np.float64), bias=True)
    mean = np.trace(total) / len(total) * np.eye(len(total))
    return np.asarray(share * (0.5 * total + 0.5 * mean))


@pytest.mark.parametrize("dim", [DIM, DIRECTIONS + 40])
@pytest.mark.parametrize("images", ["labelled", "unlabelled", "procedural"])
def test_the_fit_is_the_covariance_of_the_images_times_its_share(images: str, dim: int) -> None:
    """The trace is the stated share; the matrix is equal except for rounding to int8."""
    latents, labels = reference(dim)
    given = labels if images == "labelled" else None
    looks = None if images == "procedural" else np.stack([latents[::2], 1.3 * latents[1::2]])
    share = {"labelled": TASK_SHARE, "unlabelled": TOTAL_SHARE, "procedural": PROCEDURAL_SHARE}
    metric = fit_metric(ReferenceLatents(latents, given, looks))
    expected = expected_covariance(latents, given, share[images])
    assert metric.trace == pytest.approx(np.trace(expected), rel=0.01)
    found = covariance(metric)
    np.testing.assert_allclose(np.diag(found), np.diag(expected), rtol=0.02)
    count = min(dim, DIRECTIONS)
    assert metric.directions.shape == metric.background.shape == (count, dim)
    values, vectors = np.linalg.eigh(expected)
    leading = (vectors[:, -count:] * values[-count:]) @ vectors[:, -count:].T
    assert np.linalg.norm(low_rank(metric.directions, metric.variances) - leading, 2) < (
        0.02 * values[-1]
    )
    np.testing.assert_allclose(metric.centre, latents.mean(0), atol=1e-6)


def test_the_background_covers_plain_images_and_all_looks() -> None:
    """In the metric's space: covariance of all images, but at least 1 in every direction."""
    latents, labels = reference()
    looks = np.stack([latents[::2], 1.5 * latents[1::2], -latents[::2]])
    metric = fit_metric(ReferenceLatents(latents, labels, looks))
    points = np.concatenate([metric.apply(part) for part in (latents[::2], *looks)])
    values, vectors = np.linalg.eigh(np.cov(points.T, bias=True))
    expected = (vectors * np.maximum(values, 1)) @ vectors.T
    found = np.eye(DIM) + low_rank(metric.background, metric.spreads)
    assert np.linalg.norm(found - expected, 2) < 0.02 * values[-1]


def test_equal_images_give_equal_bytes() -> None:
    """The metric is part of the fingerprint."""
    latents, labels = reference()
    one, two = (fit_metric(ReferenceLatents(latents, labels, None)) for _ in range(2))
    for field in dataclasses.fields(Metric):
        assert getattr(one, field.name).tobytes() == getattr(two, field.name).tobytes()
