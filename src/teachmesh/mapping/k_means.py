"""k-means as the start of a mixture: greedy k-means++ and Lloyd's algorithm.

Centres are first sought among a sample of the rows, in a random projection, where distances hardly
change and several starts cost little; the best of them is finished with all dimensions and rows.
"""

from __future__ import annotations

import torch

CANDIDATES = 16
"""Tried for each new centre of a start; scikit-learn tries 2 + log K."""
LLOYD_STEPS = 50
SAMPLE = 80
"""Rows per cluster among which centres are sought."""
PROJECTED_DIM = 128
STARTS = 3


def k_means(x: torch.Tensor, n_clusters: int, seed: int) -> tuple[torch.Tensor, int]:
    """Group rows around centres.

    Args:
        x: (N, D) floats.
        n_clusters: K, at most N.
        seed: of the start.

    Returns:
        Labels (N,) int64, some clusters possibly empty, and the multiply-accumulates.
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
    """Labels (N,) of the tightest of several starts in a projection; multiply-accumulates."""
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


def _lloyd(x: torch.Tensor, centres: torch.Tensor) -> tuple[torch.Tensor, int]:
    """Labels (N,) and the number of inner products it took; `centres` is improved in place.

    A step looks again only at what changed in the last one: centres that moved, and the sums of
    rows that changed sides.
    """
    n, k = len(x), len(centres)
    norms = (x * x).sum(1)  # (N,)
    distances = torch.empty(k, n, dtype=x.dtype)  # up to |x|^2
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
            # Empty clusters take the rows that are worst off.
            centres[empty] = x[(closest + norms).topk(len(empty)).indices]
            moved = torch.unique(torch.cat([moved, empty]))
    return labels, products


def _one_hot(labels: torch.Tensor, n_clusters: int, dtype: torch.dtype) -> torch.Tensor:
    """(K, N) ones where a row belongs to a cluster; a column of zeros for the label -1."""
    return (labels == torch.arange(n_clusters)[:, None]).to(dtype)


def _greedy_start(x: torch.Tensor, n_clusters: int, generator: torch.Generator) -> torch.Tensor:
    """Rows (K,): k-means++ that tries several candidates for each centre and keeps the best."""
    norms = (x * x).sum(1)  # (N,)
    first = torch.randint(len(x), (1,), generator=generator)
    chosen = [first]
    closest = _squared_distances(x, norms, first)[0]  # (N,)
    for _ in range(1, n_clusters):
        # If all rows are alike any one will do.
        share = closest if float(closest.sum()) > 0 else torch.ones_like(closest)
        candidates = torch.multinomial(share, CANDIDATES, replacement=True, generator=generator)
        distances = _squared_distances(x, norms, candidates)
        reduced = torch.minimum(distances, closest, out=distances)
        best = int(reduced.sum(1).argmin())
        chosen.append(candidates[best : best + 1])
        closest = reduced[best]
    return torch.cat(chosen)


def _squared_distances(x: torch.Tensor, norms: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """(len(rows), N) squared distances from some of the rows, never negative."""
    constant = norms[rows, None] + norms
    return torch.addmm(constant, x[rows], x.T, alpha=-2).clamp_(min=0)
