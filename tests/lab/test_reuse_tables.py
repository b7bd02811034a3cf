"""Arithmetic of the tables of reuse: gains, intervals, trials, epochs."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from teachmesh_lab.studies.reuse_head_tables import (
    epoch_table,
    first_as_good,
    head_gains,
    head_tables,
    pair_tables,
)
from teachmesh_lab.studies.reuse_tables import Gain, four_ways
from teachmesh_lab.studies.study_cells import StudyCell, StudyResult, Values

CURVES = [[0.1, 0.3, 0.4, 0.2], [0.1, 0.5, 0.6, 0.6], [0.2, 0.3, 0.3, 0.3]]


def head(test: float, curve: list[float]) -> Values:
    """Make a trained head as in the result of `heads`."""
    return {"test": test, "validation": test, "curve": curve}


def pair(**changes: object) -> Values:
    """Make a result with three draws: two have matches, and one of them passes the trial."""
    return {
        "shared": 1.0,
        "random": [head(0.4, CURVES[0])] * 3,
        "closed form": [head(0.5, CURVES[2])] * 3,
        "matched": [0, 2],
        "old rows": [head(0.1, CURVES[0]), head(0.7, CURVES[1])],
        "gain": [0.2, 1.4],
        "beats_closed": [True, True],
        **changes,
    }


def measured(new: str, old: str, values: Values) -> StudyResult:
    """Make a result of `heads` at three shots."""
    arguments = {"new": new, "old": old, "shots": 3}
    cell = StudyCell("heads", f"heads/3/{new}/{old}", arguments, "tasks", "backbone")
    return StudyResult(cell, values, {})


def test_an_interval_is_that_of_a_t_test() -> None:
    """A gain is a loss if a two-sided test finds it at its 5 % level."""
    values = [-0.03, -0.01, -0.02, 0.0]
    low, high = ttest_1samp(values, 0.0).confidence_interval(0.95)
    gain = Gain.of(values)
    assert gain.mean - gain.half == pytest.approx(100 * low)
    assert gain.mean + gain.half == pytest.approx(100 * high)
    assert gain.is_loss == (high < 0)
    assert not Gain.of([-0.5]).is_loss


def test_old_rows_count_where_they_matched_and_passed_the_trial() -> None:
    """In other draws the head has a random start, so the gain is exactly zero."""
    np.testing.assert_allclose(head_gains(pair(), "test"), [0, 0, 0.3])
    np.testing.assert_allclose(head_gains(pair(), "test", -np.inf), [-0.3, 0, 0.3])
    beaten = pair(beats_closed=[True, False])
    np.testing.assert_allclose(head_gains(beaten, "test"), [0, 0, 0])


def test_tables_of_heads_follow_from_the_cells() -> None:
    """Means are over pairs, gains over draws, and epochs on the mean curve."""
    lost = [head(0.1, CURVES[0]), head(0.1, CURVES[1])]
    unrelated = pair(**{"shared": 0.0, "old rows": lost})
    results = [measured("new", "old", pair()), measured("new", "unrelated", unrelated)]
    every, worst = head_tables(results)
    assert "| 3 | 2 | 3 | 2 | +10.0 (1 pairs) | +10.0 (1 pairs) | 0 |" in every
    assert worst.splitlines()[2:] == ["| 3 | new, unrelated | -10.0 ± 43.0 |"]
    means, pairs, _ = pair_tables(results)
    assert "| 3 | 40.0 | 50.0 | 50.0 |" in means
    assert pairs.endswith("| new, old | 40.0 -> 50.0 |\n")
    (found,) = epoch_table(results)
    assert "| 3 | 1 | random start | 40.0 | 2 | 2 |" in found
    assert "| 3 | 1 | closed form without old rows | 30.0 | 1 | never |" in found
    assert "| 3 | 1 | closed form with old rows (ours) | 46.7 | 2 | 2 |" in found


def test_a_curve_that_never_reaches_another_is_marked_never() -> None:
    """It must not be counted as reached at epoch 0."""
    assert first_as_good(np.array([0.1, 0.5]), np.array([0.2, 0.5])) == "1"
    assert first_as_good(np.array([0.1, 0.4]), np.array([0.2, 0.5])) == "never"


def test_ways_are_compared_over_the_same_draws() -> None:
    """A result with two draws is compared with the first two draws of learning alone."""
    values = {"right": [[[1, 0], [1, 1]], [[0, 0], [1, 0]]]}
    alone = {"head": [0.5, 0.7, 9.0], "moments": [0.6, 0.8, 9.0]}
    assert four_ways(values, alone) == pytest.approx([60, 70, 25, 75])
