"""A task mapper: an image belongs to the task whose class mean is nearest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from teachmesh.mapping.anchor import TaskAnchor, TensorSpec, check_tensors
from teachmesh.mapping.mapper import nearest_mean_familiarity
from teachmesh.mapping.metric import Metric
from teachmesh.mapping.own_mapper import OwnMapper, Privacy


@dataclass(frozen=True, eq=False)
class NearestMeanAnchor(TaskAnchor):
    """Class means of one task.

    Attributes:
        means: (C, D) float32 class means.
    """

    kind: ClassVar[str] = "nearest-mean"
    latent: ClassVar[Literal["last", "multi"]] = "last"
    tensor_specs: ClassVar[Mapping[str, TensorSpec]] = {"means": TensorSpec("F32", ("C", "D"))}

    means: np.ndarray

    @property
    def n_classes(self) -> int:
        """Number of classes, C."""
        return len(self.means)

    @property
    def dim(self) -> int:
        """Latent size, D."""
        return int(self.means.shape[1])

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, np.ndarray], n_classes: int) -> NearestMeanAnchor:
        """Build the anchor from received arrays.

        Raises:
            ValueError: a name, type, shape or value is invalid.
        """
        check_tensors(cls.tensor_specs, tensors, n_classes)
        return cls(tensors["means"])


class NearestMeanMapper(OwnMapper[NearestMeanAnchor]):
    """Task mapper that compares an image with the class means of all tasks."""

    kind: ClassVar[str] = NearestMeanAnchor.kind
    latent: ClassVar[Literal["last", "multi"]] = NearestMeanAnchor.latent
    anchor_type: ClassVar[type[TaskAnchor]] = NearestMeanAnchor
    privacy: ClassVar[Privacy] = "statistics"

    @classmethod
    def fit(
        cls, latents: np.ndarray, labels: np.ndarray, n_classes: int, metric: Metric, seed: int
    ) -> NearestMeanAnchor:
        """Return the class means; arguments as for `OwnMapper.fit`."""
        del metric, seed
        means = [latents[labels == label].mean(axis=0) for label in range(n_classes)]
        return NearestMeanAnchor(np.stack(means).astype(np.float32))

    def familiarity(self, key: str, latents: np.ndarray) -> np.ndarray:
        """Return the negated squared distance of each image to the task's nearest mean, (N,)."""
        return nearest_mean_familiarity(latents, self.anchor(key).means)

    def _score(self, latents: np.ndarray) -> tuple[np.ndarray, None]:
        """Return (N, T) scores. They come from the anchors alone, in canonical order."""
        return np.stack([self.familiarity(key, latents) for key in self.keys()], axis=1), None

    def _added(self, key: str, derived: Any) -> None:
        """Nothing is derived from an anchor."""

    def _removed(self, key: str) -> None:
        """Nothing is derived from an anchor."""
