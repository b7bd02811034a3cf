"""Points that a skill describes, drawn from its class means and covariance.

They stand for the images of a task whose images are elsewhere. They depend on the skill and its id
only, so every agent draws the same.
"""

from __future__ import annotations

import numpy as np

from teachmesh.mapping.anchor_kinds import MomentsAnchor

N_DRAWS = 64
"""Number of points per task."""


def synthetic_images(anchor: MomentsAnchor, skill_id: str) -> np.ndarray:
    """Draw points of a task in the metric's space, spread evenly over its classes.

    Args:
        anchor: class moments of the task.
        skill_id: id of the skill, 64 hex digits; it is the seed.

    Returns:
        (`N_DRAWS`, D) float64 array.
    """
    random = np.random.default_rng(int(skill_id[:32], 16))
    labels = random.permutation(anchor.n_classes)[np.arange(N_DRAWS) % anchor.n_classes]
    roots = anchor.roots()
    along = random.standard_normal((N_DRAWS, len(roots))) @ roots
    rest = float(anchor.rest[0]) ** 0.5 * random.standard_normal((N_DRAWS, anchor.dim))
    return np.asarray(anchor.class_means()[labels] + along + rest)
