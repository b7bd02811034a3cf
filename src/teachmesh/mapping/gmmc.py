"""Gaussian Mixture Model Classifier (GMMC): each task is a set of clusters (Eq. 3 and 4).

Each teacher fits k = 25 diagonal Gaussians to all training latents of a task. A student collects
the clusters of all tasks and chooses the task of the cluster with the highest posterior. The
cluster weights are the priors, so all tasks count equally, regardless of their size. The authors'
code weights tasks by their number of images; the paper does not specify this.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
import torch

from teachmesh.mapping.anchor import check_latents
from teachmesh.mapping.anchor_kinds import GmmcAnchor
from teachmesh.mapping.gmm_fit import MixtureDensity, fit_mixture, side_by_side, with_squares
from teachmesh.mapping.mapper import TaskMapper

N_CLUSTERS = 25
"""Number of clusters per task: k in the paper's GMMC section."""
VARIANCE_FLOOR = 0.1
"""Constant added to every variance, as a fraction of the variance of reference images.

Without a floor, a channel that is constant in a cluster makes the likelihood infinite. The paper
mentions no floor, but the result depends on it. It is the same for all tasks of a backbone: a floor
that grows with a task's own variance finds fewer tasks. It is relative, because the variance of
latents differs by a factor of 26 between two backbones. The rule by which it was chosen, and the
results, are in docs/results/experiments.md."""
SMALLEST_FLOOR = 1e-6
"""Smallest constant that is added: the default of scikit-learn, which the authors' code uses."""


def fit_gmmc(
    latents: np.ndarray,
    n_classes: int,
    *,
    n_clusters: int = N_CLUSTERS,
    seed: int = 0,
    floor: float = VARIANCE_FLOOR,
    scale: float = 1.0,
) -> tuple[GmmcAnchor, int]:
    """Fit the clusters of one task to its training latents by maximum likelihood (Eq. 3).

    Args:
        latents: (N, D) float32 latents, as in the paper.
        n_classes: number of classes of the task, C.
        n_clusters: number of clusters, k; reduced if there are fewer distinct images.
        seed: seed for the k-means start.
        floor: constant added to every variance, as a fraction of `scale`; 0 for the smallest
            constant.
        scale: mean variance of the latents of the backbone's reference images.

    Returns:
        The anchor and the number of multiply-accumulates.

    Raises:
        ValueError: there are no latents, or numbers are not finite.
    """
    check_latents(latents)
    added = max(floor * scale, SMALLEST_FLOOR)
    mixture = fit_mixture(latents, min(n_clusters, len(latents)), seed=seed, floor=added)
    used = mixture.weights.numpy() > 0
    weights = mixture.weights.numpy()[used]
    anchor = GmmcAnchor(
        mixture.means.numpy()[used].astype(np.float32),
        mixture.variances.numpy()[used].astype(np.float32),
        (weights / weights.sum()).astype(np.float32),
        n_classes,
    )
    return anchor, mixture.macs


def log_likelihood(anchor: GmmcAnchor, latents: np.ndarray) -> np.ndarray:
    """Return (N,) logs of phi_m N(x | mu_m, Sigma_m) for the best cluster m, in nats.

    Args:
        anchor: clusters of a task.
        latents: (N, D) latents.
    """
    density = side_by_side([(anchor.means, anchor.variances, anchor.weights)])
    x = torch.from_numpy(latents.astype(np.float64))
    return np.asarray(density.log_joint(with_squares(x)).amax(dim=1).numpy())


class GmmcMapper(TaskMapper[GmmcAnchor]):
    """Task mapper that holds the clusters of all tasks (D_map in the paper)."""

    kind: ClassVar[str] = "gmmc"
    latent: ClassVar[Literal["last", "multi"]] = "last"

    def __init__(self) -> None:
        super().__init__(GmmcAnchor)
        self._clusters: MixtureDensity | None = None

    def _added(self, key: str, derived: object) -> None:  # noqa: ARG002 - collected again
        self._clusters = None

    def _removed(self, key: str) -> None:  # noqa: ARG002
        self._clusters = None

    def familiarity(self, key: str, latents: np.ndarray) -> np.ndarray:
        """Return (N,) logs of phi_m N(x | mu_m, Sigma_m) for the best cluster m, in nats."""
        return log_likelihood(self.anchor(key), latents)

    def _score(self, latents: np.ndarray) -> tuple[np.ndarray, None]:
        """Return the log of phi_m N(x | mu_m, Sigma_m) for the best cluster m of each task.

        Eq. 4 divides by the sum over all clusters. The division is omitted because it does not
        change the ranking of the tasks.
        """
        x = torch.from_numpy(latents.astype(np.float64))
        joint = self.clusters().log_joint(with_squares(x))  # (N, all K)
        sizes = [len(anchor.weights) for anchor in self._in_order()]
        parts = torch.split(joint, sizes, dim=1)
        return torch.stack([part.amax(dim=1) for part in parts], dim=1).numpy(), None

    def clusters(self) -> MixtureDensity:
        """Return the clusters of all tasks, in canonical order of the tasks."""
        if self._clusters is None:
            anchors = self._in_order()
            self._clusters = side_by_side([(a.means, a.variances, a.weights) for a in anchors])
        return self._clusters
