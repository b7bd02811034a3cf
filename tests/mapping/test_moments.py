"""Class moments compared with plain Gaussians and direct solutions."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from teachmesh.mapping.anchor_kinds import MAX_SPREAD, MomentsAnchor
from teachmesh.mapping.discriminant import HALF_SHARE, OWN_SHARE, class_means
from teachmesh.mapping.moments import EVIDENCE_UNIT, TASK_SHARPNESS, MomentsMapper
from teachmesh.mapping.moments_fit import (
    DENSITY_SHARE,
    HEAD_SHARE,
    HEAD_TEMPERATURE,
    LinearScores,
    fit_moments,
    fused_head,
    refitted,
    reliability,
)
from teachmesh.mapping.ridge import fit_ridge
from teachmesh.mapping.typicality import HeldOut, Scale
from teachmesh.mapping.within_covariance import (
    Covariance,
    leading_directions,
    leading_eigenvectors,
)
from tests.mapping.latents import DIM, Sample, make_moments, make_sample, sample_metric

METRIC = sample_metric()
QUESTIONS = make_sample(9, per_class=3).latents


def mapper_of(anchors: dict[str, MomentsAnchor]) -> MomentsMapper:
    """Return a mapper with these anchors."""
    mapper = MomentsMapper(METRIC)
    for key, anchor in anchors.items():
        mapper.add(key, anchor)
    return mapper


def covariance_of(anchor: MomentsAnchor) -> np.ndarray:
    """Return the (D, D) covariance that an anchor stands for, from outer products."""
    total = float(anchor.rest[0]) * np.eye(anchor.dim)
    for row, variance in zip(anchor.directions.astype(float), anchor.variances, strict=True):
        total += float(variance) * np.outer(row, row) / (row @ row)
    return total


def log_densities(points: np.ndarray, means: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Return (N, C) log densities of plain Gaussians, without the constant (2 pi)^(-D/2)."""
    sign, log_determinant = np.linalg.slogdet(covariance)
    assert sign == 1
    residuals = points[:, None] - means
    squared = np.einsum("ncd,de,nce->nc", residuals, np.linalg.inv(covariance), residuals)
    return np.asarray(-0.5 * (squared + log_determinant))


def plain_reliability(means: np.ndarray, own: np.ndarray, degrees: int) -> float:
    """Return the share of the spread between classes that the images of each class do not explain.

    The variance of a mean of n images is the variance of an image divided by n.
    """
    n_classes, dim = means.shape
    images_per_class = (degrees + n_classes) / n_classes
    noise = (np.trace(own) if degrees else dim) / images_per_class
    spread = np.trace(np.atleast_2d(np.cov(means.T)))
    return float(max(spread - noise, 0) / max(spread, noise))


def log_softmax(values: np.ndarray) -> np.ndarray:
    """Return the log softmax of each row."""
    shifted = values - values.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def plain_evidence(anchor: MomentsAnchor, latents: np.ndarray) -> np.ndarray:
    """Return the (N,) log densities of the best class, with the covariance (1 - g) I + g own."""
    degrees = int(anchor.degrees[0])
    g = OWN_SHARE * degrees / (degrees + HALF_SHARE)
    covariance = (1 - g) * np.eye(anchor.dim) + g * covariance_of(anchor)
    means = anchor.means * anchor.mean_scales.astype(float)[:, None]
    return np.asarray(log_densities(METRIC.apply(latents), means, covariance).max(axis=1))


@pytest.mark.parametrize("rank", [1, 6, DIM])
def test_task_scores_equal_plain_gaussians_with_explicit_covariances(rank: int) -> None:
    """The matrix products compute the textbook discriminant."""
    anchors = {f"t{n}": make_moments(make_sample(n, n_classes=1 + n), rank=rank) for n in range(4)}
    scores = mapper_of(anchors).score(QUESTIONS)
    for number, anchor in enumerate(anchors.values()):
        expected = TASK_SHARPNESS * plain_evidence(anchor, QUESTIONS)
        np.testing.assert_allclose(scores.task[:, number], expected, rtol=1e-6)
    assert scores.classes is None


def test_class_scores_are_the_softmax_of_the_head() -> None:
    """The head reads points in the metric's space."""
    anchor = make_moments(make_sample(0))
    rows = anchor.head * anchor.head_scales.astype(float)[:, None]
    expected = log_softmax(METRIC.apply(QUESTIONS) @ rows.T + anchor.head_bias)
    found = mapper_of({"a": anchor}).within("a", QUESTIONS)
    np.testing.assert_allclose(found, expected, atol=1e-9)


