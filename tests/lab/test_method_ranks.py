"""Ranks of methods: published quantiles, and tables ranked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from teachmesh_lab.evaluation.method_ranks import critical_difference, rank_methods

# Table 5 a of Demsar (2006): number of methods -> quantile at 5 %.
PUBLISHED = {2: 1.960, 4: 2.569, 10: 3.164}


def test_critical_differences_use_the_published_quantiles() -> None:
    """The difference is the quantile times sqrt(M (M + 1) / 6 T)."""
    for methods, quantile in PUBLISHED.items():
        expected = quantile * np.sqrt(methods * (methods + 1) / (6 * 30))
        assert critical_difference(methods, 30) == pytest.approx(expected, abs=2e-3)


def test_ranks_share_ties_and_follow_the_accuracies() -> None:
    """Ranked by hand: (1, 2.5, 2.5), (1, 2, 3), (2, 1, 3)."""
    accuracies = np.array([[0.9, 0.5, 0.5], [0.8, 0.7, 0.1], [0.6, 0.9, 0.2]])
    found = rank_methods(accuracies)
    assert found.average == pytest.approx((4 / 3, 5.5 / 3, 8.5 / 3))
    assert found.p_value is not None
    assert rank_methods(np.full((4, 3), 0.5)).p_value == 1.0
    assert rank_methods(accuracies[:, :2]).p_value is None
