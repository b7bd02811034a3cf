"""The start of a trained head that leans on old rows (Sec. 7.2, 2), in closed form.

A row copied as it is knows how its class differs from the other classes of the *old* task. So the
old rows are a prior only: as much of them as the shots ask for, and ridge regression explains what
they leave. Classes without an old row come out of the regression alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from teachmesh.model.head_training import HeadStart
from teachmesh.model.macs import MacCounter
from teachmesh.reuse.leave_one_out_ridge import LooRidge, slope_on

SHARPNESS = 10.0
"""What regressed scores, about 1 for the right class and else 0, are multiplied by to be logits."""


@dataclass(frozen=True, eq=False)
class HeadPrior:
    """A start for all classes, and what it cost.

    Attributes:
        start: of the head.
        macs: multiply-accumulates of the matrix products.
    """

    start: HeadStart
    macs: int


def lean(
    old: HeadStart | None, latents: np.ndarray, labels: np.ndarray, n_classes: int
) -> HeadPrior:
    """A start out of the shots and of old rows for some of the classes.

    Args:
        old: old rows; None for the closed form of the shots alone.
        latents: (N, D) float32 of the shots.
        labels: (N,) int64; every class occurs.
        n_classes: C.
    """
    with MacCounter() as counter:
        x = torch.from_numpy(latents.astype(np.float64))
        ridge = LooRidge(x.numpy(), labels, n_classes)
        target = torch.nn.functional.one_hot(torch.from_numpy(labels), n_classes).double()
        weight = torch.zeros(n_classes, x.shape[1], dtype=torch.float64)
        left = target
        if old is not None:
            weight[torch.from_numpy(old.classes)] = _prior_rows(old, x, n_classes)
            prior = x @ weight.T  # (N, C)
            slope = slope_on(ridge, target.numpy(), prior.numpy())
            weight, left = slope * weight, target - slope * prior
        weight = weight + torch.from_numpy(ridge.weights(left.numpy()))
        bias = ridge.share @ target - weight @ (ridge.share @ x)
    start = HeadStart(
        np.arange(n_classes),
        (SHARPNESS * weight).float().numpy(),
        (SHARPNESS * bias).float().numpy(),
    )
    return HeadPrior(start, int(counter.macs))


def _prior_rows(old: HeadStart, x: torch.Tensor, n_classes: int) -> torch.Tensor:
    """(M, D) old rows less their mean, scaled: their scores have half the targets' variance."""
    differences = torch.from_numpy(old.weight.astype(np.float64))
    differences = differences - differences.mean(0)
    spread = (x @ differences.T).std(0, correction=0)
    rate = 1 / n_classes
    scale = (0.5 * rate * (1 - rate)) ** 0.5 / spread.where(spread > 1e-12, torch.inf)
    scaled: torch.Tensor = differences * scale[:, None]
    return scaled
