"""Round rows of a linear map so that its results change little, instead of its numbers.

Numbers are rounded one after the other. The error of each is compensated by those that are not
rounded yet, as far as inputs are correlated.

References:
    Frantar et al., GPTQ: Accurate post-training quantization for generative pre-trained
    transformers, ICLR 2023, Sec. 3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from teachmesh.mapping.moments import one_thread

Rounding = Callable[[np.ndarray], np.ndarray]
"""(N, 1) numbers, one per row -> (N, 1) rounded numbers."""


@dataclass(frozen=True, eq=False)
class Inputs:
    """Second moments of the inputs of a linear map: roots^T roots + variance I.

    Attributes:
        roots: (K, D) float64.
        variance: above 0.
    """

    roots: np.ndarray
    variance: float


def round_with_feedback(rows: np.ndarray, rounding: Rounding, inputs: Inputs) -> np.ndarray:
    """Round (N, D) rows so that products with inputs keep a small squared error.

    Args:
        rows: (N, D) float64.
        rounding: function that rounds one column.
        inputs: second moments of the inputs.

    Returns:
        (N, D) float64 rounded rows.

    Examples:
        The inputs are almost equal, so that only the sum of a row matters.

        >>> inputs = Inputs(np.ones((1, 2)), 1e-6)
        >>> round_with_feedback(np.array([[0.4, 0.4]]), np.rint, inputs).tolist()
        [[0.0, 1.0]]
    """
    factor = _inverse_factor(inputs)
    left, rounded = rows.astype(np.float64), np.empty(rows.shape)
    for j in range(rows.shape[1]):
        column = left[:, j : j + 1]
        rounded[:, j : j + 1] = rounding(column)
        error = (column - rounded[:, j : j + 1]) / factor[j, j]
        left[:, j + 1 :] -= error * factor[j, j + 1 :]
    return rounded


def _inverse_factor(inputs: Inputs) -> np.ndarray:
    """Return the (D, D) upper triangular U; U^T U is the inverse of the second moments."""
    roots = torch.tensor(inputs.roots)  # a copy, because BLAS depends on addresses
    with one_thread():
        moments = roots.T @ roots
        moments.diagonal().add_(inputs.variance)
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(moments))
        return np.asarray(torch.linalg.cholesky(inverse, upper=True).numpy())
