"""Gaussian Mixture Model Classifier: clusters per task (paper, Eq. 3 and 4).

Each teacher fits k = 25 diagonal Gaussians to all training latents of a task; a student gathers the
clusters of all tasks and chooses the task of the cluster with the highest posterior. Across tasks
the priors are the cluster weights alone, so tasks count equally whatever their size (the authors'
code weights tasks by their number of images; the paper leaves it open).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch

from skillmesh.mapping.anchor import TaskAnchor, TensorSpec, check_latents, check_tensors
from skillmesh.mapping.gmm_em import fit_mixture, log_densities
from skillmesh.mapping.mapper import MapperScores, TaskMapper, check_scores_possible

N_CLUSTERS = 25
"""k of the paper's GMMC section."""
VARIANCE_FLOOR = 1e-6
_WEIGHT_TOLERANCE = 1e-3


@dataclass(frozen=True, eq=False)
class GmmcAnchor(TaskAnchor):
    """Clusters of one task.

    Attributes:
        means: (K, D) float32.
        variances: (K, D) float32, diagonals of the covariances.
        weights: (K,) float32, sum 1: phi of Eq. 3.
        classes: number of classes of the task; the clusters do not know them.
    """

    kind: ClassVar[str] = "gmmc"
    latent: ClassVar[Literal["last", "multi"]] = "last"
    tensor_specs: ClassVar[Mapping[str, TensorSpec]] = {
        "means": TensorSpec("F32", ("K", "D")),
        "variances": TensorSpec("F32", ("K", "D")),
        "weights": TensorSpec("F32", ("K",)),
    }

    means: np.ndarray
    variances: np.ndarray
    weights: np.ndarray
    classes: int

    @property
    def n_classes(self) -> int:
        """C of the task."""
        return self.classes

    @property
    def dim(self) -> int:
        """D."""
        return int(self.means.shape[1])

    def tensors(self) -> dict[str, np.ndarray]:
        """The arrays that travel, by name."""
        return {"means": self.means, "variances": self.variances, "weights": self.weights}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, np.ndarray], n_classes: int) -> GmmcAnchor:
        """Build the anchor from a stranger's arrays.

        Raises:
            ValueError: types, shapes, a variance that is not positive, or weights that are no
                distribution: unnormalised weights would capture every image.
        """
        check_tensors(cls.tensor_specs, tensors, n_classes)
        if (tensors["variances"] < VARIANCE_FLOOR / 2).any():
            raise ValueError(f"expected variances of at least {VARIANCE_FLOOR:g}")
        weights = tensors["weights"]
        if (weights < 0).any() or abs(float(weights.sum()) - 1) > _WEIGHT_TOLERANCE:
            raise ValueError("expected cluster weights that are positive and sum to 1")
        return cls(tensors["means"], tensors["variances"], weights, n_classes)


def fit_gmmc(
    latents: np.ndarray, n_classes: int, *, n_clusters: int = N_CLUSTERS, seed: int = 0
) -> tuple[GmmcAnchor, int]:
    """Fit the clusters of one task to its training latents (Eq. 3), by maximum likelihood.

    Args:
        latents: (N, D) float32, the paper's latents.
        n_classes: C of the task.
        n_clusters: k; fewer where there are fewer images.
        seed: of the start.

    Returns:
        The anchor, and the multiply-accumulates of the fit.
    """
    check_latents(latents)
    mixture = fit_mixture(latents, min(n_clusters, len(latents)), seed=seed, floor=VARIANCE_FLOOR)
    weights = mixture.weights.numpy().astype(np.float32)
    anchor = GmmcAnchor(
        mixture.means.numpy().astype(np.float32),
        np.maximum(mixture.variances.numpy(), VARIANCE_FLOOR).astype(np.float32),
        weights / weights.sum(),
        n_classes,
    )
    return anchor, mixture.macs


class GmmcMapper(TaskMapper):
    """The clusters of all tasks: D_map of the paper."""

    kind: ClassVar[str] = "gmmc"
    latent: ClassVar[Literal["last", "multi"]] = "last"

    def __init__(self) -> None:
        self._anchors: dict[str, GmmcAnchor] = {}

    def add(self, key: str, anchor: TaskAnchor) -> None:
        """Register the clusters of a task.

        Raises:
            ValueError: an anchor of another kind or latent size.
        """
        if not isinstance(anchor, GmmcAnchor):
            raise ValueError(f"expected a gmmc anchor, got {anchor.kind}")  # noqa: TRY004 - one error for a foreign anchor
        for other in self._anchors.values():
            if other.dim != anchor.dim:
                raise ValueError(f"expected an anchor of D = {other.dim}, got {anchor.dim}")
        self._anchors.setdefault(key, anchor)

    def remove(self, key: str) -> None:
        """Forget a task."""
        self._anchors.pop(key, None)

    def keys(self) -> tuple[str, ...]:
        """Registered keys, sorted."""
        return tuple(sorted(self._anchors))

    def score(self, latents: np.ndarray) -> MapperScores:
        """Log of phi_m N(x | mu_m, Sigma_m) of the best cluster of every task.

        Eq. 4 divides by the sum over all clusters, which changes no comparison: the highest
        posterior and the highest joint density are those of the same cluster.
        """
        keys = self.keys()
        check_scores_possible(keys)
        check_latents(latents, self._anchors[keys[0]].dim)
        x = torch.from_numpy(latents.astype(np.float64))
        squares = x * x
        columns = [self._best_cluster(x, squares, self._anchors[key]) for key in keys]
        return MapperScores(keys, np.stack(columns, axis=1))

    @staticmethod
    def _best_cluster(x: torch.Tensor, squares: torch.Tensor, anchor: GmmcAnchor) -> np.ndarray:
        weights = torch.from_numpy(anchor.weights.astype(np.float64))
        joint = log_densities(
            x,
            squares,
            torch.from_numpy(anchor.means.astype(np.float64)),
            torch.from_numpy(anchor.variances.astype(np.float64)),
        )
        # A weight of zero is a cluster that nobody belongs to.
        joint = joint + torch.log(weights.clamp(min=1e-300))
        return np.asarray(joint.max(dim=1).values.numpy())
