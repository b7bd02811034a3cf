"""Training under a p-norm, checked against automatic differentiation through the division."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

from teachmesh.model.head_training import HeadStart, fit_head, head_epochs, head_of
from teachmesh_lab.studies.row_norm import RowNorm
from tests.model.test_head_training import NOTHING, TRAIN, VALIDATION, reference_parameters


def divided(weight: torch.Tensor, p: float) -> torch.Tensor:
    """Divide each row by its norm as the paper writes it down; autograd finds the way back."""
    if p == np.inf:
        return weight / weight.abs().amax(1, keepdim=True)
    return weight / (weight.abs() ** p).sum(1, keepdim=True) ** (1 / p)


@pytest.mark.parametrize("p", [2.0, 3.0, np.inf])
def test_rows_are_trained_under_their_norm(p: float) -> None:
    """Automatic differentiation gives the same rows, and every row ends with length 1."""
    fitted = fit_head(*TRAIN, *NOTHING, 4, seed=3, max_epochs=5, rows=RowNorm(p))
    weight, bias = reference_parameters(fitted.best_epoch, seed=3, rows_of=partial(divided, p=p))
    np.testing.assert_allclose(fitted.head.weight, weight, atol=1e-5)
    np.testing.assert_allclose(fitted.head.bias, bias, atol=1e-5)
    lengths = np.linalg.norm(fitted.head.weight, ord=p, axis=1)
    np.testing.assert_allclose(lengths, 1, rtol=1e-6)


def test_a_norm_goes_with_validation_and_with_old_rows() -> None:
    """The rows of the best epoch are returned divided; old rows of any length are divided first."""
    fitted = fit_head(*TRAIN, *VALIDATION, 4, seed=1, rows=RowNorm(2.0))
    answers = fitted.head.logits(VALIDATION[0]).argmax(axis=1)
    assert np.mean(answers == VALIDATION[1]) == pytest.approx(fitted.accuracy)
    start = HeadStart(np.arange(4), 7 * fitted.head.weight, fitted.head.bias)
    _, begun = next(head_epochs(*TRAIN, 4, start=start, rows=RowNorm(2.0)))
    np.testing.assert_allclose(head_of(begun).weight, fitted.head.weight, rtol=1e-5)


def test_a_norm_that_cannot_be_is_refused() -> None:
    """p must be 1 or more; a row of zeros has no direction; a high p keeps small numbers."""
    for p in (0.5, -1.0, np.nan):
        with pytest.raises(ValueError, match="p of a norm"):
            RowNorm(p)
    start = HeadStart(np.array([2]), np.zeros((1, 24), np.float32), np.zeros(1, np.float32))
    with pytest.raises(ValueError, match="one of them is zero"):
        next(head_epochs(*TRAIN, 4, start=start, rows=RowNorm(2.0)))
    next(head_epochs(*TRAIN, 4, start=start))
    small = torch.cat([torch.full((1, 1000), 1e-3), torch.zeros(1, 1)], 1)
    found = RowNorm(40.0).of(small)[0, :-1]
    torch.testing.assert_close(found, torch.full((1000,), 1000 ** (-1 / 40)))
