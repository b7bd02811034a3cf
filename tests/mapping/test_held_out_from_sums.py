"""Scores from sums and a sample equal a cross-validation on rows."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from teachmesh.mapping.held_out_from_rows import held_out_scores
from teachmesh.mapping.held_out_from_sums import held_out_from_sums
from teachmesh.mapping.latent_sample import MAX_ROWS, LatentSample
from teachmesh.mapping.task_sums import STEPS_PER_UNIT, TaskSums, fixed_point
from tests.mapping.latents import Sample, make_sample, sample_metric

METRIC = sample_metric()


def digests_of(latents: np.ndarray) -> np.ndarray:
    """Return one hash per image."""
    return np.array([hashlib.sha256(row.tobytes()).hexdigest().encode() for row in latents])


def sample_of(sample: Sample) -> LatentSample:
    """Return the bounded sample of all images."""
    return LatentSample.of(sample.latents, sample.labels, digests_of(sample.latents))


def equal(one: LatentSample, other: LatentSample) -> bool:
    """Return whether all three arrays are equal."""
    names = ("rows", "labels", "digests")
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in names)


@pytest.mark.parametrize(("per_class", "n_classes"), [(1, 3), (2, 3), (3, 5), (13, 4), (150, 3)])
def test_scores_equal_those_of_fits_to_the_other_rows(per_class: int, n_classes: int) -> None:
    """If the sample has all images, a fold taken out of the sums is a fold that was never in."""
    task = make_sample(3, n_classes=n_classes, per_class=per_class)
    order = np.argsort(digests_of(task.latents))
    latents = (fixed_point(task.latents[order]) / STEPS_PER_UNIT).astype(np.float32)
    expected = held_out_scores(latents, task.labels[order], n_classes, METRIC)
    sums = TaskSums.of(task.latents, task.labels, n_classes)
    found = held_out_from_sums(sums, sample_of(task), METRIC)
    assert found.images == expected.images
    np.testing.assert_allclose(found.lowest, expected.lowest, rtol=1e-4, atol=1e-4)
    assert (found.scale is None) == (expected.scale is None)
    if found.scale is not None and expected.scale is not None:
        assert found.scale.median == pytest.approx(expected.scale.median, rel=1e-5)
        assert found.scale.spread == pytest.approx(expected.scale.spread, rel=1e-5)


def test_images_outside_the_sample_are_used_by_every_fit() -> None:
    """Scores of two images equal those of moments that were fitted to all others, one by one."""
    task = make_sample(5, per_class=30)
    sums = TaskSums.of(task.latents, task.labels, 3)
    two = LatentSample(*(a[:2] for a in vars(sample_of(task)).values()))
    found = held_out_from_sums(sums, two, METRIC)
    digests = digests_of(task.latents)
    distances = []
    for digest in two.digests:
        kept = digests != digest
        rows, labels = task.latents[kept].astype(float), task.labels[kept]
        means = np.stack([rows[labels == c].mean(0) for c in range(3)])
        distances.append(((task.latents[~kept] - means) ** 2).sum(1).min())
    assert found.images == 2
    assert found.scale is not None
    assert found.scale.median == pytest.approx(np.median(distances), rel=1e-3)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1), st.integers(1, 699), st.booleans())
def test_a_sample_does_not_depend_on_order_or_parts(seed: int, cut: int, twice: bool) -> None:
    """The sample of two parts is that of the whole, also if images occur twice."""
    task = make_sample(6, n_classes=2, per_class=350, dim=2)
    latents = task.latents[::2].repeat(2, axis=0) if twice else task.latents
    digests = digests_of(latents)
    whole = LatentSample.of(latents, task.labels, digests)
    order = np.random.default_rng(seed).permutation(len(digests))
    one, other = (
        LatentSample.of(latents[rows], task.labels[rows], digests[rows])
        for rows in np.split(order, [cut])
    )
    assert len(whole) == MAX_ROWS
    assert equal(one.plus(other), whole)
    assert equal(other.plus(one), whole)
    places = np.array([1, 3])
    renamed = LatentSample.of(latents, places[task.labels], digests)
    assert equal(whole.with_classes(places), renamed)