@pytest.mark.parametrize("scale", [None, Scale(0.04, 0.01)])
def test_familiarity_adds_distance_and_evidence_against_the_background(
    scale: Scale | None,
) -> None:
    """Distances to class means are measured between latents, not between points."""
    anchor = make_moments(make_sample(0))
    mapper = MomentsMapper(METRIC)
    mapper.add("a", anchor, HeldOut.of(np.zeros(30), scale))
    background = METRIC.background_gaussian
    spread = np.eye(DIM) + sum(
        float(variance) * np.outer(row, row) / (row @ row)
        for row, variance in zip(METRIC.background.astype(float), METRIC.spreads, strict=True)
    )
    density = log_densities(METRIC.apply(QUESTIONS), np.zeros((1, DIM)), spread)[:, 0]
    expected = (plain_evidence(anchor, QUESTIONS) - density) / EVIDENCE_UNIT
    if scale is not None:
        means = METRIC.undo(anchor.class_means()) + METRIC.centre
        squared = ((QUESTIONS[:, None] - means) ** 2).sum(axis=2).min(axis=1)
        expected += (scale.median - squared) / scale.spread
    assert background is METRIC.background_gaussian
    np.testing.assert_allclose(mapper.familiarity("a", QUESTIONS), expected, rtol=1e-6, atol=1e-6)


def test_the_covariance_that_travels_is_the_tasks_own() -> None:
    """With all directions, int8 costs about 1 %; the trace is kept at any rank."""
    sample = make_sample(0, per_class=40)
    z = METRIC.apply(sample.latents)
    residuals = z - class_means(z, sample.labels, 3)[sample.labels]
    exact = residuals.T @ residuals / (len(residuals) - 3)
    found = covariance_of(make_moments(sample, rank=DIM))
    assert np.abs(found - exact).max() < 0.01 * np.abs(exact).max()
    for rank in (1, 2, 7):
        anchor = make_moments(sample, rank=rank)
        assert len(anchor.directions) == rank
        assert np.trace(covariance_of(anchor)) == pytest.approx(np.trace(exact), rel=1e-5)
        assert anchor.spread() == pytest.approx(np.trace(exact) / DIM, rel=1e-5)
    assert anchor.degrees.tolist() == [120 - 3]


def test_class_means_travel_within_half_a_level() -> None:
    """One level of a row is its largest entry divided by 127."""
    sample = make_sample(0)
    z = METRIC.apply(sample.latents)
    exact = np.stack([z[sample.labels == label].mean(0) for label in range(3)])
    np.testing.assert_allclose(class_means(z, sample.labels, 3), exact, atol=1e-12)
    error = np.abs(make_moments(sample).class_means() - exact)
    assert (error <= 0.5001 * np.abs(exact).max(axis=1, keepdims=True) / 127).all()


def test_leading_directions_are_those_of_the_eigendecomposition() -> None:
    """The randomised iteration finds equal variances along orthonormal directions."""
    random = np.random.default_rng(0)
    for n, dim in ((30, 200), (400, 100)):
        rows = random.normal(size=(n, dim)) * np.geomspace(1, 0.01, dim)
        exact = np.linalg.svd(rows, compute_uv=False)[:8] ** 2
        for directions, squares in (
            leading_directions(rows, 8),
            leading_directions(rows, 8, products=torch.from_numpy(rows @ rows.T)),
            leading_eigenvectors(torch.from_numpy(rows.T @ rows), 8),
        ):
            np.testing.assert_allclose(squares, exact, rtol=1e-3)
            np.testing.assert_allclose(directions @ directions.T, np.eye(8), atol=1e-9)
            np.testing.assert_allclose(((rows @ directions.T) ** 2).sum(0), squares, rtol=1e-4)


