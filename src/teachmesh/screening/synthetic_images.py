"""Points that a skill describes, drawn from its class means and covariance.

They stand for the images of a task whose images are elsewhere. They depend on the skill and the
newcomer only, so every agent draws the same. Nobody knows them before the newcomer is signed, so no
skill can be made to avoid them.
"""

from __future__ import annotations

import numpy as np

from teachmesh.mapping.anchor_kinds import MomentsAnchor

N_DRAWS = 64
"""Number of points per task."""


def synthetic_images(anchor: MomentsAnchor, skill_id: str, newcomer: str) -> np.ndarray:
    """Draw points of a task in the metric's space, spread evenly over its classes.

    Args:
        anchor: class moments of the task.
        skill_id: id of the skill, 64 hex digits.
        newcomer: id of the skill that is screened; both ids together are the seed.

    Returns:
        (`N_DRAWS`, D) float64 array.
    """
    random = np.random.default_rng([int(one[:32], 16) for one in (skill_id, newcomer)])
    labels = random.permutation(anchor.n_classes)[np.arange(N_DRAWS) % anchor.n_classes]
    roots = anchor.roots()
    along = random.standard_normal((N_DRAWS, len(roots))) @ roots
    rest = float(anchor.rest[0]) ** 0.5 * random.standard_normal((N_DRAWS, anchor.dim))
    return np.asarray(anchor.class_means()[labels] + along + rest)
