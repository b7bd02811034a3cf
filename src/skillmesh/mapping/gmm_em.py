"""Diagonal Gaussian mixtures by expectation-maximisation, started by k-means.

Most of the quality lies in the start: EM itself takes a few steps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from skillmesh.mapping.k_means import k_means

LOG_2_PI = float(np.log(2 * np.pi))


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
    """Log densities of diagonal Gaussians, by two matrix products.

    Args:
        means: (K, D), of the number type that the products shall have.
        variances: (K, D), positive.
        weights: (K,), positive or 0.
    """

    def __init__(self, means: torch.Tensor, variances: torch.Tensor, weights: torch.Tensor) -> None:
        precisions = 1 / variances
        self._square_factors = (-0.5 * precisions).T.contiguous()  # (D, K)
        self._factors = (means * precisions).T.contiguous()  # (D, K)
        log_volumes = torch.log(variances).sum(1) + means.shape[1] * LOG_2_PI
        constant = (means * means * precisions).sum(1) + log_volumes
        self._constants = torch.log(weights) - 0.5 * constant  # (K,)

    def log_joint(self, x: torch.Tensor, squares: torch.Tensor | None = None) -> torch.Tensor:
        """(N, K) log of phi_k N(x | mu_k, Sigma_k), in nats.

        Args:
            x: (N, D) of the same number type.
            squares: x * x, where the caller has it already.
        """
        squares = x * x if squares is None else squares
        return torch.addmm(self._constants, x, self._factors).addmm_(squares, self._square_factors)


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
    x = torch.from_numpy(np.ascontiguousarray(data))
    # Variances are differences of squares: around the common mean they lose fewer digits.
    centre = x.mean(0)
    x = x - centre
    squares = x * x
    labels, start_macs = k_means(x, n_clusters, seed)
    responsibilities = torch.nn.functional.one_hot(labels, n_clusters).to(x.dtype)  # (N, K)
    means, variances, weights = _maximise(x, squares, responsibilities, floor)
    previous = -np.inf
    steps = 0
    while True:
        joint = MixtureDensity(means, variances, weights).log_joint(x, squares)
        norms = torch.logsumexp(joint, dim=1)  # (N,)
        likelihood = float(norms.double().mean())
        if likelihood - previous < tolerance or steps == max_steps:
            break
        previous = likelihood
        steps += 1
        responsibilities = torch.exp(joint - norms[:, None])
        means, variances, weights = _maximise(x, squares, responsibilities, floor)
    return Mixture(
        (means + centre).double(),
        variances.double(),
        weights.double(),
        likelihood,
        start_macs + data.size * n_clusters * 4 * (steps + 1),
    )


def _maximise(
    x: torch.Tensor, squares: torch.Tensor, responsibilities: torch.Tensor, floor: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    counts = responsibilities.sum(0) + 10 * torch.finfo(x.dtype).eps  # (K,)
    shares = (responsibilities / counts).T  # (K, N)
    means = shares @ x
    variances = shares @ squares - means * means
    return means, variances.clamp(min=0) + floor, counts / counts.sum()
