"""Leave-one-out errors in closed form, compared with explicit fits."""

from __future__ import annotations

import numpy as np
import pytest

from teachmesh.mapping.ridge import fit_ridge
from teachmesh.reuse.leave_one_out_ridge import LeaveOneOutRidge
from tests.mapping.latents import make_sample


@pytest.mark.parametrize("dim", [8, 60], ids=["more rows than dimensions", "fewer"])
def test_weights_equal_those_of_fit_ridge(dim: int) -> None:
    """Both Gram matrices give the regression of `mapping.ridge`."""
    sample = make_sample(1, n_classes=3, per_class=10, dim=dim)
    one_hot = np.eye(3)[sample.labels]
    expected, _, _ = fit_ridge(sample.latents, sample.labels, 3)
    found = LeaveOneOutRidge(sample.latents.astype(np.float64), sample.labels, 3).weights(one_hot)
    np.testing.assert_allclose(found, expected, atol=1e-9)


@pytest.mark.parametrize("dim", [8, 60], ids=["more rows than dimensions", "fewer"])
def test_left_out_errors_equal_fits_without_the_row(dim: int) -> None:
    """Every row is left out in one explicit fit with unchanged weights and penalty."""
    sample = make_sample(2, n_classes=3, per_class=6, dim=dim)
    x, one_hot = sample.latents.astype(np.float64), np.eye(3)[sample.labels]
    ridge = LeaveOneOutRidge(x, sample.labels, 3)
    share, penalty = ridge.share.numpy(), ridge._penalty
    errors = ridge.left_out_errors(one_hot)
    for i in range(len(x)):
        kept = np.arange(len(x)) != i
        rows = np.column_stack([x[kept], np.ones(kept.sum())])
        weighted = rows * share[kept, None]
        gram = rows.T @ weighted
        gram[:dim, :dim] += penalty * np.eye(dim)
        solution = np.linalg.solve(gram, weighted.T @ one_hot[kept])
        prediction = np.append(x[i], 1.0) @ solution
        np.testing.assert_allclose(errors[i], one_hot[i] - prediction, atol=1e-8)
