"""How much of a prior the shots ask for: least squares on what leave-one-out leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from teachmesh.reuse.leave_one_out_ridge import LooRidge

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
