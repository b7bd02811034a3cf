"""Quantisation of rows to int8 with one scale each."""

from __future__ import annotations

import numpy as np

from teachmesh.mapping.quantise import dequantise_rows, quantise_rows


def test_every_entry_is_within_half_a_level() -> None:
    """The error is at most half a scale, whatever the magnitude of the row."""
    random = np.random.default_rng(0)
    rows = random.normal(size=(20, 50)) * np.geomspace(1e-12, 1e12, 20)[:, None]
    quantised, scales = quantise_rows(rows)
    error = np.abs(dequantise_rows(quantised, scales) - rows)
    assert quantised.dtype == np.int8
    assert scales.dtype == np.float32
    assert (error <= 0.5001 * scales[:, None]).all()


def test_rows_of_zeros_stay_zeros_with_a_positive_scale() -> None:
    """Nothing is divided by zero, and the scale is valid in a skill."""
    quantised, scales = quantise_rows(np.zeros((2, 3)))
    assert (quantised == 0).all()
    assert (scales > 0).all()


def test_the_lowest_int8_is_never_used() -> None:
    """Levels are symmetric, so -128 does not occur."""
    quantised, _ = quantise_rows(-np.ones((1, 4)))
    assert (quantised == -127).all()
