"""Class-balanced ridge regression; its leave-one-out errors determine the weight of a prior."""

from __future__ import annotations

import numpy as np
import torch

from teachmesh.mapping.ridge import RIDGE

USUAL_PRIOR_WEIGHT = 0.3
"""Typical weight of a prior, chosen on validation images. Fitted weights are averaged with it."""


class LeaveOneOutRidge:
    """Ridge regression on N rows for any targets; the intercept has no penalty.

    The leave-one-out errors are exact if the other rows keep their weights when a row is left out.
    They are Allen's PRESS residuals: each residual is divided by one minus the leverage of its row.
    Computing them needs one factorisation instead of N.

    Args:
        rows: (N, D) float64 inputs.
        labels: (N,) int64 class of each row; every class has the same total weight.
        n_classes: number of classes, C.
        ridge: penalty relative to the mean eigenvalue of the (N, N) Gram matrix, as in
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
        # The intercept adds the weight of a row to its leverage.
        self._left = (left - self.share).clamp(min=1e-9)[:, None]

    def weights(self, targets: np.ndarray) -> np.ndarray:
        """Return the (K, D) float64 regression weights for (N, K) targets."""
        centred = self._centred(targets)
        if self._dual:
            slopes = (self._inverse @ centred).T @ self._x
        else:
            slopes = (self._inverse @ (self._x.T @ centred)).T
        return np.asarray(slopes.numpy())

    def left_out_errors(self, targets: np.ndarray) -> np.ndarray:
        """Return (N, K) float64 errors: each target minus its prediction from the other rows."""
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
    """Fit the weight of a prior in a regression on the shots.

    Args:
        ridge: ridge regression on the shots.
        target: (N, C) regression targets.
        prior: (N, C) scores that the old head rows give to the shots.
    """
    return prior_weight(ridge.left_out_errors(target), ridge.left_out_errors(prior))


def prior_weight(target_errors: np.ndarray, prior_errors: np.ndarray) -> float:
    """Return the least-squares weight of a prior, averaged with `USUAL_PRIOR_WEIGHT`.

    Args:
        target_errors: (N, C) leave-one-out errors of the targets.
        prior_errors: (N, C) leave-one-out errors of the prior's scores: the part of these scores
            that the regression cannot predict.
    """
    power = float(np.vdot(prior_errors, prior_errors))
    best = float(np.vdot(prior_errors, target_errors)) / power if power > 0 else 0.0
    return max(0.0, 0.5 * (best + USUAL_PRIOR_WEIGHT))
