"""Base of `layup` and `ranpac`: ridge regression from sums over images.

In G = sum h h^T and Q = sum h y^T (y is one-hot), both sums are over all images of all tasks. The
class scores are h (G + r g I)^-1 Q, with g the mean of G's diagonal. Every image counts once, so a
task with many images has more weight.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch

from teachmesh_lab.baselines.baseline import Hyper
from teachmesh_lab.baselines.frozen import NUMBER_BYTES, FrozenBaseline, factor_macs
from teachmesh_lab.baselines.quadratic_scores import triangle


class GramRidge(FrozenBaseline):
    """Linear classifier from the sums G and Q. `ridge` is r.

    Attributes:
        lifted_dim: dimension of h, M.
        gram: (M, M) float64, G.
        sums: (C, M) float64 for each task, a part of Q.
    """

    late: ClassVar[frozenset[str]] = frozenset({"ridge"})

    def __init__(self, dim: int, hyper: Hyper, seed: int, lifted_dim: int | None = None) -> None:
        super().__init__(dim, hyper, seed)
        self.lifted_dim = lifted_dim or dim
        self.gram = torch.zeros(self.lifted_dim, self.lifted_dim, dtype=torch.float64)
        self.sums: dict[int, torch.Tensor] = {}
        self._weights = torch.zeros(self.lifted_dim, 0, dtype=torch.float64)

    def lift(self, latents: np.ndarray) -> torch.Tensor:
        """Return h of (N, D) float32 latents: (N, M) float64; by default the latents."""
        return torch.from_numpy(latents).double()

    def _learn(self, index: int, latents: np.ndarray, labels: np.ndarray) -> int:
        lifted = self.lift(latents)
        self.gram += lifted.T @ lifted
        sums = torch.zeros(self.widths[index], self.lifted_dim, dtype=torch.float64)
        self.sums[index] = sums.index_add_(0, torch.from_numpy(labels), lifted)  # (C, M)
        return 0

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
        sums = {f"sums.{i}": s.numpy().astype(np.float32) for i, s in self.sums.items()}
        return {**sums, "gram": triangle(self.gram)}

    def task_bytes(self, index: int) -> int:
        """Return the number of bytes of Q and one triangle of G, for this task alone."""
        half = self.lifted_dim * (self.lifted_dim + 1) // 2
        return NUMBER_BYTES * (half + self.widths[index] * self.lifted_dim)
