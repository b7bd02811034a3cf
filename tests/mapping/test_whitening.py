"""Whitening by dense and low-rank covariances."""

import numpy as np
import pytest
import torch

from teachmesh.mapping.whitening import DenseWhitening, LowRankWhitening, Whitening

DIM = 40


def _parts(rank: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return roots (R, D), a diagonal (D,) and their covariance."""
    rng = np.random.default_rng(0)
    roots, diagonal = rng.normal(size=(rank, DIM)), rng.uniform(0.01, 2, DIM)
    return roots, diagonal, roots.T @ roots + np.diag(diagonal)


@pytest.mark.parametrize("rank", [0, 1, 7])
@pytest.mark.parametrize("low_rank", [False, True])
def test_inner_products_are_those_of_the_inverse_covariance(rank: int, low_rank: bool) -> None:
    """The inverse comes from numpy."""
    roots, diagonal, covariance = _parts(rank)
    whiten: Whitening = (
        LowRankWhitening(roots, diagonal) if low_rank else DenseWhitening(covariance)
    )
    rows = torch.from_numpy(np.random.default_rng(1).normal(size=(5, DIM)))
    expected = rows.numpy() @ np.linalg.inv(covariance) @ rows.numpy().T
    z = whiten.apply(rows)
    np.testing.assert_allclose((z @ z.T).numpy(), expected, rtol=1e-9, atol=1e-9)


def test_repeated_roots_count_as_one_direction() -> None:
    """A rank below the number of rows causes no division by zero."""
    roots, diagonal, _ = _parts(1)
    twice = np.concatenate([roots, roots])
    rows = torch.eye(DIM, dtype=torch.float64)
    z = LowRankWhitening(twice, diagonal).apply(rows)
    expected = np.linalg.inv(twice.T @ twice + np.diag(diagonal))
    np.testing.assert_allclose((z @ z.T).numpy(), expected, rtol=1e-9, atol=1e-9)
