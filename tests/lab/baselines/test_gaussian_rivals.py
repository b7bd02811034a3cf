"""FeCAM, LR-RGDA, LayUP and the heads of GH-OFL against dense formulas, scipy and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.linear_model import Ridge
from sklearn.naive_bayes import GaussianNB

from teachmesh_lab.baselines.fecam import FeCam
from teachmesh_lab.baselines.frozen import FrozenBaseline, run_latents
from teachmesh_lab.baselines.gaussian_heads import LdaHead, NaiveBayesHead, QdaHead
from teachmesh_lab.baselines.layup import LayUp
from teachmesh_lab.baselines.lr_rgda import LowRankDiscriminant
from tests.lab.baselines.sample_streams import make_latent_stream

DIM = 12
STREAM = make_latent_stream(dim=DIM)
LATENTS = np.concatenate([task.train.latents for task in STREAM]).astype(np.float64)
LABELS = np.concatenate(
    [task.train.labels + start for task, start in zip(STREAM, (0, 3, 5), strict=True)]
)
CLASSES = [LATENTS[label == LABELS] for label in range(8)]
QUESTIONS = np.concatenate([task.test.latents for task in STREAM])
POINTS = QUESTIONS.astype(np.float64)


def scores(kind: type[FrozenBaseline], **hyper: float) -> np.ndarray:
    """Return scores of all questions after learning the tasks, in a mixed order."""
    baseline = kind(DIM, hyper, 0)
    for index in (1, 2, 0):
        task = STREAM[index]
        baseline.learn(index, task.train.latents, task.train.labels, len(task.classes))
    baseline.consolidate()
    return baseline.scores(QUESTIONS)


def assert_same(found: np.ndarray, expected: np.ndarray) -> None:
    """Compare scores up to a term of each image that is the same for all classes."""
    found, expected = (s - s.mean(axis=1, keepdims=True) for s in (found, expected))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def densities(covariances: list[np.ndarray], priors: np.ndarray) -> np.ndarray:
    """Return log priors plus scipy's log densities."""
    columns = [
        multivariate_normal(own.mean(axis=0), covariance).logpdf(POINTS)
        for own, covariance in zip(CLASSES, covariances, strict=True)
    ]
    return np.stack(columns, axis=1) + np.log(priors)


def shrunk(covariance: np.ndarray, share: float) -> np.ndarray:
    """Return (1 - e) S + e s I with the mean variance s."""
    spherical = np.trace(covariance) / DIM * np.eye(DIM)
    return np.asarray((1 - share) * covariance + share * spherical)


FREQUENCIES = np.bincount(LABELS) / len(LABELS)
OWN = [np.cov(own.T) for own in CLASSES]


def test_the_quadratic_head_is_a_gaussian_with_a_shrunk_covariance() -> None:
    """Oracle: scipy's densities, with frequencies as priors."""
    expected = densities([shrunk(s, 0.1) for s in OWN], FREQUENCIES)
    assert_same(scores(QdaHead, shrinkage=0.1), expected)


def test_the_linear_head_has_the_pooled_covariance() -> None:
    """Oracle: scipy's densities."""
    sums = sum((len(own) - 1) * s for own, s in zip(CLASSES, OWN, strict=True))
    pooled = shrunk(np.asarray(sums) / (len(LABELS) - 8), 0.05)
    assert_same(scores(LdaHead, shrinkage=0.05), densities([pooled] * 8, FREQUENCIES))


def test_the_diagonal_head_is_naive_bayes() -> None:
    """Oracle: scikit-learn without smoothing; a floor of 1 makes variances nearly equal."""
    theirs = GaussianNB(var_smoothing=0).fit(LATENTS, LABELS)
    assert_same(scores(NaiveBayesHead, floor=0.0), theirs.predict_joint_log_proba(POINTS))
    least = [np.diag(np.maximum(own.var(axis=0), own.var(axis=0).mean())) for own in CLASSES]
    assert_same(scores(NaiveBayesHead, floor=1.0), densities(least, FREQUENCIES))


@pytest.mark.parametrize("rank", [5, 64])
def test_the_low_rank_discriminant_is_a_gaussian_around_the_mean_covariance(rank: int) -> None:
    """Oracle: scipy's densities with explicit covariances, cut to their leading directions."""
    mean = np.mean(OWN, axis=0)
    base = 0.7 * mean + 0.1 * np.trace(mean) / DIM * np.eye(DIM)
    cut = []
    for own in OWN:
        values, vectors = np.linalg.eigh(own)
        values[: max(DIM - rank, 0)] = 0
        cut.append(base + 0.3 * (vectors * values) @ vectors.T)
    found = scores(LowRankDiscriminant, rank=rank, shared=0.7, identity=0.1)
    assert_same(found, densities(cut, np.full(8, 1 / 8)))


