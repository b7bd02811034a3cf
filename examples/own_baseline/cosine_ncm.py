"""A baseline on frozen latents: the class whose mean has the smallest angle to the image."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from torch.nn.functional import normalize

from teachmesh_lab.baselines.baseline import Hyper
from teachmesh_lab.baselines.frozen import FrozenBaseline


class CosineNcm(FrozenBaseline):
    """Nearest class mean by cosine similarity.

    Every agent can learn its tasks alone and send their class means.
    """

    source: ClassVar[str] = "nearest class mean with cosine similarity"

    def __init__(self, dim: int, hyper: Hyper, seed: int) -> None:
        super().__init__(dim, hyper, seed)
        self.means: dict[int, np.ndarray] = {}
        self._rows = torch.zeros(0, dim, dtype=torch.float64)

    def _learn(self, index: int, latents: np.ndarray, labels: np.ndarray) -> int:
        classes = range(self.widths[index])
        means = [latents[labels == label].mean(axis=0) for label in classes]
        self.means[index] = np.stack(means).astype(np.float32)
        return 0

    def consolidate(self) -> int:
        """Stack the means of all tasks; nothing is factorised."""
        means = np.concatenate([self.means[index] for index in self.order])
        self._rows = normalize(torch.from_numpy(means).double())
        return 0

    def scores(self, latents: np.ndarray) -> np.ndarray:
        """Return (N, all classes) cosines; torch counts the multiply-accumulates."""
        rows = normalize(torch.from_numpy(latents).double())
        return np.asarray((rows @ self._rows.T).numpy())

    def state(self) -> dict[str, np.ndarray]:
        """Return the class means of all tasks."""
        return {f"means.{index}": means for index, means in self.means.items()}

    def task_bytes(self, index: int) -> int:
        """Return the size of the class means of one task in bytes."""
        return int(self.means[index].nbytes)
