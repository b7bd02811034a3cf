"""Class moments compared with plain Gaussians, and the exact merge."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from teachmesh.mapping.anchor_kinds import MAX_TRACE, UNIT, MomentsAnchor
from teachmesh.mapping.discriminant import Discriminant
from teachmesh.mapping.moments import DENSITY_SHARE, HEAD_TEMPERATURE, OWN_SHARE, MomentsMapper
from teachmesh.mapping.moments_fit import class_means, fit_moments, leading_directions
from teachmesh.mapping.ridge import fit_ridge
from teachmesh.mapping.whitening import RIDGE, DenseWhitening
from tests.mapping.latents import DIM, Sample, make_sample


def anchor_of(sample: Sample, rank: int = 6) -> MomentsAnchor:
    """Fit an anchor to a sample."""
    return fit_moments(sample.latents, sample.labels, sample.n_classes, rank=rank)


def own_covariance(anchor: MomentsAnchor) -> np.ndarray:
    """Return the (D, D) covariance in an anchor."""
    moments = anchor.moments()
    return np.asarray(moments.roots.T @ moments.roots + np.diag(moments.residual))


def log_softmax(values: np.ndarray) -> np.ndarray:
    """Return the log softmax of one row."""
    return np.asarray(values - np.log(np.exp(values - values.max()).sum()) - values.max())


def plain_log_density(x: np.ndarray, mean: np.ndarray, covariance: np.ndarray) -> float:
    """Return the log density of a multivariate normal, without the constant (2 pi)^(-D/2)."""
    residual = x - mean
    sign, log_determinant = np.linalg.slogdet(covariance)
    assert sign == 1
    return float(-0.5 * (residual @ np.linalg.inv(covariance) @ residual + log_determinant))


def plain_densities(
    x: np.ndarray, anchors: list[MomentsAnchor], tied: np.ndarray
) -> list[np.ndarray]:
    """Return log densities of all classes, with explicit covariances of their tasks."""
    found = []
    for anchor in anchors:
        moments = anchor.moments()
        isotropic = np.trace(np.linalg.inv(tied) @ np.diag(moments.residual)) / anchor.dim
        own = moments.roots.T @ moments.roots + isotropic * tied
        covariance = (1 - OWN_SHARE) * tied + OWN_SHARE * own
        found.append(np.array([plain_log_density(x, m, covariance) for m in moments.means]))
    return found


@pytest.mark.parametrize("n_tasks", [1, 3])
def test_scores_equal_plain_gaussians_with_explicit_covariances(n_tasks: int) -> None:
    """The two matrix products in whitened space compute the textbook discriminant."""
    anchors = [anchor_of(make_sample(seed, n_classes=2 + seed)) for seed in range(n_tasks)]
    mapper = MomentsMapper()
    for number, anchor in enumerate(anchors):
        mapper.add(f"t{number}", anchor)
    tied = mapper.tied_covariance()
    mean = np.mean([own_covariance(anchor) for anchor in anchors], axis=0)
    ridge = RIDGE * np.trace(mean) / DIM + 1e-9
    np.testing.assert_allclose(tied, mean + ridge * np.eye(DIM), atol=1e-12)
    questions = make_sample(9, per_class=3).latents
    scores = mapper.score(questions)
    assert scores.classes is not None
    # The whitened log-determinants lack that of the tied covariance, the same for all classes.
    constant = 0.5 * np.linalg.slogdet(tied)[1]
    for row, x in enumerate(questions.astype(np.float64)):
        for number, densities in enumerate(plain_densities(x, anchors, tied)):
            densities += constant
            evidence = DENSITY_SHARE * np.log(np.mean(np.exp(densities)))
            head = anchors[number].head_logits(x[None])[0] / HEAD_TEMPERATURE
            within = log_softmax(head + DENSITY_SHARE * densities)
            assert scores.task[row, number] == pytest.approx(evidence, rel=1e-6)
            np.testing.assert_allclose(scores.classes[number][row], within + evidence, rtol=1e-6)


def test_class_scores_are_task_posterior_times_class_posterior() -> None:
    """The sum over the classes of a task equals the probability of the task."""
    mapper = MomentsMapper()
    for seed in range(3):
        mapper.add(f"t{seed}", anchor_of(make_sample(seed, n_classes=2 + seed)))
    scores = mapper.score(make_sample(9).latents)
    assert scores.classes is not None
    summed = [np.log(np.exp(values).sum(axis=1)) for values in scores.classes]
    np.testing.assert_allclose(np.stack(summed, axis=1), scores.task, atol=1e-9)


def test_any_order_of_adds_and_removes_gives_the_same_integers() -> None:
    """The tied scatter is an exact sum of integers, so order and history do not matter."""
    anchors = {f"t{seed}": anchor_of(make_sample(seed, n_classes=2 + seed)) for seed in range(8)}
    expected = MomentsMapper()
    for key, anchor in anchors.items():
        expected.add(key, anchor)
    random = np.random.default_rng(0)
    mapper = MomentsMapper()
    for _ in range(200):
        key = str(random.choice(list(anchors)))
        if random.random() < 0.5:
            mapper.add(key, anchors[key])
        else:
            mapper.remove(key)
    for key in random.permutation(list(anchors)):
        mapper.add(str(key), anchors[str(key)])
    assert mapper.tied_scatter().tobytes() == expected.tied_scatter().tobytes()
    assert (mapper.tied_scatter() == np.rint(mapper.tied_scatter())).all()


def test_integer_scatter_equals_python_integers() -> None:
    """No entry is rounded."""
    anchor = anchor_of(make_sample(0), rank=4)
    directions = anchor.directions.astype(object)
    weights = [int(weight) for weight in anchor.weights]
    scatter = anchor.integer_scatter()
    residual = np.rint(anchor.residual.astype(np.float64) * 2.0**24)
    for i in range(0, DIM, 5):
        for j in range(DIM):
            exact = sum(
                w * int(q[i]) * int(q[j]) for w, q in zip(weights, directions, strict=True)
            ) + (int(residual[i]) if i == j else 0)
            assert scatter[i, j] == exact


def test_thousands_of_skills_can_be_summed_exactly() -> None:
    """4,096 times the largest entry of one skill is below 2^53."""
    assert 4096 * MAX_TRACE / UNIT <= 2**53


def test_the_covariance_that_travels_is_the_tasks_own() -> None:
    """With all directions, int8 costs about 1 %; the diagonal is kept at any rank."""
    sample = make_sample(0, per_class=40)
    means = class_means(sample.latents, sample.labels, 3)
    residuals = sample.latents - means[sample.labels]
    exact = residuals.T @ residuals / (len(residuals) - 3)
    found = own_covariance(anchor_of(sample, rank=DIM))
    assert np.abs(found - exact).max() < 0.01 * np.abs(exact).max()
    small = own_covariance(anchor_of(sample, rank=2))
    np.testing.assert_allclose(np.diag(small), np.diag(exact), rtol=0.02)


def test_class_means_travel_within_half_a_level() -> None:
    """One level of a row is its largest entry divided by 127."""
    sample = make_sample(0)
    exact = class_means(sample.latents, sample.labels, 3)
    for label in range(3):
        np.testing.assert_allclose(
            exact[label], sample.latents[sample.labels == label].mean(0), atol=1e-6
        )
    error = np.abs(anchor_of(sample).class_means() - exact)
    assert (error <= 0.5001 * np.abs(exact).max(axis=1, keepdims=True) / 127).all()


def test_leading_directions_are_those_of_the_eigendecomposition() -> None:
    """The randomised iteration finds equal variances along orthonormal directions."""
    random = np.random.default_rng(0)
    for n, dim in ((30, 200), (400, 100)):
        rows = random.normal(size=(n, dim)) * np.geomspace(1, 0.01, dim)
        exact = np.linalg.svd(rows, compute_uv=False)[:8] ** 2
        directions, squares = leading_directions(rows, 8)
        np.testing.assert_allclose(squares, exact, rtol=1e-3)
        np.testing.assert_allclose(directions @ directions.T, np.eye(8), atol=1e-9)
        np.testing.assert_allclose(((rows @ directions.T) ** 2).sum(0), squares, rtol=1e-4)


@pytest.mark.parametrize(("n", "dim"), [(12, 30), (60, 10)], ids=["N < D", "N > D"])
def test_the_head_solves_the_class_balanced_normal_equations(n: int, dim: int) -> None:
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


def test_rounding_the_head_changes_its_scores_little() -> None:
    """With int8 rows, scores change by less than 2 % of the score of a right answer."""
    sample = make_sample(0, per_class=30)
    weights, centre, values = fit_ridge(sample.latents, sample.labels, 3)
    exact = values + (sample.latents - centre) @ weights.T
    assert np.abs(anchor_of(sample).head_logits(sample.latents) - exact).max() < 0.02


def test_a_task_with_few_more_images_than_classes_is_admitted() -> None:
    """Its unbiased variance can be too large, so the teacher scales it down."""
    latents = np.zeros((4, 3), np.float32)
    latents[[0, 1], 0] = 1, -1
    latents[[2, 3], [1, 2]] = 1
    anchor = fit_moments(latents, np.array([0, 0, 1, 2]), 3)
    assert 0.9 < MomentsAnchor.from_tensors(anchor.tensors(), 3).trace() <= MAX_TRACE


def test_one_skill_moves_the_tied_covariance_by_at_most_one_share() -> None:
    """A total variance above 1 is refused, so each of T skills has a share of at most 1 / T."""
    anchor = anchor_of(make_sample(0))
    greedy = dataclasses.replace(anchor, weights=anchor.weights * np.uint32(1000))
    with pytest.raises(ValueError, match="total variance of at most 1"):
        MomentsAnchor.from_tensors(greedy.tensors(), 3)
    mapper = MomentsMapper()
    for seed in range(5):
        mapper.add(f"t{seed}", anchor_of(make_sample(seed)))
    before = mapper.tied_scatter()
    mapper.add("x", anchor)
    assert np.abs(mapper.tied_scatter() - before).max() <= MAX_TRACE / UNIT


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mean_scales", 0),
        ("mean_scales", 2),
        ("head_scales", -1),
        ("head_scales", 1e4),
        ("residual", -1e-3),
        ("means", -128),
        ("directions", -128),
        ("head", -128),
        ("weights", 2**32 - 1),
    ],
)
def test_values_that_no_teacher_makes_are_refused(name: str, value: float) -> None:
    """Scales, levels and variances outside their ranges are refused."""
    anchor = anchor_of(make_sample(0))
    broken = anchor.tensors()[name].copy()
    broken.flat[0] = value
    with pytest.raises(ValueError, match="expected"):
        MomentsAnchor.from_tensors({**anchor.tensors(), name: broken}, 3)


def test_latents_longer_than_one_are_refused() -> None:
    """They cannot be multi-depth latents, and their integers would not fit."""
    sample = make_sample(0)
    with pytest.raises(ValueError, match="length 1 at most, got 3; embed"):
        fit_moments(3 * sample.latents, sample.labels, 3)


def test_a_wide_task_captures_nothing() -> None:
    """The log-determinant prevents a task with large variance from winning everywhere."""
    sample = make_sample(0, per_class=30)
    anchor = anchor_of(sample)
    factor = int(0.9 * MAX_TRACE / anchor.trace())
    wide = dataclasses.replace(
        anchor,
        weights=anchor.weights * np.uint32(factor),
        residual=(anchor.residual * factor).astype(np.float16),
    )
    mapper = MomentsMapper()
    mapper.add("honest", anchor)
    mapper.add("wide", MomentsAnchor.from_tensors(wide.tensors(), 3))
    assert np.mean(mapper.score(sample.latents).task.argmax(axis=1) == 0) > 0.95


def test_the_discriminant_works_without_own_directions() -> None:
    """For tasks without scatter, it chooses the nearest mean in whitened space."""
    anchor = anchor_of(Sample(np.eye(3, DIM, dtype=np.float32), np.arange(3), 3))
    tied = np.diag(np.linspace(0.5, 2, DIM))
    scores = Discriminant(DenseWhitening(tied), [anchor.moments()], OWN_SHARE).scores(
        torch.zeros(1, DIM).double()
    )
    distances = (anchor.class_means() ** 2 / np.diag(tied)).sum(axis=1)
    expected = -0.5 * (distances / (1 - OWN_SHARE) + DIM * np.log(1 - OWN_SHARE))
    np.testing.assert_allclose(scores[0].numpy()[0], expected)
