"""Closed-form start for training a head, with rows of old heads as a prior (Sec. 7.2, 2).

A copied row separates its class from the other classes of the *old* task. Old rows are therefore
only a prior: their weight is fitted to the shots, and ridge regression fits the residual. For
classes without an old row, the regression alone gives the row.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from teachmesh.model.head_training import HeadStart
from teachmesh.model.macs import MacCounter
from teachmesh.reuse.leave_one_out_ridge import LeaveOneOutRidge, fit_prior_weight

SHARPNESS = 10.0
"""Factor that converts regressed scores (about 1 for the right class, otherwise 0) to logits."""


@dataclass(frozen=True, eq=False)
class FittedStart:
    """Initial parameters of a head for all classes, and the cost of fitting them.

    Attributes:
        start: initial weights and biases.
        macs: number of multiply-accumulates in the matrix products.
    """

    start: HeadStart
    macs: int


def fit_start(
    old: HeadStart | None, latents: np.ndarray, labels: np.ndarray, n_classes: int
) -> FittedStart:
    """Fit initial parameters to the shots, with the old head rows of some classes as a prior.

    Args:
        old: old head rows; None to use the shots alone.
        latents: (N, D) float32 latents of the shots.
        labels: (N,) int64 class of each shot; every class occurs.
        n_classes: number of classes, C.
    """
    with MacCounter() as counter:
        x = torch.from_numpy(latents.astype(np.float64))
        ridge = LeaveOneOutRidge(x.numpy(), labels, n_classes)
        target = torch.nn.functional.one_hot(torch.from_numpy(labels), n_classes).double()
        weight = torch.zeros(n_classes, x.shape[1], dtype=torch.float64)
        rest = target
        if old is not None:
            weight[torch.from_numpy(old.classes)] = _scaled_rows(old, x, n_classes)
            prior = x @ weight.T  # (N, C)
            share = fit_prior_weight(ridge, target.numpy(), prior.numpy())
            weight, rest = share * weight, target - share * prior
        weight = weight + torch.from_numpy(ridge.weights(rest.numpy()))
        bias = ridge.share @ target - weight @ (ridge.share @ x)
    start = HeadStart(
        np.arange(n_classes),
        (SHARPNESS * weight).float().numpy(),
        (SHARPNESS * bias).float().numpy(),
    )
    return FittedStart(start, int(counter.macs))


def _scaled_rows(old: HeadStart, x: torch.Tensor, n_classes: int) -> torch.Tensor:
    """Centre M old rows; scale them so that their scores have half the targets' variance."""
    differences = torch.from_numpy(old.weight.astype(np.float64))
    differences = differences - differences.mean(0)
    spread = (x @ differences.T).std(0, correction=0)
    rate = 1 / n_classes
    scale = (0.5 * rate * (1 - rate)) ** 0.5 / spread.where(spread > 1e-12, torch.inf)
    scaled: torch.Tensor = differences * scale[:, None]
    return scaled
