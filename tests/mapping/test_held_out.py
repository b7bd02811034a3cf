"""Cross-validation of class moments, computed again by hand, fold by fold."""

from __future__ import annotations

import numpy as np
import pytest

from teachmesh.mapping.discriminant import HALF_SHARE, OWN_SHARE
from teachmesh.mapping.held_out_from_rows import held_out_scores
from teachmesh.mapping.moments import EVIDENCE_UNIT, MomentsMapper
from teachmesh.mapping.moments_fit import FOLDS, FOLDS_OF_MANY, MANY_IMAGES
from teachmesh.mapping.typicality import MAX_SCORES, HeldOut, folds_of
from tests.mapping.latents import DIM, Sample, make_moments, make_sample, sample_metric
from tests.mapping.test_moments import log_densities

METRIC = sample_metric()


def by_hand(sample: Sample, fold: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (N,) evidence and squared distances, from the other folds of each image.

    The rank of the covariance is DIM at most, so the oracle uses the whole covariance.
    """
    z = METRIC.apply(sample.latents)
    evidence, distances = np.zeros(len(z)), np.zeros(len(z))
    for i in range(len(z)):
        kept = np.flatnonzero(fold != fold[i])
        labels = sample.labels[kept]
        classes = np.unique(labels)
        means = np.stack([z[kept][labels == label].mean(0) for label in classes])
        residuals = z[kept] - means[np.searchsorted(classes, labels)]
        degrees = len(kept) - len(classes)
        own = residuals.T @ residuals / max(degrees, 1)
        g = OWN_SHARE * degrees / (degrees + HALF_SHARE)
        densities = log_densities(z[i : i + 1], means, (1 - g) * np.eye(DIM) + g * own)
        evidence[i] = densities.max()
        raw = np.stack([sample.latents[kept][labels == label].mean(0) for label in classes])
        distances[i] = ((sample.latents[i] - raw) ** 2).sum(axis=1).min()
    return evidence, distances


def background(latents: np.ndarray) -> np.ndarray:
    """Return the (N,) log densities of the background, from its explicit covariance."""
    spread = np.eye(DIM)
    for row, variance in zip(METRIC.background.astype(float), METRIC.spreads, strict=True):
        spread += float(variance) * np.outer(row, row) / (row @ row)
    return log_densities(METRIC.apply(latents), np.zeros((1, DIM)), spread)[:, 0]


@pytest.mark.parametrize(("per_class", "n_classes"), [(2, 3), (3, 5), (13, 4), (201, 2)])
def test_no_image_is_used_for_its_own_score(per_class: int, n_classes: int) -> None:
    """A fit by hand without the fold of an image gives the same score."""
    sample = make_sample(3, n_classes=n_classes, per_class=per_class)
    n = per_class * n_classes
    fold = folds_of(sample.labels, min(n, FOLDS) if n <= MANY_IMAGES else FOLDS_OF_MANY)
    evidence, distances = by_hand(sample, fold)
    median, high = np.quantile(distances, [0.5, 0.95])
    score = (median - distances) / (high - median)
    score += (evidence - background(sample.latents)) / EVIDENCE_UNIT
    found = held_out_scores(sample.latents, sample.labels, n_classes, METRIC)
    expected = HeldOut.of(score)
    assert found.images == expected.images
    assert found.scale is not None
    assert found.scale.median == pytest.approx(median, rel=1e-5)
    np.testing.assert_allclose(found.lowest, expected.lowest, rtol=1e-4, atol=1e-4)
    assert len(found.lowest) == min(MAX_SCORES, found.images)


@pytest.mark.parametrize(("n", "n_classes"), [(n, c) for c in (1, 2, 5) for n in range(c, 20)])
def test_tasks_of_any_size_have_scores(n: int, n_classes: int) -> None:
    """Images of classes with a single image are left out, because nothing represents them."""
    latents = make_sample(1, per_class=20).latents[:n]
    labels = np.minimum(np.arange(n), n_classes - 1).astype(np.int64)
    found = held_out_scores(latents, labels, n_classes, METRIC)
    last = n - n_classes + 1  # the other classes have one image each
    assert found.images == (last if last > 1 else 0)
    assert np.isfinite(found.lowest).all()
    assert (found.scale is None) == (found.images == 0)
    HeldOut.from_tensor(found.tensor())


def test_fresh_images_raise_about_the_promised_fraction_of_alarms() -> None:
    """Over twelve tasks, with 10 % promised; nearly all foreign images are unknown."""
    alarms, caught = [], []
    for seed in range(12):
        sample = make_sample(seed, per_class=60)
        known, fresh = slice(0, None, 2), slice(1, None, 2)
        own = Sample(sample.latents[known], sample.labels[known], 3)
        held_out = held_out_scores(own.latents, own.labels, 3, METRIC)
        threshold = held_out.threshold(0.1)
        assert threshold is not None
        mapper = MomentsMapper(METRIC)
        mapper.add("a", make_moments(own, rank=32), held_out)
        alarms.append(np.mean(mapper.familiarity("a", sample.latents[fresh]) < threshold))
        foreign = make_sample(seed + 100, per_class=20).latents
        caught.append(np.mean(mapper.familiarity("a", foreign) < threshold))
    assert 0.06 < np.mean(alarms) < 0.12
    assert np.mean(caught) > 0.9
