"""Mahalanobis task mapper: class means and one tied covariance (paper, Sec. 5 and Eq. 5).

The teacher computes the mean of each class over all its training images and draws m = 5 of them per
class; their *latents* travel (the paper sends the images, from which the student's identical backbone
would compute the same latents; see docs/decisions/0001). The student computes the tied covariance
from the samples of all tasks, and assigns an image to the task of the nearest class.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch

from skillmesh.mapping.anchor import TaskAnchor, TensorSpec, check_latents, check_tensors
from skillmesh.mapping.mapper import MapperScores, TaskMapper, check_scores_possible

SAMPLES_PER_CLASS = 5
"""m of the paper's Mahalanobis section."""
RIDGE = 0.01
"""Added to the covariance's diagonal, as a share of its mean: with fewer samples than dimensions it
could not be inverted. The paper says nothing about it."""
_MAX_MAGNITUDE = 1e4


@dataclass(frozen=True, eq=False)
class MahaAnchor(TaskAnchor):
    """Class means and sample latents of one task.

    Attributes:
        means: (C, D) float32, over all training images.
        samples: (S, D) float32, up to m per class.
        sample_classes: (S,) uint16, class of each sample.
    """

    kind: ClassVar[str] = "maha"
    latent: ClassVar[Literal["last", "multi"]] = "last"
    tensor_specs: ClassVar[Mapping[str, TensorSpec]] = {
        "means": TensorSpec("F32", ("C", "D")),
        "samples": TensorSpec("F32", ("S", "D")),
        "sample_classes": TensorSpec("U16", ("S",)),
    }

    means: np.ndarray
    samples: np.ndarray
    sample_classes: np.ndarray

    @property
    def n_classes(self) -> int:
        """C."""
        return int(self.means.shape[0])

    @property
    def dim(self) -> int:
        """D."""
        return int(self.means.shape[1])

    def tensors(self) -> dict[str, np.ndarray]:
        """The arrays that travel, by name."""
        return {
            "means": self.means,
            "samples": self.samples,
            "sample_classes": self.sample_classes,
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, np.ndarray], n_classes: int) -> MahaAnchor:
        """Build the anchor from a stranger's arrays.

        Raises:
            ValueError: types, shapes, huge numbers, or a sample of no class.
        """
        check_tensors(cls.tensor_specs, tensors, n_classes)
        if (tensors["sample_classes"] >= n_classes).any():
            raise ValueError("expected samples of the task's classes only")
        for name in ("means", "samples"):
            if (np.abs(tensors[name]) > _MAX_MAGNITUDE).any():
                raise ValueError(f"expected numbers up to {_MAX_MAGNITUDE:g} in {name!r}")
        return cls(tensors["means"], tensors["samples"], tensors["sample_classes"])

    def scatter(self) -> np.ndarray:
        """(D, D) float64 sum of (x - mu_c)(x - mu_c)^T over the samples."""
        residuals = self.samples.astype(np.float64) - self.means[self.sample_classes]
        rows = torch.from_numpy(residuals)
        return np.asarray((rows.T @ rows).numpy())


def fit_maha(
    latents: np.ndarray,
    labels: np.ndarray,
    n_classes: int,
    *,
    samples_per_class: int = SAMPLES_PER_CLASS,
    seed: int = 0,
) -> MahaAnchor:
    """Class means of all training latents, and a few samples per class.

    Args:
        latents: (N, D) float32, the paper's latents.
        labels: (N,) int64; every class occurs.
        n_classes: C.
        samples_per_class: m; fewer where a class has fewer images.
        seed: of the draw.

    Raises:
        ValueError: a class without an image.
    """
    check_latents(latents)
    means = class_means(latents, labels, n_classes)
    random = np.random.default_rng(seed)
    rows: list[np.ndarray] = []
    for label in range(n_classes):
        members = np.flatnonzero(labels == label)
        count = min(samples_per_class, len(members))
        rows.append(np.sort(random.choice(members, count, replace=False)))
    chosen = np.concatenate(rows)
    return MahaAnchor(
        means.astype(np.float32),
        np.ascontiguousarray(latents[chosen], dtype=np.float32),
        labels[chosen].astype(np.uint16),
    )


