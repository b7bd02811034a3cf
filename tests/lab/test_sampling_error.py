"""Errors from the choice of test images: against resampling, and on hand-made images."""

from __future__ import annotations

import numpy as np
import pytest

from teachmesh_lab.evaluation.sampling_error import image_error, paired_difference


def test_the_closed_form_equals_resampling() -> None:
    """Draw the images of two tasks of unequal size 20,000 times and compare the deviation."""
    random = np.random.default_rng(0)
    one, two = random.random(40) < 0.9, random.random(90) < 0.6
    draws = [random.multinomial(len(r), np.full(len(r), 1 / len(r)), 20_000) for r in (one, two)]
    means = [drawn @ right / len(right) for drawn, right in zip(draws, (one, two), strict=True)]
    resampled = np.std((means[0] + means[1]) / 2)
    error = image_error([{("a", "x"): one, ("b", "x"): two}])
    assert error == pytest.approx(resampled, rel=0.02)


def test_seeds_on_other_images_halve_the_variance_and_equal_images_do_not() -> None:
    """Two seeds on equal images are one sample of images; on other images they are two."""
    right = np.array([1, 0, 1, 1, 0, 1])
    once = image_error([{("a", "x"): right}])
    assert once is not None
    assert image_error([{("a", "x"): right}] * 2) == pytest.approx(once)
    other = image_error([{("a", "x"): right}, {("a", "y"): right}])
    assert other == pytest.approx(once / np.sqrt(2))
    assert image_error([{}]) is None


def test_pairs_compare_methods_on_the_same_images() -> None:
    """A method that is right on the same images and two more is surely not worse."""
    random = np.random.default_rng(1)
    right = random.random(200) < 0.5
    better = right.copy()
    better[np.flatnonzero(~right)[:8]] = True
    found = paired_difference([{("a", "x"): better}], [{("a", "x"): right}])
    assert found is not None
    assert found.mean == pytest.approx(8 / 200)
    assert 0 < found.low < found.mean < found.high < 0.08
    # Unpaired, the difference of 4 points would have an error of 5 points.
    error = image_error([{("a", "x"): right}])
    assert error is not None
    assert np.sqrt(2) * error > 0.04
    assert paired_difference([{("a", "x"): right}], [{("b", "x"): right}]) is None
