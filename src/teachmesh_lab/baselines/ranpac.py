"""`ranpac`: ridge regression on a random projection.

Latents x are lifted to h = relu(x W), where W holds M fixed random directions drawn from the seed.
In G = sum h h^T and Q = sum h y^T (y is one-hot), both sums are over all images of all tasks. The
class scores are h (G + r g I)^-1 Q, with g the mean of G's diagonal ([1], Eq. 5-8). Every image
counts once, so a task with many images has more weight.

Differences from [1]:

- M is 2,000 by default. With the original 10,000, G would take 200 MB.
- The ridge r is chosen once, relative to g, so that the order of tasks changes only the rounding.
  In [1] the ridge is chosen again after each task and depends on the order of tasks.

References:
    [1] McDonnell et al., RanPAC: random projections and pre-trained models for continual learning,
        NeurIPS 2023 (without its first-session adaptation).
"""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np
import torch

from teachmesh_lab.baselines.baseline import Grid, Hyper
from teachmesh_lab.baselines.frozen import FrozenBaseline, factor_macs
from teachmesh_lab.baselines.seeding import make_generator

_BYTES = 4  # numbers are sent as float32


@final
class RanPac(FrozenBaseline):
    """Linear classifier from the sums G and Q. `projections` is M and `ridge` is r."""

    source: ClassVar[str] = "McDonnell et al., NeurIPS 2023, without its adaptation"
    grid: ClassVar[Grid] = {"ridge": (0.0001, 0.001, 0.01, 0.1), "projections": (2000.0,)}

    def __init__(self, dim: int, hyper: Hyper, seed: int) -> None:
        super().__init__(dim, hyper, seed)
        self.lifted_dim = int(hyper["projections"])
        generator = make_generator(seed, "projection")
        self.projection = torch.randn(dim, self.lifted_dim, generator=generator)
        self.gram = torch.zeros(self.lifted_dim, self.lifted_dim, dtype=torch.float64)
        self.sums: dict[int, torch.Tensor] = {}
        self._weights = torch.zeros(self.lifted_dim, 0, dtype=torch.float64)

    def lift(self, latents: np.ndarray) -> torch.Tensor:
        """Return the lifted latents: (N, M) float64, non-negative."""
        return (torch.from_numpy(latents) @ self.projection).relu().double()

    def _learn(self, index: int, latents: np.ndarray, labels: np.ndarray) -> None:
        lifted = self.lift(latents)
        self.gram += lifted.T @ lifted
        sums = torch.zeros(self.widths[index], self.lifted_dim, dtype=torch.float64)
        self.sums[index] = sums.index_add_(0, torch.from_numpy(labels), lifted)  # (C, M)

    def consolidate(self) -> int:
        """Factorise G and solve for every class."""
        sums = torch.cat([self.sums[index] for index in self.order])
        gram = self.gram.clone()
        # The tiny term keeps the system solvable if all latents are zero.
        gram.diagonal().add_(self.hyper["ridge"] * gram.diagonal().mean() + 1e-12)
        self._weights = torch.cholesky_solve(sums.T, torch.linalg.cholesky(gram))
        return factor_macs(self.lifted_dim) + len(sums) * self.lifted_dim**2

    def scores(self, latents: np.ndarray) -> np.ndarray:
        """Return class scores: about 1 for the right class and 0 for the other classes."""
        return np.asarray((self.lift(latents) @ self._weights).numpy())

    def state(self) -> dict[str, np.ndarray]:
        """Return Q and one triangle of G, in float32."""
        rows, columns = np.triu_indices(self.lifted_dim)
        sums = {f"sums.{i}": s.numpy().astype(np.float32) for i, s in self.sums.items()}
        return {**sums, "gram": self.gram.numpy()[rows, columns].astype(np.float32)}

    def task_bytes(self, index: int) -> int:
        """Return the number of bytes of Q and one triangle of G, for this task alone."""
        triangle = self.lifted_dim * (self.lifted_dim + 1) // 2
        return _BYTES * (triangle + self.widths[index] * self.lifted_dim)
