"""The rank rule in exact arithmetic, and the array that carries held-out scores."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from teachmesh.errors import UsageError
from teachmesh.mapping.typicality import (
    MAX_FALSE_ALARMS,
    MAX_IMAGES,
    MAX_SCORES,
    MAX_VALUES,
    HeldOut,
    Scale,
    check_rate,
    folds_of,
    images_needed,
)

RATES = [Fraction(k, 1000) for k in range(1, 251)]


@pytest.mark.parametrize("n", [0, 1, 3, 18, 19, 20, 38, 39, 57, 99, 100, 199, 200, 333, 399])
def test_the_threshold_has_the_exact_rank(n: int) -> None:
    """The rank is floor(a (n + 1)) in exact fractions; no score without such a rank."""
    scores = np.random.default_rng(n).permutation(n).astype(np.float64)
    held_out = HeldOut.of(scores)
    for rate in RATES:
        rank = int(rate * (n + 1))
        expected = None if rank == 0 else float(rank - 1)
        assert held_out.threshold(float(rate)) == expected
        assert (expected is not None) == (n >= images_needed(float(rate)))


@pytest.mark.parametrize("n", [1, 4, 19, 20, 41])
@pytest.mark.parametrize("rate", [Fraction(1, 100), Fraction(1, 20), Fraction(1, 10), RATES[-1]])
def test_at_most_the_promised_fraction_is_called_unknown(n: int, rate: Fraction) -> None:
    """Each of n + 1 exchangeable images is the new one once: an exact average, no simulation."""
    scores = np.random.default_rng(n).permutation(n + 1).astype(np.float64)
    alarms = 0
    for new in range(n + 1):
        threshold = HeldOut.of(np.delete(scores, new)).threshold(float(rate))
        alarms += threshold is not None and scores[new] < threshold
    assert rate - Fraction(1, n + 1) < Fraction(alarms, n + 1) <= rate


def test_ties_raise_no_more_alarms() -> None:
    """An image exactly at the threshold is known."""
    assert HeldOut.of(np.zeros(39)).threshold(0.05) == 0.0


def test_the_needed_images_are_exact() -> None:
    """n images carry a rate of at least 1 / (n + 1)."""
    for rate in RATES:
        assert images_needed(float(rate)) == -int(-1 // rate) - 1


@pytest.mark.parametrize("n", [400, 500, 798, 799, 5000])
def test_of_many_images_every_kth_is_used(n: int) -> None:
    """The number stays within the limit, and the largest rate can still be promised."""
    scores = np.random.default_rng(0).normal(size=n)
    held_out = HeldOut.of(scores)
    step = -(-n // MAX_IMAGES)
    used = np.sort(scores[::step])
    assert held_out.images == len(used) <= MAX_IMAGES
    np.testing.assert_array_equal(held_out.lowest, used[:MAX_SCORES].astype(np.float32))
    assert held_out.threshold(MAX_FALSE_ALARMS) is not None


@pytest.mark.parametrize("rate", [0.0, -0.1, 0.2500001, 1.0, float("nan")])
def test_other_rates_are_refused(rate: float) -> None:
    """The skill has no scores for a larger rate."""
    with pytest.raises(UsageError, match="rate of false alarms above 0 and up to 0.25"):
        check_rate(rate)
    check_rate(MAX_FALSE_ALARMS)


@pytest.mark.parametrize("n", [0, 1, 50, 100, 101, 399])
@pytest.mark.parametrize("scale", [None, Scale(0.5, 0.25), Scale(0.0, 1e-12)])
def test_held_out_scores_survive_their_array(n: int, scale: Scale | None) -> None:
    """The array is short, and reading it gives the same array and thresholds."""
    held_out = HeldOut.of(np.random.default_rng(n).normal(size=n), scale)
    array = held_out.tensor()
    again = HeldOut.from_tensor(array)
    assert array.dtype == np.float32
    assert len(array) <= MAX_VALUES
    assert again.tensor().tobytes() == array.tobytes()
    assert again.images == n
    assert (again.scale is None) == (scale is None)
    for rate in RATES[::7]:
        assert again.threshold(float(rate)) == held_out.threshold(float(rate))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([], "one row"),
        ([0, 0], "one row"),
        ([[0, 0, 0]], "one row"),
        ([1, 0, 0, np.nan], "finite"),
        ([np.inf, 0, 0], "finite"),
        ([1, np.nan, 0, 0], "finite"),
        ([1.5, 0, 0, 0], "images"),
        ([-1, 0, 0], "images"),
        ([0, 0, 0, 1], "images"),
        ([400, 0, 0, *range(100)], "images"),
        ([3, 0, 0, 1, 2], "lowest"),
        ([150, 0, 0, *range(99)], "lowest"),
        ([150, 0, 0, *range(101)], "lowest"),
        ([2, 0, 0, 2, 1], "ascending"),
        ([1, -1, 1, 0], "negative"),
        ([1, 1, -1, 0], "negative"),
    ],
)
def test_arrays_that_no_teacher_makes_are_refused(values: list[float], message: str) -> None:
    """Wrong length, numbers that are not finite, wrong counts, order and distances."""
    with pytest.raises(ValueError, match=message):
        HeldOut.from_tensor(np.array(values, dtype=np.float32))


def test_an_array_of_another_type_is_refused() -> None:
    """Only float32 is sent."""
    with pytest.raises(ValueError, match="float32"):
        HeldOut.from_tensor(np.zeros(3))


def test_the_scale_is_zero_at_the_median_and_minus_one_at_the_high_quantile() -> None:
    """Equal distances give a small positive spread instead of a division by zero."""
    distances = np.linspace(0, 1, 101)
    scale = Scale.of(distances)
    np.testing.assert_allclose(scale.standardise(np.array([0.5, 0.95])), [0, -1], atol=1e-12)
    for constant in (0.0, 7.0):
        assert np.isfinite(Scale.of(np.full(5, constant)).standardise(distances)).all()


@pytest.mark.parametrize("n_folds", [1, 2, 5, 8])
def test_folds_spread_every_class_evenly(n_folds: int) -> None:
    """Folds differ by one image at most, in total and of each class."""
    labels = np.random.default_rng(0).integers(6, size=83)
    fold = folds_of(labels, n_folds)
    counts = np.zeros((6, n_folds), dtype=int)
    np.add.at(counts, (labels, fold), 1)
    assert (np.ptp(counts, axis=1) <= 1).all()
    assert np.ptp(counts.sum(axis=0)) <= 1
