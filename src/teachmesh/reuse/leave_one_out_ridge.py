"""Class-balanced ridge regression that also knows what it would have said of each image unseen."""

from __future__ import annotations

import numpy as np
import torch

from teachmesh.mapping.ridge import RIDGE


class LooRidge:
    """Ridge regression of N rows with an unpenalised offset, for any targets.

    The rows left out are exact for the weights of the others as they are (allen's PRESS residual:
    the residual divided by one minus the image's own influence), so leave-one-out costs one
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
        # The offset's own influence is the weight of the image.
        self._left = (left - self.share).clamp(min=1e-9)[:, None]

    def weights(self, targets: np.ndarray) -> np.ndarray:
        """(K, D) float64 slopes of targets (N, K)."""
        centred = self._centred(targets)
        if self._dual:
            slopes = (self._inverse @ centred).T @ self._x
        else:
            slopes = (self._inverse @ (self._x.T @ centred)).T
        return np.asarray(slopes.numpy())

    def left_out_errors(self, targets: np.ndarray) -> np.ndarray:
        """(N, K) float64 target minus prediction of each row by a fit without it."""
        centred = self._centred(targets)
        if self._dual:
            residuals = self._penalty * (self._inverse @ centred)
        else:
            residuals = centred - self._x @ (self._inverse @ (self._x.T @ centred))
        return np.asarray((residuals / self._roots / self._left).numpy())

    def _centred(self, targets: np.ndarray) -> torch.Tensor:
        values = torch.from_numpy(np.ascontiguousarray(targets, dtype=np.float64))
        return (values - self.share @ values) * self._roots


PRIOR_SLOPE = 0.3
"""What the slope on old rows is drawn to; as much as leave-one-out says of it (validation)."""


def slope_on(ridge: LooRidge, target: np.ndarray, prior: np.ndarray) -> float:
    """How much of a prior a regression of the shots takes.

    Args:
        ridge: of the shots.
        target: (N, C) what is to be explained.
        prior: (N, C) scores of the old rows.
    """
    return prior_slope(ridge.left_out_errors(target), ridge.left_out_errors(prior))


def prior_slope(errors: np.ndarray, unseen: np.ndarray) -> float:
    """How much of the prior to take: what leave-one-out says, half drawn to what is usual.

    Args:
        errors: (N, C) left-out errors of the targets.
        unseen: (N, C) left-out errors of the prior's scores: what regression cannot know of them.
    """
    power = float(np.vdot(unseen, unseen))
    best = float(np.vdot(unseen, errors)) / power if power > 0 else 0.0
    return max(0.0, 0.5 * (best + PRIOR_SLOPE))
