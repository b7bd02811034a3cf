"""Metrics against loops over a hand-made matrix."""

from __future__ import annotations

import numpy as np
import pytest

from teachmesh_lab.evaluation.metrics import (
    backward_transfer,
    forgetting,
    learned_mean,
    mean_and_half_width,
    normalised,
    regression_line,
    seed_deviation,
    t_quantile,
    task_curve,
)

NAN = float("nan")
HAND = np.array([[0.8, 0.1, NAN], [0.9, 0.6, 0.3], [0.5, 0.4, 0.7]])


def test_a_hand_made_stream_gives_the_figures_of_the_definitions() -> None:
    """Computed by hand: task 0 has 0.8, 0.9, 0.5; task 1 has 0.6, 0.4."""
    assert learned_mean(HAND) == pytest.approx([0.8, 0.75, 1.6 / 3])
    assert task_curve(HAND) == pytest.approx([0.8, 0.9, 0.5])
    assert task_curve(HAND, 1) == pytest.approx([0.6, 0.4])
    assert forgetting(HAND) == pytest.approx(((0.9 - 0.5) + (0.6 - 0.4)) / 2)
    assert backward_transfer(HAND) == pytest.approx(((0.5 - 0.8) + (0.4 - 0.6)) / 2)


def test_normalised_accuracy_is_one_when_learned_and_nothing_before() -> None:
    """The ratio of a task without any right answer is undefined."""
    ratios = normalised(HAND)
    assert ratios[2].tolist() == pytest.approx([0.5 / 0.8, 0.4 / 0.6, 1.0])
    assert np.isnan(ratios[0, 1:]).all()
    never = HAND.copy()
    never[1, 1] = 0.0
    assert np.isnan(normalised(never)[:, 1]).all()


def test_what_needs_two_tasks_is_none_for_one() -> None:
    """Forgetting and transfer of a single task are None, not zero."""
    one = np.array([[0.5]])
    assert forgetting(one) is None
    assert backward_transfer(one) is None


def test_the_regression_line_equals_polyfit() -> None:
    """The line meets zero where stated; a rising line never does."""
    values = 0.95 - 0.0012 * np.arange(1, 41) + np.random.default_rng(0).normal(0, 0.01, 40)
    slope, intercept = np.polyfit(np.arange(1, 41), values, 1)
    line = regression_line(values)
    assert (line.slope, line.intercept) == pytest.approx((slope, intercept))
    assert line.zero == pytest.approx(-intercept / slope, rel=1e-5)
    assert regression_line(values[::-1]).zero is None
    assert regression_line(np.array([0.7])).slope == 0.0


def test_a_hole_below_the_diagonal_is_an_error() -> None:
    """A mean without an unmeasured task would be too good."""
    holed = HAND.copy()
    holed[2, 0] = NAN
    with pytest.raises(ValueError, match="measured"):
        learned_mean(holed)
    for shape in (HAND[:2], HAND[:0, :0]):
        with pytest.raises(ValueError, match="matrix"):
            learned_mean(shape)


def test_a_seed_that_changes_nothing_has_no_interval() -> None:
    """Accuracies that differ by rounding only are equal, and give no interval of width zero."""
    for values in ([0.7, 0.7, 0.7], [0.1 + 0.2, 0.3]):
        assert seed_deviation(values) == 0.0
        assert mean_and_half_width(values)[1] is None
    assert seed_deviation([0.7]) is None
    assert seed_deviation([0.7, 0.9]) == pytest.approx(np.sqrt(0.02))


def test_quantiles_are_those_of_students_t_for_any_number_of_seeds() -> None:
    """Published quantiles; 40 degrees of freedom are not yet normal."""
    published = {1: 12.7062, 2: 4.3027, 29: 2.0452, 40: 2.0211, 100: 1.9840}
    for freedom, quantile in published.items():
        assert t_quantile(freedom) == pytest.approx(quantile, abs=1e-4)
    values = np.linspace(0.4, 0.6, 41)
    half = mean_and_half_width(values.tolist())[1]
    assert half == pytest.approx(2.0211 * values.std(ddof=1) / np.sqrt(41), rel=1e-4)


def test_confidence_covers_the_true_mean_in_95_of_100_draws() -> None:
    """Five values need Student's t; the normal distribution's 1.96 would cover only 88 of 100."""
    random = np.random.default_rng(3)
    hits = 0
    for draw in random.normal(0.0, 1.0, (2000, 5)):
        mean, half = mean_and_half_width(draw.tolist())
        assert half is not None
        hits += abs(mean) <= half
    assert hits / 2000 == pytest.approx(0.95, abs=0.02)


def test_differences_below_the_rounding_are_none_and_above_are_some() -> None:
    """One image more in a million is a difference; the last bits of a sum are none."""
    assert seed_deviation([0.7, 0.7 + 5e-10]) == 0.0
    assert seed_deviation([0.7, 0.7 + 1e-6]) == pytest.approx(1e-6 / np.sqrt(2))


def test_two_tasks_are_enough_for_forgetting_and_transfer() -> None:
    """The first task fell from 0.9 to 0.6; a line through two points has its slope exactly."""
    matrix = np.array([[0.9, NAN], [0.6, 0.8]])
    assert forgetting(matrix) == pytest.approx(0.3)
    assert backward_transfer(matrix) == pytest.approx(-0.3)
    assert regression_line(np.array([0.5, 0.5])).zero is None
    assert regression_line(np.array([0.5])).slope == 0.0
