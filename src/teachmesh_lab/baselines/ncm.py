"""`ncm`: nearest class mean by cosine similarity.

Each class is represented by the mean of its latents. An image gets the class whose mean has the
largest cosine with the image's latent. This is the classifier of [1] with cosine distance, which
[2] calls SimpleCIL. There are no hyper-parameters.

References:
    [1] Mensink et al., Distance-based image classification, TPAMI 2013.
    [2] Zhou et al., Revisiting class-incremental learning with pre-trained models, IJCV 2024.
"""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np
import torch

from teachmesh.mapping.discriminant import class_means
from teachmesh_lab.baselines.baseline import Hyper
from teachmesh_lab.baselines.frozen import IndependentBaseline


@final
class NearestClassMean(IndependentBaseline):
    """Classifier by class means. Results are bit-identical in whatever order tasks arrive."""

    source: ClassVar[str] = "Mensink et al. 2013; SimpleCIL, Zhou et al., IJCV 2024"

    def __init__(self, dim: int, hyper: Hyper, seed: int) -> None:
        super().__init__(dim, hyper, seed)
        self.means: dict[int, np.ndarray] = {}
        self._directions: dict[int, torch.Tensor] = {}

    def _learn(self, index: int, latents: np.ndarray, labels: np.ndarray) -> int:
        self.means[index] = class_means(latents, labels, self.widths[index]).astype(np.float32)
        self._directions[index] = _unit(torch.from_numpy(self.means[index]))
        return 0

    def task_scores(self, latents: np.ndarray, index: int) -> np.ndarray:
        """Return the cosines of latents and the class means of a task."""
        directions = self._directions[index]
        return np.asarray((_unit(torch.from_numpy(latents)) @ directions.T).numpy())

    def state(self) -> dict[str, np.ndarray]:
        """Return the means of all classes."""
        return {f"means.{index}": means for index, means in self.means.items()}

    def task_bytes(self, index: int) -> int:
        """Return the number of bytes of the task's class means, which are sent as float32."""
        return int(self.means[index].nbytes)


def _unit(rows: torch.Tensor) -> torch.Tensor:
    """Normalise (N, D) rows to length 1, in float64; a row of zeros is unchanged."""
    return torch.nn.functional.normalize(rows.double(), dim=1, eps=1e-12)
