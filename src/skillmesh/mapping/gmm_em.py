"""Diagonal Gaussian mixtures by expectation-maximisation, with greedy k-means++ as the start.

Most of the quality and most of the time lie in the start: EM itself takes a few steps. Clusters
are sought in float32, likelihoods are computed in float64.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

LOG_2_PI = float(np.log(2 * np.pi))
LLOYD_STEPS = 50
CANDIDATES = 12
"""Tried for each new centre of the start. scikit-learn tries 2 + log K; more cost little, because
one product serves them all, and end at a higher likelihood."""


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
        means: (K, D) float64.
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
            x: (N, D) float64.
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
        data: (N, D).
        n_clusters: K, at most N.
        seed: of the start.
        floor: added to every variance, as scikit-learn's `reg_covar`.
        tolerance: EM stops when the mean log-likelihood gains less, in nats.
        max_steps: of EM.
    """
    single = torch.from_numpy(np.ascontiguousarray(data, dtype=np.float32))
    labels, lloyd_steps = _k_means(single, n_clusters, seed)
    x = torch.from_numpy(np.ascontiguousarray(data, dtype=np.float64))
    squares = x * x
    responsibilities = torch.nn.functional.one_hot(labels, n_clusters).double()  # (N, K)
    means, variances, weights = _maximise(x, squares, responsibilities, floor)
    previous = -np.inf
    steps = 0
    while True:
        joint = MixtureDensity(means, variances, weights).log_joint(x, squares)
        norms = torch.logsumexp(joint, dim=1)  # (N,)
        likelihood = float(norms.mean())
        if likelihood - previous < tolerance or steps == max_steps:
            break
        previous = likelihood
        steps += 1
        responsibilities = torch.exp(joint - norms[:, None])
        means, variances, weights = _maximise(x, squares, responsibilities, floor)
    product = x.shape[0] * x.shape[1] * n_clusters
    starts = CANDIDATES + 2 * lloyd_steps
    return Mixture(means, variances, weights, likelihood, product * (4 * (steps + 1) + starts))


def _maximise(
    x: torch.Tensor, squares: torch.Tensor, responsibilities: torch.Tensor, floor: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    counts = responsibilities.sum(0) + 10 * torch.finfo(torch.float64).eps  # (K,)
    means = responsibilities.T @ x / counts[:, None]
    variances = responsibilities.T @ squares / counts[:, None] - means * means
    return means, variances.clamp(min=0) + floor, counts / counts.sum()


def _k_means(x: torch.Tensor, n_clusters: int, seed: int) -> tuple[torch.Tensor, int]:
    """Labels (N,) of Lloyd's algorithm after a greedy k-means++ start, and the steps it took."""
    norms = (x * x).sum(1)
    centres = _greedy_start(x, norms, n_clusters, seed)
    labels = torch.full((len(x),), -1)
    for step in range(LLOYD_STEPS):
        distances = torch.addmm((centres * centres).sum(1), x, centres.T, alpha=-2)  # + |x|^2
        closest, nearest = distances.min(dim=1)
        if torch.equal(nearest, labels):
            return labels, step + 1
        labels = nearest
        members = torch.nn.functional.one_hot(labels, n_clusters).float()  # (N, K)
        counts = members.sum(0)
        filled = counts > 0
        centres[filled] = (members.T @ x)[filled] / counts[filled, None]
        if not bool(filled.all()):
            # An empty cluster takes the sample that is worst off.
            centres[int((~filled).nonzero()[0])] = x[(closest + norms).argmax()]
    return labels, LLOYD_STEPS


def _greedy_start(x: torch.Tensor, norms: torch.Tensor, n_clusters: int, seed: int) -> torch.Tensor:
    """Centres (K, D): k-means++ that tries several candidates for each and keeps the best."""
    generator = torch.Generator().manual_seed(seed)
    first = torch.randint(len(x), (1,), generator=generator)
    chosen = [int(first)]
    closest = _squared_distances(x, norms, first).squeeze(1)  # (N,)
    for _ in range(1, n_clusters):
        # If all samples are alike any one will do.
        share = closest if float(closest.sum()) > 0 else torch.ones_like(closest)
        candidates = torch.multinomial(share, CANDIDATES, replacement=True, generator=generator)
        distances = _squared_distances(x, norms, candidates)  # (N, tries)
        reduced = torch.minimum(closest[:, None], distances)
        best = int(reduced.sum(0).argmin())
        chosen.append(int(candidates[best]))
        closest = reduced[:, best]
    return x[chosen].clone()


def _squared_distances(x: torch.Tensor, norms: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """(N, len(rows)) squared distances to some of the samples, never negative."""
    return (norms[:, None] + norms[rows] - 2 * (x @ x[rows].T)).clamp(min=0)
