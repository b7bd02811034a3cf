"""Diagonal Gaussian mixtures by expectation-maximisation, started by k-means.

Most of the quality lies in the start: EM itself takes a few steps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from teachmesh.mapping.k_means import k_means

LOG_2_PI = float(np.log(2 * np.pi))
_NOBODY = 1e-6  # images that belong to a cluster which is given up


@dataclass(frozen=True, eq=False)
class Mixture:
    """A mixture of K diagonal Gaussians.

    Attributes:
        means: (K, D) float64.
        variances: (K, D) float64.
        weights: (K,) float64, sum 1.
        log_likelihood: mean natural-log density per sample, in nats.
        macs: multiply-accumulates of the matrix products of the fit.
    """

    means: torch.Tensor
    variances: torch.Tensor
    weights: torch.Tensor
    log_likelihood: float
    macs: int


class MixtureDensity:
    """Log densities of diagonal Gaussians, by one matrix product.

    Args:
        means: (K, D) float64.
        variances: (K, D) float64, positive.
        weights: (K,) float64; 0 is a cluster that nothing belongs to.
        dtype: number type of the product.
    """

    def __init__(
        self,
        means: torch.Tensor,
        variances: torch.Tensor,
        weights: torch.Tensor,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        precisions = 1 / variances
        factors = torch.cat([means * precisions, -0.5 * precisions], dim=1)
        self._factors = factors.T.contiguous().to(dtype)  # (2 D, K)
        log_volumes = torch.log(variances).sum(1) + means.shape[1] * LOG_2_PI
        constants = (means * means * precisions).sum(1) + log_volumes
        self._constants = (torch.log(weights) - 0.5 * constants).to(dtype)  # (K,)

    def log_joint(self, x_and_squares: torch.Tensor) -> torch.Tensor:
        """(N, K) log of phi_k N(x | mu_k, Sigma_k), in nats.

        Args:
            x_and_squares: (N, 2 D), from `with_squares`.
        """
        return torch.addmm(self._constants, x_and_squares, self._factors)


def with_squares(x: torch.Tensor) -> torch.Tensor:
    """(N, 2 D): rows beside their squares."""
    return torch.cat([x, x * x], dim=1)


def fit_mixture(
    data: np.ndarray,
    n_clusters: int,
    *,
    seed: int = 0,
    floor: float = 1e-6,
    tolerance: float = 1e-3,
    max_steps: int = 100,
) -> Mixture:
    """Fit by maximum likelihood.

    Args:
        data: (N, D) float32 or float64; like scikit-learn's, the fit computes in the same type.
        n_clusters: K, at most N.
        seed: of the start.
        floor: added to every variance, as scikit-learn's `reg_covar`.
        tolerance: EM stops when the mean log-likelihood gains less, in nats.
        max_steps: of EM.
    """
    rows = torch.from_numpy(np.ascontiguousarray(data))
    # Variances are differences of squares: around the common mean they lose fewer digits.
    centre = rows.mean(0)
    both = torch.empty(len(rows), 2 * rows.shape[1], dtype=rows.dtype)  # (N, 2 D)
    x, squares = both.chunk(2, dim=1)
    torch.sub(rows, centre, out=x)
    torch.mul(x, x, out=squares)
    labels, macs = k_means(x, n_clusters, seed)
    shares = torch.nn.functional.one_hot(labels, n_clusters).to(x.dtype)  # (N, K)
    sums, counts = (shares.T @ both).double(), shares.sum(0).double()
    macs += both.numel() * n_clusters
    joint = torch.empty_like(shares)
    stale = torch.arange(n_clusters)
    previous = -np.inf
    steps = 0
    while True:
        counts = torch.where(counts < _NOBODY, 0.0, counts)
        means, variances = _maximise(sums, counts, floor)
        weights = counts / len(x)
        density = MixtureDensity(means[stale], variances[stale], weights[stale], x.dtype)
        joint[:, stale] = density.log_joint(both)
        macs += both.numel() * len(stale)
        norms = torch.logsumexp(joint, dim=1)  # (N,)
        likelihood = float(norms.double().mean())
        if likelihood - previous < tolerance or steps == max_steps:
            break
        previous = likelihood
        steps += 1
        # In hundreds of dimensions most rows belong to one cluster entirely and stay there: only
        # what changed is summed again, and only clusters that changed are evaluated again.
        updated = torch.exp(joint - norms[:, None])
        rows = (updated != shares).any(1).nonzero().flatten()
        change = updated[rows] - shares[rows]
        sums += (change.T @ both[rows]).double()
        counts += change.sum(0).double()
        macs += len(rows) * both.shape[1] * n_clusters
        stale = (change != 0).any(0).nonzero().flatten()
        shares = updated
    return Mixture(means + centre, variances, weights, likelihood, macs)


def _maximise(
    sums: torch.Tensor, counts: torch.Tensor, floor: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Means and variances (K, D) of sums of rows and of their squares (K, 2 D)."""
    first, second = (sums / counts.clamp(min=_NOBODY)[:, None]).chunk(2, dim=1)
    return first, (second - first * first).clamp(min=0) + floor
