"""GMMC compared with scikit-learn, and attacks on it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from sklearn.mixture import GaussianMixture

from teachmesh.mapping.anchor_kinds import GmmcAnchor
from teachmesh.mapping.gmm_fit import MixtureDensity, fit_mixture, k_means, with_squares
from teachmesh.mapping.gmmc import SMALLEST_FLOOR, VARIANCE_FLOOR, GmmcMapper, fit_gmmc
from tests.mapping.latents import make_sample


def groups(n: int = 600, dim: int = 16, n_groups: int = 8, seed: int = 0) -> np.ndarray:
    """Return (N, D) float32 rows in spherical groups."""
    random = np.random.default_rng(seed)
    centres = 2 * random.normal(size=(n_groups, dim))
    return (centres[random.integers(n_groups, size=n)] + random.normal(size=(n, dim))).astype(
        np.float32
    )


def scikit_mixture(anchor: GmmcAnchor) -> GaussianMixture:
    """Return a scikit-learn model with the parameters of an anchor."""
    mixture = GaussianMixture(len(anchor.weights), covariance_type="diag")
    mixture.means_ = anchor.means.astype(np.float64)
    mixture.covariances_ = anchor.variances.astype(np.float64)
    mixture.precisions_cholesky_ = 1 / np.sqrt(mixture.covariances_)
    mixture.weights_ = anchor.weights.astype(np.float64)
    return mixture


@pytest.mark.parametrize("seed", range(3))
def test_likelihood_is_at_least_scikit_learns(seed: int) -> None:
    """The fit is as good as the reference with equal data, floor and tolerance."""
    data = groups(seed=seed)
    reference = GaussianMixture(8, covariance_type="diag", reg_covar=1e-4, random_state=seed)
    reference.fit(data)
    ours = fit_mixture(data, 8, seed=seed, floor=1e-4)
    assert ours.log_likelihood >= reference.score(data) - 1e-3


def test_the_reported_likelihood_is_that_of_the_fitted_parameters() -> None:
    """scikit-learn computes an equal mean log density from the parameters."""
    data = groups().astype(np.float64)
    mixture = fit_mixture(data, 5, floor=1e-3)
    anchor = GmmcAnchor(
        mixture.means.numpy(), mixture.variances.numpy(), mixture.weights.numpy(), 2
    )
    assert mixture.log_likelihood == pytest.approx(scikit_mixture(anchor).score(data), rel=1e-9)


def test_task_scores_are_the_best_clusters_of_scikit_learn() -> None:
    """Eq. 4 uses the cluster with the highest posterior, not the sum over clusters."""
    samples = [make_sample(seed, per_class=20) for seed in range(3)]
    anchors = [fit_gmmc(sample.latents, 3, n_clusters=5)[0] for sample in samples]
    mapper = GmmcMapper()
    for number, anchor in enumerate(anchors):
        mapper.add(f"task{number}", anchor)
    questions = make_sample(9).latents
    scores = mapper.score(questions)
    for number, anchor in enumerate(anchors):
        # _estimate_weighted_log_prob: log weight + log density, per cluster.
        joint = scikit_mixture(anchor)._estimate_weighted_log_prob(questions.astype(np.float64))
        np.testing.assert_allclose(scores.task[:, number], joint.max(axis=1), rtol=1e-6)
    assert scores.classes is None


def test_every_task_has_the_same_prior_however_many_images_it_has() -> None:
    """Learning from every image twice gives equal scores."""
    sample = make_sample(0, per_class=20)
    twice = np.concatenate([sample.latents, sample.latents])
    mapper = GmmcMapper()
    mapper.add("once", fit_gmmc(sample.latents, 3, n_clusters=1)[0])
    mapper.add("twice", fit_gmmc(twice, 3, n_clusters=1)[0])
    scores = mapper.score(make_sample(9).latents).task
    np.testing.assert_allclose(scores[:, 0], scores[:, 1], rtol=1e-5)


def test_the_anchor_has_k_clusters_or_one_per_image() -> None:
    """By default k = 25, in float32; fewer clusters only for fewer distinct images."""
    sample = make_sample(0, per_class=20)
    anchor, macs = fit_gmmc(sample.latents, 3)
    assert anchor.means.shape == anchor.variances.shape == (25, 24)
    assert {array.dtype for array in anchor.tensors().values()} == {np.dtype(np.float32)}
    assert macs > 25 * sample.latents.size
    assert fit_gmmc(sample.latents[:7], 3)[0].means.shape == (7, 24)
    assert fit_gmmc(np.repeat(sample.latents[:2], 30, axis=0), 3)[0].means.shape == (2, 24)


def test_the_same_seed_gives_the_same_clusters() -> None:
    """Learning is reproducible bit for bit."""
    latents = make_sample(0, per_class=30).latents
    one, two = (fit_gmmc(latents, 3, seed=4)[0].tensors() for _ in range(2))
    other = fit_gmmc(latents, 3, seed=5)[0].tensors()
    assert all(one[name].tobytes() == two[name].tobytes() for name in one)
    assert one["means"].tobytes() != other["means"].tobytes()


def test_a_channel_without_variance_gets_the_floor() -> None:
    """Without the floor, the likelihood would be infinite."""
    latents = make_sample(0, per_class=20).latents.copy()
    latents[:, 3] = 0.25
    anchor, _ = fit_gmmc(latents, 3, n_clusters=4)
    np.testing.assert_allclose(anchor.variances[:, 3], VARIANCE_FLOOR, rtol=1e-3)
    smallest, _ = fit_gmmc(latents, 3, n_clusters=4, floor=0)
    np.testing.assert_allclose(smallest.variances[:, 3], SMALLEST_FLOOR, rtol=1e-3)


def test_the_scale_of_latents_changes_no_task() -> None:
    """Latents and standard deviations times 8 lower all log densities by D log 8."""
    samples = [make_sample(seed) for seed in (0, 1)]
    found = []
    for scale in (1, 8):
        mapper = GmmcMapper()
        for number, sample in enumerate(samples):
            latents = scale * sample.latents
            anchor, _ = fit_gmmc(latents, 3, n_clusters=5, scale=scale**2)
            mapper.add(f"task{number}", anchor)
        found.append(mapper.score(scale * make_sample(9).latents).task)
    np.testing.assert_allclose(found[0] - found[1], 24 * np.log(8), rtol=1e-3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": np.array([1e6, 0.5], np.float32)}, "weights"),
        ({"weights": np.array([-0.5, 1.5], np.float32)}, "weights"),
        ({"weights": np.array([0.0, 1.0], np.float32)}, "weights"),
        ({"variances": np.zeros((2, 24), np.float32)}, "variances"),
        ({"variances": np.full((2, 24), -1, np.float32)}, "variances"),
    ],
    ids=["weights x 1e6", "a negative weight", "an empty cluster", "variance 0", "variance -1"],
)
def test_values_that_would_capture_every_image_are_refused(
    change: dict[str, np.ndarray], message: str
) -> None:
    """Unnormalised weights capture everything, and zero variance gives infinite density."""
    anchor = fit_gmmc(make_sample(0).latents, 3, n_clusters=2)[0]
    with pytest.raises(ValueError, match=message):
        GmmcAnchor.from_tensors({**anchor.tensors(), **change}, 3)


def test_weights_within_the_tolerance_count_as_one() -> None:
    """A sum of 1.0009 is accepted and gives no advantage over exactly 1."""
    anchor = fit_gmmc(make_sample(0).latents, 3, n_clusters=4)[0]
    greedy = dataclasses.replace(anchor, weights=anchor.weights * np.float32(1.0009))
    mapper = GmmcMapper()
    mapper.add("fair", anchor)
    mapper.add("greedy", GmmcAnchor.from_tensors(greedy.tensors(), 3))
    scores = mapper.score(make_sample(1).latents).task
    np.testing.assert_allclose(scores[:, 0], scores[:, 1], rtol=1e-6, atol=1e-6)


def test_a_wide_cluster_captures_nothing() -> None:
    """The log-determinant gives a very wide Gaussian a low density everywhere."""
    sample = make_sample(0, per_class=30)
    anchor = fit_gmmc(sample.latents, 3, n_clusters=4)[0]
    wide = GmmcAnchor(
        sample.latents.mean(0, keepdims=True),
        np.full((1, 24), 100.0, np.float32),
        np.ones(1, np.float32),
        3,
    )
    mapper = GmmcMapper()
    mapper.add("honest", anchor)
    mapper.add("wide", wide)
    assert (mapper.score(sample.latents).task.argmax(axis=1) == 0).all()


def test_densities_equal_the_formula() -> None:
    """The two matrix products equal the textbook formula of a diagonal Gaussian."""
    random = np.random.default_rng(0)
    x, means = random.normal(size=(5, 3)), random.normal(size=(2, 3))
    variances, weights = random.uniform(0.1, 2, (2, 3)), np.array([0.25, 0.75])
    tensors = (torch.from_numpy(a) for a in (means, variances, weights))
    found = MixtureDensity(*tensors).log_joint(with_squares(torch.from_numpy(x))).numpy()
    for k in range(2):
        density = np.prod(
            np.exp(-((x - means[k]) ** 2) / (2 * variances[k])) / np.sqrt(2 * np.pi * variances[k]),
            axis=1,
        )
        np.testing.assert_allclose(found[:, k], np.log(weights[k] * density))


def test_separate_groups_are_found_in_many_dimensions() -> None:
    """The start searches in a projection of a sample and finds the true groups."""
    random = np.random.default_rng(0)
    centres = random.normal(size=(10, 400))
    labels = random.integers(10, size=1200)
    data = (centres[labels] + 0.5 * random.normal(size=(1200, 400))).astype(np.float32)
    found, macs = k_means(torch.from_numpy(data), 10, seed=0)
    pairs = set(zip(labels.tolist(), found.tolist(), strict=True))
    assert len(pairs) == 10
    assert macs > 0


def test_incremental_em_steps_equal_plain_ones() -> None:
    """The fit is a fixed point of plain EM steps."""
    data = groups(n=200, dim=3, n_groups=6).astype(np.float64)
    mixture = fit_mixture(data, 4, floor=1e-3, tolerance=1e-12, max_steps=500)
    x = torch.from_numpy(data)
    parameters = mixture.means, mixture.variances, mixture.weights
    joint = MixtureDensity(*parameters).log_joint(with_squares(x))
    shares = torch.softmax(joint, dim=1)
    counts = shares.sum(0)
    means = shares.T @ x / counts[:, None]
    variances = shares.T @ (x * x) / counts[:, None] - means**2 + 1e-3
    np.testing.assert_allclose(mixture.weights, counts / 200, atol=1e-4)
    np.testing.assert_allclose(mixture.means, means, atol=1e-4)
    np.testing.assert_allclose(mixture.variances, variances, atol=1e-4)
