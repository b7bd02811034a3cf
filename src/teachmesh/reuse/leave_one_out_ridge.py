"""Class-balanced ridge regression with leave-one-out errors, and the weight of a prior."""

from __future__ import annotations

import numpy as np
import torch

from teachmesh.mapping.ridge import RIDGE

USUAL_PRIOR_WEIGHT = 0.3
"""The fitted weight of a prior is averaged with this one. Chosen on validation images."""


class LeaveOneOutRidge:
    """Ridge regression of N rows with an unpenalised offset, for any targets.

    The leave-one-out errors are exact for unchanged weights of the other rows. They are Allen's
    PRESS residuals: the residual divided by one minus the row's own leverage. So they cost one
    factorisation instead of N.

    Args:
        rows: (N, D) float64.
        labels: (N,) int64; every class has the same total weight.
        n_classes: C.
        ridge: penalty, relative to the mean eigenvalue of the (N, N) Gram matrix, as in
            `mapping.ridge.fit_ridge`.
    """

    def __init__(
        self, rows: np.ndarray, labels: np.ndarray, n_classes: int, *, ridge: float = RIDGE
    ) -> None:
        counts = np.bincount(labels, minlength=n_classes)
        self.share = torch.from_numpy(1.0 / (n_classes * counts[labels]))  # (N,) sums to 1
        self._roots = self.share.sqrt()[:, None]
        x = torch.from_numpy(rows)
        self.centre = self.share @ x
        self._x = (x - self.centre) * self._roots
        n, dim = self._x.shape
        self._dual = n <= dim
        gram = self._x @ self._x.T if self._dual else self._x.T @ self._x
        self._penalty = ridge * float(gram.diagonal().sum()) / n + 1e-12
        gram.diagonal().add_(self._penalty)
        self._inverse = torch.cholesky_inverse(torch.linalg.cholesky(gram))
        if self._dual:
            left = self._penalty * self._inverse.diagonal()
        else:
            left = 1 - ((self._x @ self._inverse) * self._x).sum(1)
        # The leverage of the offset is the weight of the row.
        self._left = (left - self.share).clamp(min=1e-9)[:, None]

    def weights(self, targets: np.ndarray) -> np.ndarray:
        """Return (K, D) float64 regression weights for targets (N, K)."""
        centred = self._centred(targets)
        if self._dual:
            slopes = (self._inverse @ centred).T @ self._x
        else:
            slopes = (self._inverse @ (self._x.T @ centred)).T
        return np.asarray(slopes.numpy())

    def left_out_errors(self, targets: np.ndarray) -> np.ndarray:
        """Return (N, K) float64 target minus prediction of each row by a fit without it."""
        centred = self._centred(targets)
        if self._dual:
            residuals = self._penalty * (self._inverse @ centred)
        else:
            residuals = centred - self._x @ (self._inverse @ (self._x.T @ centred))
        return np.asarray((residuals / self._roots / self._left).numpy())

    def _centred(self, targets: np.ndarray) -> torch.Tensor:
        values = torch.from_numpy(np.ascontiguousarray(targets, dtype=np.float64))
        return (values - self.share @ values) * self._roots


def fit_prior_weight(ridge: LeaveOneOutRidge, target: np.ndarray, prior: np.ndarray) -> float:
    """Fit the weight of a prior in a regression.

    Args:
        ridge: regression on the shots.
        target: (N, C) targets of the regression.
        prior: (N, C) scores of the old rows for the shots.
    """
    return prior_weight(ridge.left_out_errors(target), ridge.left_out_errors(prior))


def prior_weight(target_errors: np.ndarray, prior_errors: np.ndarray) -> float:
    """Return the weight of a prior: least squares, averaged with `USUAL_PRIOR_WEIGHT`.

    Args:
        target_errors: (N, C) leave-one-out errors of the targets.
        prior_errors: (N, C) leave-one-out errors of the prior's scores: the part of the prior that
            the regression cannot find by itself.
    """
    power = float(np.vdot(prior_errors, prior_errors))
    best = float(np.vdot(prior_errors, target_errors)) / power if power > 0 else 0.0
    return max(0.0, 0.5 * (best + USUAL_PRIOR_WEIGHT))