def published_fecam(power: float) -> np.ndarray:
    """Return scores by the steps of the authors' code: shrink twice, normalise, invert."""

    def unit(rows: np.ndarray) -> np.ndarray:
        return np.asarray(rows / np.linalg.norm(rows, axis=-1, keepdims=True))

    def shrink(matrix: np.ndarray) -> np.ndarray:
        other = matrix[~np.eye(DIM, dtype=bool)].mean()
        mean = np.diag(matrix).mean()
        return np.asarray(matrix + mean * np.eye(DIM) + other * (1 - np.eye(DIM)))

    columns = []
    for own in CLASSES:
        covariance = shrink(shrink(np.cov((own**power).T)))
        deviations = np.sqrt(np.diag(covariance))
        inverse = np.linalg.pinv(covariance / np.outer(deviations, deviations))
        away = unit(POINTS**power) - unit(own.mean(axis=0) ** power)
        columns.append(-0.5 * np.einsum("nd,de,ne->n", away, inverse, away))
    return np.stack(columns, axis=1)


@pytest.mark.parametrize("power", [0.5, 1.0])
def test_fecam_with_shrinkage_3_is_the_published_code(power: float) -> None:
    """Shrinking twice with the weight 1 equals shrinking once with 3."""
    found = scores(FeCam, power=power, shrinkage=3.0)
    np.testing.assert_allclose(found, published_fecam(power), rtol=1e-4, atol=1e-5)


def test_layup_is_ridge_regression_without_an_intercept() -> None:
    """Oracle: scikit-learn on all latents at once."""
    strength = 0.01 * np.square(LATENTS).sum() / DIM
    theirs = Ridge(alpha=strength, fit_intercept=False).fit(LATENTS, np.eye(8)[LABELS])
    np.testing.assert_allclose(scores(LayUp, ridge=0.01), theirs.predict(POINTS), atol=1e-6)


def test_products_of_the_quadratic_head_are_counted() -> None:
    """Expected by hand per class: Gram matrix, factorisation, triangular solve, length of mean."""
    sizes = [np.bincount(task.train.labels) for task in STREAM]
    costs = run_latents(QdaHead(DIM, {"shrinkage": 0.1}, 0), STREAM).costs
    assert costs.learn_macs == tuple(
        sum(int(n * n * DIM + n**3 // 6 + n * n * DIM // 2) + DIM for n in counts)
        for counts in sizes
    )
    assert costs.consolidate_macs == 0
    axes, classes = (np.cumsum(x) for x in ([s.sum() for s in sizes], [len(s) for s in sizes]))
    asked = np.cumsum([len(task.test) + len(task.validation) for task in STREAM])
    assert costs.test_macs == (asked * DIM * (axes + 2 * classes)).sum()


@pytest.mark.parametrize("kind", [FeCam, QdaHead])
def test_covariances_are_sent_in_their_smaller_form(kind: type[FrozenBaseline]) -> None:
    """With few images these are rows, with many the triangle: 4 bytes per number."""
    hyper = {key: values[-1] for key, values in kind.grid.items()}
    half = DIM * (DIM + 1) // 2
    for per_class, numbers in ((3, 3 * DIM), (30, half)):
        labels = np.arange(2 * per_class, dtype=np.int64) % 2
        baseline = kind(DIM, hyper, 0)
        baseline.learn(0, LATENTS[: len(labels)].astype(np.float32), labels, 2)
        counts = 2 if kind is QdaHead else 0
        assert baseline.task_bytes(0) == 4 * (2 * DIM + 2 * numbers + counts)
        assert sum(array.nbytes for array in baseline.state().values()) == baseline.task_bytes(0)


def test_the_low_rank_discriminant_sends_the_sum_only_where_directions_are_cut() -> None:
    """Complete directions contain the sum of the covariances."""
    task = STREAM[0]
    counts = np.bincount(task.train.labels)
    half = DIM * (DIM + 1) // 2
    for rank in (2, 64):
        hyper = {"rank": float(rank), "shared": 0.7, "identity": 0.1}
        baseline = LowRankDiscriminant(DIM, hyper, 0)
        baseline.learn(0, task.train.latents, task.train.labels, 3)
        rows = sum(min(min(int(n), rank) * DIM, half) for n in counts)
        expected = 4 * (3 * DIM + rows + half * (rank == 2))
        assert baseline.task_bytes(0) == expected
        assert sum(array.nbytes for array in baseline.state().values()) == expected