def class_means(latents: np.ndarray, labels: np.ndarray, n_classes: int) -> np.ndarray:
    """(C, D) float64 means.

    Raises:
        ValueError: a class without an image.
    """
    counts = np.bincount(labels, minlength=n_classes)
    if len(counts) > n_classes or (counts == 0).any():
        raise ValueError(f"expected at least one image of each of {n_classes} classes")
    sums = np.zeros((n_classes, latents.shape[1]))
    np.add.at(sums, labels, latents.astype(np.float64))
    return sums / counts[:, None]


class MahaMapper(TaskMapper):
    """All class means, and the tied covariance of all samples."""

    kind: ClassVar[str] = "maha"
    latent: ClassVar[Literal["last", "multi"]] = "last"

    def __init__(self) -> None:
        self._anchors: dict[str, MahaAnchor] = {}
        self._precision: torch.Tensor | None = None

    def add(self, key: str, anchor: TaskAnchor) -> None:
        """Register a task; the covariance is computed anew at the next score.

        Raises:
            ValueError: an anchor of another kind or latent size.
        """
        if not isinstance(anchor, MahaAnchor):
            raise ValueError(f"expected a maha anchor, got {anchor.kind}")  # noqa: TRY004 - one error for a foreign anchor
        for other in self._anchors.values():
            if other.dim != anchor.dim:
                raise ValueError(f"expected an anchor of D = {other.dim}, got {anchor.dim}")
        if key not in self._anchors:
            self._anchors[key] = anchor
            self._precision = None

    def remove(self, key: str) -> None:
        """Forget a task."""
        if self._anchors.pop(key, None) is not None:
            self._precision = None

    def keys(self) -> tuple[str, ...]:
        """Registered keys, sorted."""
        return tuple(sorted(self._anchors))

    def covariance(self) -> np.ndarray:
        """(D, D) float64 tied covariance of all samples, summed in canonical order, with ridge."""
        keys = self.keys()
        check_scores_possible(keys)
        total = sum(len(self._anchors[key].samples) for key in keys)
        scatter = self._anchors[keys[0]].scatter()
        for key in keys[1:]:
            scatter += self._anchors[key].scatter()
        covariance = scatter / total
        mean = float(np.trace(covariance)) / len(covariance)
        covariance[np.diag_indices_from(covariance)] += RIDGE * mean + 1e-9
        return covariance

    def score(self, latents: np.ndarray) -> MapperScores:
        """Minus half the squared Mahalanobis distance to the nearest class of every task (Eq. 5).

        In linear form: with P the precision, (x - mu)^T P (x - mu) needs one product with P for
        all classes, not one per class.
        """
        keys = self.keys()
        check_scores_possible(keys)
        check_latents(latents, self._anchors[keys[0]].dim)
        if self._precision is None:
            factor = torch.linalg.cholesky(torch.from_numpy(self.covariance()))
            self._precision = torch.cholesky_inverse(factor)
        x = torch.from_numpy(latents.astype(np.float64))
        projected = x @ self._precision  # (N, D)
        own = (projected * x).sum(1, keepdim=True)  # (N, 1)
        classes = tuple(self._class_scores(projected, own, self._anchors[key]) for key in keys)
        task = np.stack([scores.max(axis=1) for scores in classes], axis=1)
        return MapperScores(keys, task, classes)

    def _class_scores(
        self, projected: torch.Tensor, own: torch.Tensor, anchor: MahaAnchor
    ) -> np.ndarray:
        assert self._precision is not None
        means = torch.from_numpy(anchor.means.astype(np.float64))
        constant = ((means @ self._precision) * means).sum(1)  # (C,)
        distances = own - 2 * (projected @ means.T) + constant  # (N, C)
        return np.asarray((-0.5 * distances).numpy())
