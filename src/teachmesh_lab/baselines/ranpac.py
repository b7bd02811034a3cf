"""`ranpac`: ridge regression on a random projection.

Latents x are lifted to h = relu(x W), where W holds M fixed random directions drawn from the seed.
The class scores are h (G + r g I)^-1 Q (`gram_ridge`; [1], Eq. 5-8).

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
from teachmesh_lab.baselines.gram_ridge import GramRidge
from teachmesh_lab.baselines.seeding import make_generator


@final
class RanPac(GramRidge):
    """Ridge regression on rectified projections. `projections` is M and `ridge` is r."""

    source: ClassVar[str] = "McDonnell et al., NeurIPS 2023, without its adaptation"
    grid: ClassVar[Grid] = {
        "ridge": (1e-6, 1e-5, 0.0001, 0.001, 0.01, 0.1),
        "projections": (2000.0,),
    }

    def __init__(self, dim: int, hyper: Hyper, seed: int) -> None:
        super().__init__(dim, hyper, seed, int(hyper["projections"]))
        generator = make_generator(seed, "projection")
        self.projection = torch.randn(dim, self.lifted_dim, generator=generator)

    def lift(self, latents: np.ndarray) -> torch.Tensor:
        """Return the lifted latents: (N, M) float64, non-negative."""
        return (torch.from_numpy(latents) @ self.projection).relu().double()
