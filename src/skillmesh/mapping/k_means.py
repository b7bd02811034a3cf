"""k-means as the start of a mixture: greedy k-means++ and Lloyd's algorithm.

The search runs in a random projection, where distances hardly change and everything is an order of
magnitude cheaper, several times over; the best result is then finished with all dimensions.
"""

from __future__ import annotations

import torch

PROJECTED_DIM = 64
STARTS = 4
CANDIDATES = 12
"""Tried for each new centre of a start. scikit-learn tries 2 + log K; more cost little, because one
product serves them all, and end nearer to the optimum."""
LLOYD_STEPS = 50


def k_means(x: torch.Tensor, n_clusters: int, seed: int) -> tuple[torch.Tensor, int]:
    """Group rows around centres.

    Args:
        x: (N, D) floats.
        n_clusters: K, at most N.
        seed: of the projection and the starts.

    Returns:
        Labels (N,) int64, some clusters possibly empty, and the multiply-accumulates.
    """
    generator = torch.Generator().manual_seed(seed)
    n, dim = x.shape
    search, macs = x, 0
    if dim > 2 * PROJECTED_DIM:
        directions = torch.randn(dim, PROJECTED_DIM, generator=generator, dtype=x.dtype)
        search, macs = x @ (directions / PROJECTED_DIM**0.5), n * dim * PROJECTED_DIM
    best: tuple[float, torch.Tensor] | None = None
    for _ in range(STARTS):
        centres = search[_greedy_start(search, n_clusters, generator)]
        labels, spread, steps = _lloyd(search, centres)
        macs += n * search.shape[1] * n_clusters * (CANDIDATES + 2 * steps)
        if best is None or spread < best[0]:
            best = spread, labels
    assert best is not None
    if search is x:
        return best[1], macs
    centres, _ = _centres(x, best[1], n_clusters)
    labels, _, steps = _lloyd(x, centres)
    return labels, macs + n * dim * n_clusters * (2 * steps + 1)


def _lloyd(x: torch.Tensor, centres: torch.Tensor) -> tuple[torch.Tensor, float, int]:
    """Labels (N,), sum of squared distances, and the steps it took."""
    norms = (x * x).sum(1)  # (N,)
    labels = torch.full((len(x),), -1)
    step = 0
    while True:
        distances = torch.addmm((centres * centres).sum(1), x, centres.T, alpha=-2)  # + |x|^2
        closest, nearest = distances.min(dim=1)
        step += 1
        if step == LLOYD_STEPS or torch.equal(nearest, labels):
            return nearest, float((closest + norms).sum()), step
        labels = nearest
        centres, filled = _centres(x, labels, len(centres))
        empty = (~filled).nonzero().flatten()
        if len(empty):
            # Empty clusters take the rows that are worst off.
            centres[empty] = x[(closest + norms).topk(len(empty)).indices]


def _centres(
    x: torch.Tensor, labels: torch.Tensor, n_clusters: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Means (K, D) of the groups, and (K,) which are not empty; an empty one's mean is 0."""
    members = torch.nn.functional.one_hot(labels, n_clusters).to(x.dtype)  # (N, K)
    counts = members.sum(0)
    return (members.T @ x) / counts.clamp(min=1)[:, None], counts > 0


def _greedy_start(x: torch.Tensor, n_clusters: int, generator: torch.Generator) -> torch.Tensor:
    """Rows (K,): k-means++ that tries several candidates for each centre and keeps the best."""
    norms = (x * x).sum(1)
    first = torch.randint(len(x), (1,), generator=generator)
    chosen = [first]
    closest = _squared_distances(x, norms, first).squeeze(1)  # (N,)
    for _ in range(1, n_clusters):
        # If all rows are alike any one will do.
        share = closest if float(closest.sum()) > 0 else torch.ones_like(closest)
        candidates = torch.multinomial(share, CANDIDATES, replacement=True, generator=generator)
        distances = _squared_distances(x, norms, candidates)  # (N, CANDIDATES)
        reduced = torch.minimum(closest[:, None], distances)
        best = int(reduced.sum(0).argmin())
        chosen.append(candidates[best : best + 1])
        closest = reduced[:, best].contiguous()
    return torch.cat(chosen)


def _squared_distances(x: torch.Tensor, norms: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """(N, len(rows)) squared distances to some of the rows, never negative."""
    return (norms[:, None] + norms[rows] - 2 * (x @ x[rows].T)).clamp(min=0)
