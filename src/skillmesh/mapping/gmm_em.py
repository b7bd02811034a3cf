"""Diagonal Gaussian mixtures by expectation-maximisation, with greedy k-means++ as the start.

Most of the quality and most of the time lie in the start: EM itself takes a few steps. All products
are matrix products in float64.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

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
    x = torch.from_numpy(np.ascontiguousarray(data, dtype=np.float64))
    squares = x * x
    labels, lloyd_steps = _k_means(x, n_clusters, seed)
    responsibilities = torch.nn.functional.one_hot(labels, n_clusters).double()  # (N, K)
    means, variances, weights = _maximise(x, squares, responsibilities, floor)
    previous = -np.inf
    steps = 0
    for steps in range(1, max_steps + 1):
        log_joint = log_densities(x, squares, means, variances) + torch.log(weights)
        log_norm = torch.logsumexp(log_joint, dim=1)
        likelihood = float(log_norm.mean())
        responsibilities = torch.exp(log_joint - log_norm[:, None])
        means, variances, weights = _maximise(x, squares, responsibilities, floor)
        if abs(likelihood - previous) < tolerance:
            break
        previous = likelihood
    final = log_densities(x, squares, means, variances) + torch.log(weights)
    product = x.shape[0] * x.shape[1] * n_clusters
    return Mixture(
        means,
        variances,
        weights,
        float(torch.logsumexp(final, dim=1).mean()),
        product * (4 * steps + 2 * lloyd_steps + 6),
    )


def log_densities(
    x: torch.Tensor, squares: torch.Tensor, means: torch.Tensor, variances: torch.Tensor
) -> torch.Tensor:
    """(N, K) natural-log densities, by two matrix products.

    Args:
        x: (N, D) float64.
        squares: its squares.
        means: (K, D).
        variances: (K, D).
    """
    precisions = 1 / variances
    distances = squares @ precisions.T - 2 * (x @ (means * precisions).T)  # (N, K)
    constant = (means * means * precisions).sum(1) + torch.log(variances).sum(1)  # (K,)
    return -0.5 * (distances + constant + x.shape[1] * LOG_2_PI)


def _maximise(
    x: torch.Tensor, squares: torch.Tensor, responsibilities: torch.Tensor, floor: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    counts = responsibilities.sum(0) + 10 * torch.finfo(torch.float64).eps  # (K,)
    means = responsibilities.T @ x / counts[:, None]
    variances = responsibilities.T @ squares / counts[:, None] - means * means
    return means, variances.clamp(min=0) + floor, counts / counts.sum()


def _k_means(
    x: torch.Tensor, n_clusters: int, seed: int, max_steps: int = 50
) -> tuple[torch.Tensor, int]:
    """Labels (N,) of Lloyd's algorithm after a greedy k-means++ start, and the steps it took."""
    norms = (x * x).sum(1)
    centres = _greedy_start(x, norms, n_clusters, seed)
    labels = torch.full((len(x),), -1)
    for step in range(max_steps):
        distances = (centres * centres).sum(1) - 2 * (x @ centres.T)  # (N, K), up to |x|^2
        nearest = distances.argmin(dim=1)
        if torch.equal(nearest, labels):
            return labels, step + 1
        labels = nearest
        counts = torch.bincount(labels, minlength=n_clusters)
        sums = torch.zeros_like(centres).index_add_(0, labels, x)
        filled = counts > 0
        centres[filled] = sums[filled] / counts[filled, None]
        if not bool(filled.all()):
            # An empty cluster takes the sample that is worst off.
            worst = (distances.gather(1, labels[:, None]).squeeze(1) + norms).argmax()
            centres[int((~filled).nonzero()[0])] = x[worst]
    return labels, max_steps


def _greedy_start(x: torch.Tensor, norms: torch.Tensor, n_clusters: int, seed: int) -> torch.Tensor:
    """k-means++ that tries several candidates for each centre and keeps the best (D, K)."""
    generator = torch.Generator().manual_seed(seed)
    tries = 2 + int(np.log(n_clusters)) if n_clusters > 1 else 1
    first = int(torch.randint(len(x), (1,), generator=generator))
    chosen = [first]
    closest = _squared_distances(x, norms, torch.tensor([first])).squeeze(1)  # (N,)
    for _ in range(1, n_clusters):
        total = float(closest.sum())
        # All samples are alike: any one will do.
        share = closest if total > 0 else torch.ones_like(closest)
        candidates = torch.multinomial(share, tries, replacement=True, generator=generator)
        distances = _squared_distances(x, norms, candidates)  # (N, tries)
        reduced = torch.minimum(closest[:, None], distances)
        best = int(reduced.sum(0).argmin())
        chosen.append(int(candidates[best]))
        closest = reduced[:, best]
    return x[chosen].clone()


def _squared_distances(x: torch.Tensor, norms: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """(N, len(rows)) squared distances to some of the samples, never negative."""
    return (norms[:, None] + norms[rows] - 2 * (x @ x[rows].T)).clamp(min=0)
