"""Linear discriminant with one covariance for all classes, for `slda` and `gh-lda`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from teachmesh_lab.baselines.frozen import TINY, factor_macs


@dataclass(frozen=True, eq=False)
class SharedCovariance:
    """Linear scores of C classes.

    Attributes:
        weights: (C, D) float64, class means times the inverse covariance.
        biases: (C,) float64.
    """

    weights: Tensor
    biases: Tensor

    @classmethod
    def of(cls, means: Tensor, covariance: Tensor, shrinkage: float) -> SharedCovariance:
        """Factorise (1 - e) S + e s I, and solve for every class; s is the mean variance.

        Args:
            means: (C, D) float64 class means.
            covariance: (D, D) float64, S.
            shrinkage: e.
        """
        ridge = shrinkage * covariance.diagonal().mean() + TINY
        covariance = (1 - shrinkage) * covariance
        covariance.diagonal().add_(ridge)
        weights = torch.cholesky_solve(means.T, torch.linalg.cholesky(covariance)).T
        return cls(weights, -0.5 * (weights * means).sum(1))

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the factorisation and the solutions."""
        n_classes, dim = self.weights.shape
        return factor_macs(dim) + n_classes * dim**2

    def scores(self, latents: np.ndarray, priors: Tensor | float = 0.0) -> np.ndarray:
        """Return (N, C) float64 log densities, up to a term that is the same for all classes.

        Args:
            latents: (N, D) float32 latents.
            priors: (C,) log priors of the classes; 0 if they are equal.
        """
        x = torch.from_numpy(latents).double()
        return np.asarray((x @ self.weights.T + (priors + self.biases)).numpy())