@pytest.mark.parametrize(("n", "dim"), [(12, 30), (60, 10)], ids=["N < D", "N > D"])
def test_ridge_regression_solves_the_class_balanced_normal_equations(n: int, dim: int) -> None:
    """Both Gram matrices give the plain weighted ridge regression."""
    random = np.random.default_rng(0)
    x = random.normal(size=(n, dim)).astype(np.float32)
    y = np.r_[0, 1, 2, random.integers(3, size=n - 3)].astype(np.int64)
    weights, centre, values = fit_ridge(x, y, 3, ridge=0.5)
    share = np.array([1 / (3 * np.sum(y == label)) for label in y])
    np.testing.assert_allclose(values, [1 / 3] * 3)
    np.testing.assert_allclose(centre, share @ x, atol=1e-9)
    centred, target = x - share @ x, np.eye(3)[y] - 1 / 3
    penalty = 0.5 * np.sum(share * (centred**2).sum(axis=1)) / n
    gram = centred.T @ (share[:, None] * centred) + penalty * np.eye(dim)
    expected = np.linalg.solve(gram, centred.T @ (share[:, None] * target)).T
    np.testing.assert_allclose(weights, expected, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize(
    ("n", "dim"), [(4, 30), (16, 30), (60, 10), (0, 10)], ids=["no degrees", "N < D", "N > D", "-"]
)
@pytest.mark.parametrize("rest", [0.0, 0.7])
def test_the_head_adds_ridge_regression_and_the_discriminant(n: int, dim: int, rest: float) -> None:
    """Differences between classes equal a direct solution; N < D uses the Woodbury identity."""
    random = np.random.default_rng(0)
    means, rows = random.normal(size=(4, dim)), 2 * random.normal(size=(n, dim))
    degrees = max(n - 4, 0)
    within = Covariance(rows, degrees, divisor=max(degrees, 1), rest=rest)
    linear = LinearScores(
        random.normal(size=(4, dim)), random.normal(size=dim), random.normal(size=4)
    )
    weights, bias = fused_head(means, within, linear)
    share = HEAD_SHARE * degrees / (degrees + HALF_SHARE)
    own = rows.T @ rows / max(degrees, 1) + rest * np.eye(dim)
    covariance = (1 - share) * np.eye(dim) + share * own
    x = random.normal(size=(5, dim))
    ridge = linear.values + (x - linear.centre) @ linear.weights.T
    factor = DENSITY_SHARE * plain_reliability(means, own, degrees) ** 2
    expected = ridge / HEAD_TEMPERATURE + factor * log_densities(x, means, covariance)
    found = x @ weights.T + bias
    np.testing.assert_allclose(log_softmax(found), log_softmax(expected), atol=1e-9)


@pytest.mark.parametrize("n", [1, 2, 8, 300])
@pytest.mark.parametrize("between", [0.0, 0.1, 1.0])
def test_reliability_is_the_fraction_of_real_differences(n: int, between: float) -> None:
    """It is zero if classes differ by chance only, and near one for many images per class."""
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(20), n)
    z = np.sqrt(between) * random.normal(size=(20, 200))[labels]
    z = z + random.normal(size=(len(labels), 200))
    means = class_means(z, labels, 20)
    found = reliability(means, Covariance.of_residuals(z - means[labels], 20))
    assert found == pytest.approx(between / (between + 1 / n), abs=0.05)


def test_reliability_equals_a_direct_formula() -> None:
    """With correlated dimensions and a remaining variance."""
    random = np.random.default_rng(0)
    means = 3 * random.normal(size=(5, 12))
    found = []
    for degrees in (0, 1, 7, 40, 400):
        rows = random.normal(size=(9, 12)) @ random.normal(size=(12, 12))
        own = rows.T @ rows / 30 + 0.4 * np.eye(12)
        expected = plain_reliability(means, own, degrees)
        found.append(reliability(means, Covariance(rows, degrees, divisor=30, rest=0.4)))
        assert found[-1] == pytest.approx(expected, abs=1e-12)
    assert len(set(found)) > 2
    assert reliability(means[:1], Covariance(rows, 400)) == 0


def test_a_linear_head_is_the_same_in_the_metrics_space() -> None:
    """Scores of latents equal scores of their points."""
    sample = make_sample(0)
    linear = LinearScores(*fit_ridge(sample.latents, sample.labels, 3))
    moved = linear.in_metric(METRIC)
    expected = linear.values + (QUESTIONS - linear.centre) @ linear.weights.T
    found = moved.values + (METRIC.apply(QUESTIONS) - moved.centre) @ moved.weights.T
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_rounding_the_head_changes_its_posteriors_little() -> None:
    """With int8 rows, log posteriors change by a few hundredths."""
    sample = make_sample(0, per_class=30)
    z = METRIC.apply(sample.latents)
    means = class_means(z, sample.labels, 3)
    within = Covariance.of_residuals(z - means[sample.labels], 3)
    linear = LinearScores(*fit_ridge(sample.latents, sample.labels, 3)).in_metric(METRIC)
    weights, bias = fused_head(means, within, linear)
    exact = log_softmax(z @ weights.T + bias)
    found = mapper_of({"a": make_moments(sample)}).within("a", sample.latents)
    assert np.abs(np.exp(found) - np.exp(exact)).max() < 0.02


