"""Gaussian mixtures, fitted by expectation-maximisation (EM) from a k-means start.

The k-means start uses greedy k-means++ and Lloyd's algorithm. It first tries
several starts on a sample of the rows in a random projection, which is cheap and changes distances
little. The best start is then refined with all rows and dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

CANDIDATES = 16
"""Number of candidates for each new centre of a start; scikit-learn uses 2 + log K."""
LLOYD_STEPS = 50
SAMPLE = 80
"""Number of rows per cluster in the sample for the start."""
PROJECTED_DIM = 128
STARTS = 3
LOG_2_PI = float(np.log(2 * np.pi))
_EMPTY = 1e-6
"""Number of images below which a cluster is dropped."""


@dataclass(frozen=True, eq=False)
class Mixture:
    """A mixture of K diagonal Gaussians.

    Attributes:
        means: (K, D) float64 cluster means.
        variances: (K, D) float64 cluster variances.
        weights: (K,) float64 cluster weights, which sum to 1.
        log_likelihood: mean log density per row, in nats.
        macs: number of multiply-accumulates in the matrix products of the fit.
    """

    means: torch.Tensor
    variances: torch.Tensor
    weights: torch.Tensor
    log_likelihood: float
    macs: int


class MixtureDensity:
    """Log densities of diagonal Gaussians, computed with one matrix product.

    Args:
        means: (K, D) float64 cluster means.
        variances: (K, D) float64 cluster variances, positive.
        weights: (K,) float64 cluster weights; 0 for an empty cluster.
        dtype: dtype of the matrix product.
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
        """Return the (N, K) logs of phi_k N(x | mu_k, Sigma_k), in nats.

        Args:
            x_and_squares: (N, 2 D) result of `with_squares`.
        """
        return torch.addmm(self._constants, x_and_squares, self._factors)


def with_squares(x: torch.Tensor) -> torch.Tensor:
    """Return an (N, 2 D) array: each row, followed by the squares of its entries."""
    return torch.cat([x, x * x], dim=1)


def side_by_side(
    mixtures: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]],
) -> MixtureDensity:
    """Combine mixtures in one density; within each mixture, weights are rescaled to sum to 1.

    Args:
        mixtures: means (K, D), variances (K, D) and weights (K,) of one or more mixtures.
    """
    means, variances, weights = zip(*mixtures, strict=True)
    shares = [values / values.sum(dtype=np.float64) for values in weights]
    return MixtureDensity(
        torch.from_numpy(np.concatenate(means).astype(np.float64)),
        torch.from_numpy(np.concatenate(variances).astype(np.float64)),
        torch.from_numpy(np.concatenate(shares)),
    )


def fit_mixture(
    data: np.ndarray,
    n_clusters: int,
    *,
    seed: int = 0,
    floor: float = 1e-6,
    tolerance: float = 1e-3,
    max_steps: int = 100,
) -> Mixture:
    """Fit a mixture by maximum likelihood.

    Args:
        data: (N, D) float32 or float64 rows; the fit is computed in their number type.
        n_clusters: number of clusters, K, at most N.
        seed: seed for the k-means start.
        floor: constant added to every variance, like `reg_covar` in scikit-learn.
        tolerance: increase of the mean log-likelihood (nats) below which EM stops.
        max_steps: maximum number of EM steps.
    """
    rows = torch.from_numpy(np.ascontiguousarray(data))
    # Variances are differences of squares, which lose fewer digits if the rows are centred.
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
        counts = torch.where(counts < _EMPTY, 0.0, counts)
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
        # With hundreds of dimensions, most rows belong entirely to one cluster and stay there. So
        # only changed rows update the sums, and only changed clusters are evaluated again.
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
    """Return (K, D) means and variances, given (K, 2 D) sums of rows and their squares."""
    first, second = (sums / counts.clamp(min=_EMPTY)[:, None]).chunk(2, dim=1)
    return first, (second - first * first).clamp(min=0) + floor


def k_means(x: torch.Tensor, n_clusters: int, seed: int) -> tuple[torch.Tensor, int]:
    """Cluster rows by k-means.

    Args:
        x: (N, D) float rows.
        n_clusters: number of clusters, K, at most N.
        seed: seed for the start.

    Returns:
        (N,) int64 labels and the number of multiply-accumulates. Clusters may be empty.
    """
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randperm(len(x), generator=generator)[: SAMPLE * n_clusters]
    labels, products = _best_start(x[rows], n_clusters, generator)
    members = _one_hot(labels, n_clusters, x.dtype)  # (K, rows)
    centres = (members @ x[rows]) / members.sum(1, keepdim=True).clamp(min=1)
    labels, steps = _lloyd(x, centres)
    return labels, products + x.shape[1] * (n_clusters * len(rows) + steps)


