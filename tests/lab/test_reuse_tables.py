"""What the tables of reuse are computed from: gains, intervals, what the trial takes, epochs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from teachmesh_lab.studies.reuse_cells import Gain
from teachmesh_lab.studies.reuse_data import Cell
from teachmesh_lab.studies.reuse_head_tables import (
    epochs,
    first_as_good,
    head_gains,
    head_pairs,
    heads,
)
from teachmesh_lab.studies.reuse_tables import four_ways

CURVES = [[0.1, 0.3, 0.4, 0.2], [0.1, 0.5, 0.6, 0.6], [0.2, 0.3, 0.3, 0.3]]


def head(test: float, curve: list[float]) -> Cell:
    """As `reuse_heads` writes one down."""
    return {"test": test, "validation": test, "curve": curve}


def pair(**changes: object) -> Cell:
    """Three draws; classes matched in the first and the last, and the trial takes the last."""
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


def test_an_interval_is_that_of_a_t_test() -> None:
    """A loss is one that the test finds at its 5 % level from both sides."""
    values = [-0.03, -0.01, -0.02, 0.0]
    low, high = ttest_1samp(values, 0.0).confidence_interval(0.95)
    gain = Gain.of(values)
    assert gain.mean - gain.half == pytest.approx(100 * low)
    assert gain.mean + gain.half == pytest.approx(100 * high)
    assert gain.is_loss == (high < 0)
    assert not Gain.of([-0.5]).is_loss


def test_old_rows_count_where_they_matched_and_the_trial_takes_them() -> None:
    """Elsewhere the head is that of a random start, so the gain is exactly zero."""
    np.testing.assert_allclose(head_gains(pair(), "test"), [0, 0, 0.3])
    np.testing.assert_allclose(head_gains(pair(), "test", -np.inf), [-0.3, 0, 0.3])
    beaten = pair(beats_closed=[True, False])
    np.testing.assert_allclose(head_gains(beaten, "test"), [0, 0, 0])


def test_tables_of_heads_say_what_the_cells_say(tmp_path: Path) -> None:
    """Means over pairs, gains over draws, epochs on the mean curve."""
    folder = tmp_path / "heads" / "3"
    folder.mkdir(parents=True)
    (folder / "new--old.json").write_text(json.dumps(pair()))
    lost = [head(0.1, CURVES[0]), head(0.1, CURVES[1])]
    stranger = pair(**{"shared": 0.0, "old rows": lost})
    (folder / "new--stranger.json").write_text(json.dumps(stranger))
    every, worst = heads(tmp_path)
    assert "| 3 | 2 | 3 | 2 | +10.0 (1 pairs) | +10.0 (1 pairs) | 0 |" in every
    assert worst.splitlines()[2:] == ["| 3 | new, stranger | -10.0 ± 43.0 |"]
    means, pairs, _ = head_pairs(tmp_path)
    assert "| 3 | 40.0 | 50.0 | 50.0 |" in means
    assert pairs.endswith("| new, old | 40.0 -> 50.0 |\n")
    (found,) = epochs(tmp_path)
    assert "| 3 | 1 | random | 40.0 | 2 | 2 |" in found
    assert "| 3 | 1 | closed form, no old rows | 30.0 | 1 | never |" in found
    assert "| 3 | 1 | ours | 46.7 | 2 | 2 |" in found


def test_a_curve_that_never_reaches_another_is_said_to_never_do() -> None:
    """Not to have reached it at once."""
    assert first_as_good(np.array([0.1, 0.5]), np.array([0.2, 0.5])) == "1"
    assert first_as_good(np.array([0.1, 0.4]), np.array([0.2, 0.5])) == "never"


def test_ways_are_compared_over_the_same_draws() -> None:
    """A cell of two draws stands beside the first two of learning alone."""
    cell = {"right": [[[1, 0], [1, 1]], [[0, 0], [1, 0]]]}
    alone = {"head": [0.5, 0.7, 9.0], "moments": [0.6, 0.8, 9.0]}
    assert four_ways(cell, alone) == pytest.approx([60, 70, 25, 75])