def test_a_refitted_anchor_keeps_its_covariance() -> None:
    """The new head belongs to the new means and the old covariance."""
    sample = make_sample(0, per_class=30)
    anchor = make_moments(sample)
    means = 1.1 * anchor.class_means()
    linear = LinearScores(*fit_ridge(sample.latents, sample.labels, 3)).in_metric(METRIC)
    again = refitted(anchor, means, linear)
    for name in ("directions", "variances", "rest", "degrees"):
        assert getattr(again, name).tobytes() == getattr(anchor, name).tobytes()
    np.testing.assert_allclose(again.class_means(), means, rtol=0.01, atol=0.05)
    z, degrees = METRIC.apply(sample.latents), int(anchor.degrees[0])
    share = HEAD_SHARE * degrees / (degrees + HALF_SHARE)
    covariance = (1 - share) * np.eye(DIM) + share * covariance_of(anchor)
    ridge = linear.values + (z - linear.centre) @ linear.weights.T
    factor = DENSITY_SHARE * plain_reliability(means, covariance_of(anchor), degrees) ** 2
    exact = ridge / HEAD_TEMPERATURE + factor * log_densities(z, means, covariance)
    found = mapper_of({"a": again}).within("a", sample.latents)
    assert np.abs(np.exp(found) - np.exp(log_softmax(exact))).max() < 0.02


def test_a_task_with_a_huge_variance_is_scaled_down_and_admitted() -> None:
    """The unbiased variance of few images can be too large, so the teacher shrinks it."""
    points = np.zeros((4, DIM))
    points[0], points[1], points[2, 0] = 20, -20, 1
    latents = (METRIC.undo(points) + METRIC.centre).astype(np.float32)
    anchor = fit_moments(latents, np.array([0, 0, 1, 2]), 3, METRIC)
    admitted = MomentsAnchor.from_tensors(anchor.tensors(), 3)
    assert 0.9 * MAX_SPREAD < admitted.spread() <= MAX_SPREAD


def test_a_mean_variance_at_the_limit_is_admitted_and_more_is_refused() -> None:
    """The limit is inclusive."""
    anchor = make_moments(make_sample(0))
    wide = dataclasses.replace(
        anchor, variances=0 * anchor.variances, rest=np.array([MAX_SPREAD], np.float32)
    )
    MomentsAnchor.from_tensors(wide.tensors(), 3)
    wider = dataclasses.replace(wide, variances=wide.variances + np.float32(0.01))
    with pytest.raises(ValueError, match="mean variance of at most 16"):
        MomentsAnchor.from_tensors(wider.tensors(), 3)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mean_scales", 0),
        ("mean_scales", 2),
        ("head_scales", -1),
        ("head_scales", 1e4),
        ("rest", -1e-3),
        ("rest", 17),
        ("variances", -1e-3),
        ("variances", 1e4),
        ("means", -128),
        ("directions", -128),
        ("head", -128),
    ],
)
def test_values_that_no_teacher_makes_are_refused(name: str, value: float) -> None:
    """Scales, levels and variances outside their ranges are refused."""
    anchor = make_moments(make_sample(0))
    broken = anchor.tensors()[name].copy()
    broken.flat[0] = value
    with pytest.raises(ValueError, match="expected"):
        MomentsAnchor.from_tensors({**anchor.tensors(), name: broken}, 3)


def test_latents_of_another_size_than_the_metrics_are_refused() -> None:
    """When a task is fitted and when an anchor is added; a refused anchor leaves no trace."""
    small = make_sample(0, dim=8)
    with pytest.raises(ValueError, match="latents of size 24, got 8"):
        fit_moments(small.latents, small.labels, 3, METRIC)
    mapper = MomentsMapper(METRIC)
    with pytest.raises(ValueError, match="latent size 24, got 8; .*backbone"):
        mapper.add("a", make_moments(small))
    assert mapper.keys() == ()
    mapper.add("a", make_moments(make_sample(0)))
    assert mapper.score(QUESTIONS).keys == ("a",)


def test_a_task_without_degrees_of_freedom_has_the_identity_as_covariance() -> None:
    """With one image per class, the nearest mean in the metric's space counts."""
    anchor = make_moments(Sample(np.eye(3, DIM, dtype=np.float32), np.arange(3), 3))
    squared = ((METRIC.apply(QUESTIONS)[:, None] - anchor.class_means()) ** 2).sum(axis=2)
    expected = -0.5 * TASK_SHARPNESS * squared.min(axis=1)
    found = mapper_of({"a": anchor}).score(QUESTIONS).task[:, 0]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