def _best_start(
    x: torch.Tensor, n_clusters: int, generator: torch.Generator
) -> tuple[torch.Tensor, int]:
    """Return the best start's (N,) labels, and the number of multiply-accumulates of all starts."""
    products = 0
    if x.shape[1] > 2 * PROJECTED_DIM:
        directions = torch.randn(x.shape[1], PROJECTED_DIM, generator=generator, dtype=x.dtype)
        products = x.numel() * PROJECTED_DIM
        x = x @ directions
    best_spread, best = float("inf"), torch.zeros(len(x), dtype=torch.int64)
    for _ in range(STARTS):
        centres = x[_greedy_start(x, n_clusters, generator)]
        labels, steps = _lloyd(x, centres)
        spread = float((x - centres[labels]).square().sum())
        products += x.shape[1] * (len(x) * CANDIDATES * (n_clusters - 1) + steps)
        if spread < best_spread:
            best_spread, best = spread, labels
    return best, products


def _greedy_start(x: torch.Tensor, n_clusters: int, generator: torch.Generator) -> torch.Tensor:
    """Choose K rows by k-means++, using the best of several candidates for each centre."""
    norms = (x * x).sum(1)  # (N,)
    first = torch.randint(len(x), (1,), generator=generator)
    chosen = [first]
    closest = _squared_distances(x, norms, first)[0]  # (N,)
    for _ in range(1, n_clusters):
        # If all rows are equal, any row will do.
        share = closest if float(closest.sum()) > 0 else torch.ones_like(closest)
        candidates = torch.multinomial(share, CANDIDATES, replacement=True, generator=generator)
        distances = _squared_distances(x, norms, candidates)
        reduced = torch.minimum(distances, closest, out=distances)
        best = int(reduced.sum(1).argmin())
        chosen.append(candidates[best : best + 1])
        closest = reduced[best]
    return torch.cat(chosen)


def _squared_distances(x: torch.Tensor, norms: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Return (len(rows), N) squared distances from the given rows to all rows, at least 0."""
    constant = norms[rows, None] + norms
    return torch.addmm(constant, x[rows], x.T, alpha=-2).clamp_(min=0)


def _lloyd(x: torch.Tensor, centres: torch.Tensor) -> tuple[torch.Tensor, int]:
    """Run Lloyd's algorithm: return (N,) labels and the number of inner products; move `centres`.

    Each step updates only the distances to moved centres and the sums of changed clusters.
    """
    n, k = len(x), len(centres)
    norms = (x * x).sum(1)  # (N,)
    distances = torch.empty(k, n, dtype=x.dtype)  # squared, minus |x|^2
    moved = torch.arange(k)
    labels = torch.full((n,), -1)
    sums, counts = torch.zeros_like(centres), torch.zeros(k, dtype=x.dtype)
    products = 0
    for _ in range(LLOYD_STEPS):
        lengths = (centres[moved] * centres[moved]).sum(1, keepdim=True)
        distances[moved] = lengths - 2 * (centres[moved] @ x.T)
        closest, nearest = distances.min(dim=0)
        rows = (nearest != labels).nonzero().flatten()
        if len(rows) == 0:
            break
        change = _one_hot(nearest[rows], k, x.dtype) - _one_hot(labels[rows], k, x.dtype)
        labels = nearest
        sums += change @ x[rows]
        counts += change.sum(1)
        products += n * len(moved) + k * len(rows)
        moved = (change != 0).any(1).nonzero().flatten()
        centres[moved] = sums[moved] / counts[moved, None].clamp(min=1)
        empty = (counts < 1).nonzero().flatten()
        if len(empty):
            # Empty clusters restart at the rows farthest from their centres.
            centres[empty] = x[(closest + norms).topk(len(empty)).indices]
            moved = torch.unique(torch.cat([moved, empty]))
    return labels, products


def _one_hot(labels: torch.Tensor, n_clusters: int, dtype: torch.dtype) -> torch.Tensor:
    """Return the (K, N) membership matrix of 0 and 1; rows labelled -1 are in no cluster."""
    return (labels == torch.arange(n_clusters)[:, None]).to(dtype)
