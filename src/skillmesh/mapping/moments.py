"""Class moments: regularised discriminant analysis from statistics that fit in a few kilobytes.

The teacher sends, in the space of multi-depth latents, the class means (int8) and the within-class
scatter of its task as a few directions (int8) and a residual diagonal. The student adds the
scatters of all tasks, each with the same weight, into one tied covariance, whitens with it, and
scores every class of every task with the Gaussian whose covariance is (1 - g) tied + g own
(Friedman 1989), log-determinant included: a task with a wide covariance cannot capture the images
of others. One backbone pass, no gradient step, no image travels.

Exact merge: all contributions to the tied scatter are integers in a fixed unit, held in float64.
Sums of integers below 2^53 are exact, so any order of arrival gives the same bits on any machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch

from skillmesh.mapping.anchor import TaskAnchor, TensorSpec, check_latents, check_tensors
from skillmesh.mapping.maha import class_means
from skillmesh.mapping.mapper import MapperScores, TaskMapper, check_scores_possible
from skillmesh.mapping.quantise import LEVELS, dequantise_rows, quantise_rows

RANK = 32
"""Directions of a task's own scatter."""
OWN_SHARE = 0.15
"""g: share of a task's own covariance."""
UNIT = 2.0**-40
"""What one count of the integer scatter is worth. Latents have length 1 at most, so a skill adds at
most 2^40 counts to an entry: 4,096 skills can be added exactly."""
RESIDUAL_UNIT = 2.0**-20
"""What 1.0 of the residual diagonal is worth: keeps it in the normal range of float16."""
RIDGE = 1e-3
"""Added to the tied covariance's diagonal, as a share of its mean."""
MAX_TRACE = 1.0 + 2.0**-6
"""Largest total variance that latents of length 1 can have, with room for rounding."""


@dataclass(frozen=True, eq=False)
class MomentsAnchor(TaskAnchor):
    """Class means and within-class scatter of one task.

    Attributes:
        means: (C, D) int8.
        mean_scales: (C,) float32, value of one level of each mean.
        counts: (C,) uint32, training images of each class.
        directions: (R, D) int8, leading directions of the within-class scatter.
        weights: (R,) uint32, scatter along each direction: the task's covariance is
            UNIT * sum_r weights[r] directions[r] directions[r]^T, plus the residual.
        residual: (D,) float16, what the directions leave of the diagonal, in RESIDUAL_UNIT.
    """

    kind: ClassVar[str] = "moments"
    latent: ClassVar[Literal["last", "multi"]] = "multi"
    tensor_specs: ClassVar[Mapping[str, TensorSpec]] = {
        "means": TensorSpec("I8", ("C", "D")),
        "mean_scales": TensorSpec("F32", ("C",)),
        "counts": TensorSpec("U32", ("C",)),
        "directions": TensorSpec("I8", ("R", "D")),
        "weights": TensorSpec("U32", ("R",)),
        "residual": TensorSpec("F16", ("D",)),
    }

    means: np.ndarray
    mean_scales: np.ndarray
    counts: np.ndarray
    directions: np.ndarray
    weights: np.ndarray
    residual: np.ndarray

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
        return {name: getattr(self, name) for name in self.tensor_specs}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, np.ndarray], n_classes: int) -> MomentsAnchor:
        """Build the anchor from a stranger's arrays.

        Raises:
            ValueError: types or shapes, a scale or residual below zero, or a total variance that
                latents of length 1 cannot have: it would move the covariance of all tasks.
        """
        check_tensors(cls.tensor_specs, tensors, n_classes)
        anchor = cls(**{name: tensors[name] for name in cls.tensor_specs})
        if (anchor.mean_scales <= 0).any() or (anchor.mean_scales > 1).any():
            raise ValueError("expected scales of means between 0 and 1")
        if (anchor.residual < 0).any() or (anchor.counts == 0).any():
            raise ValueError("expected a residual of at least 0 and images in every class")
        if (anchor.directions == -LEVELS - 1).any() or (anchor.means == -LEVELS - 1).any():
            raise ValueError(f"expected int8 levels between -{LEVELS} and {LEVELS}")
        trace = float(np.diagonal(anchor.integer_scatter()).sum()) * UNIT
        if trace > MAX_TRACE:
            raise ValueError(f"expected a total variance of at most 1, got {trace:g}")
        return anchor

    def class_means(self) -> np.ndarray:
        """(C, D) float64."""
        return dequantise_rows(self.means, self.mean_scales)

    def integer_scatter(self) -> np.ndarray:
        """(D, D) float64 covariance of the task in counts of UNIT; every entry is an integer.

        Products of integers below 2^53 are exact in float64, whatever order a matrix product
        sums them in.
        """
        directions = torch.from_numpy(self.directions.astype(np.float64))
        weighted = directions * torch.from_numpy(self.weights.astype(np.float64))[:, None]
        scatter = directions.T @ weighted  # (D, D)
        scatter.diagonal().add_(torch.from_numpy(self.integer_residual()))
        return np.asarray(scatter.numpy())

    def integer_residual(self) -> np.ndarray:
        """(D,) float64 residual diagonal in counts of UNIT, whole numbers."""
        return np.asarray(np.rint(self.residual.astype(np.float64) * (RESIDUAL_UNIT / UNIT)))


def fit_moments(
    latents: np.ndarray, labels: np.ndarray, n_classes: int, *, rank: int = RANK
) -> MomentsAnchor:
    """Moments of one task, in closed form.

    Args:
        latents: (N, D) float32 multi-depth latents.
        labels: (N,) int64; every class occurs.
        n_classes: C.
        rank: R, fewer where there are fewer images.

    Raises:
        ValueError: a class without an image.
    """
    check_latents(latents)
    means = class_means(latents, labels, n_classes)
    residuals = torch.from_numpy(latents.astype(np.float64) - means[labels])  # (N, D)
    degrees = max(len(labels) - n_classes, 1)
    vectors, values = _leading(residuals, rank)
    quantised, scales = quantise_rows(vectors)
    unit_weights = np.asarray(values) / degrees * scales.astype(np.float64) ** 2 / UNIT
    weights = np.rint(unit_weights).astype(np.uint32)
    explained = (weights[:, None] * quantised.astype(np.float64) ** 2).sum(0) * UNIT  # (D,)
    diagonal = (residuals * residuals).sum(0).numpy() / degrees
    residual = np.maximum(diagonal - explained, 0) / RESIDUAL_UNIT
    quantised_means, mean_scales = quantise_rows(means)
    return MomentsAnchor(
        means=quantised_means,
        mean_scales=mean_scales,
        counts=np.bincount(labels, minlength=n_classes).astype(np.uint32),
        directions=quantised,
        weights=weights,
        residual=np.minimum(residual, np.finfo(np.float16).max).astype(np.float16),
    )


def _leading(residuals: torch.Tensor, rank: int) -> tuple[np.ndarray, np.ndarray]:
    """(R, D) unit vectors and (R,) eigenvalues of the scatter, the largest first.

    From the smaller of the two Gram matrices: a task has fewer images than dimensions more often
    than not.
    """
    n, dim = residuals.shape
    rank = max(1, min(rank, n, dim))
    if n <= dim:
        values, vectors = torch.linalg.eigh(residuals @ residuals.T)
        values, vectors = values.flip(0)[:rank], vectors.flip(1)[:, :rank]
        lengths = values.clamp(min=1e-12).sqrt()
        rows = (vectors.T @ residuals) / lengths[:, None]
    else:
        values, vectors = torch.linalg.eigh(residuals.T @ residuals)
        values, rows = values.flip(0)[:rank], vectors.flip(1)[:, :rank].T
    # The sign of an eigenvector is arbitrary: the largest entry is made positive.
    largest = rows.abs().argmax(dim=1)
    signs = torch.sign(rows[torch.arange(len(rows)), largest])
    signs[signs == 0] = 1
    return np.asarray((rows * signs[:, None]).numpy()), np.asarray(values.clamp(min=0).numpy())


@dataclass(frozen=True, eq=False)
class _Whitened:
    """One task in the space where the tied covariance is the identity.

    There the task's covariance is (1 - g) I + g (rho I + U diag(l) U^T): its own residual is taken
    as isotropic, so determinants and distances cost products with U only.
    """

    means: torch.Tensor  # (C, D)
    basis: torch.Tensor  # (D, R)
    shrink: torch.Tensor  # (R,)
    base: float  # a = (1 - g) + g rho
    log_det: float


class MomentsMapper(TaskMapper):
    """The moments of all tasks, whitened by their tied covariance.

    Args:
        own_share: g, the share of a task's own covariance.
    """

    kind: ClassVar[str] = "moments"
    latent: ClassVar[Literal["last", "multi"]] = "multi"

    def __init__(self, own_share: float = OWN_SHARE) -> None:
        self.own_share = own_share
        self._anchors: dict[str, MomentsAnchor] = {}
        self._scatter: np.ndarray | None = None  # (D, D) integers in float64
        self._whitening: torch.Tensor | None = None
        self._whitened: dict[str, _Whitened] = {}

    def add(self, key: str, anchor: TaskAnchor) -> None:
        """Register a task: one product of its directions is added to the tied scatter.

        Raises:
            ValueError: an anchor of another kind or latent size.
        """
        if not isinstance(anchor, MomentsAnchor):
            raise ValueError(f"expected a moments anchor, got {anchor.kind}")  # noqa: TRY004 - one error for a foreign anchor
        if self._scatter is not None and len(self._scatter) != anchor.dim:
            raise ValueError(f"expected an anchor of D = {len(self._scatter)}, got {anchor.dim}")
        if key in self._anchors:
            return
        scatter = anchor.integer_scatter()
        self._scatter = scatter if self._scatter is None else self._scatter + scatter
        self._anchors[key] = anchor
        self._whitening = None

    def remove(self, key: str) -> None:
        """Forget a task: its scatter is subtracted, exactly."""
        anchor = self._anchors.pop(key, None)
        if anchor is None or self._scatter is None:
            return
        self._scatter = self._scatter - anchor.integer_scatter() if self._anchors else None
        self._whitening = None

    def keys(self) -> tuple[str, ...]:
        """Registered keys, sorted."""
        return tuple(sorted(self._anchors))

    def tied_covariance(self) -> np.ndarray:
        """(D, D) float64 mean of the tasks' covariances, with a small ridge."""
        assert self._scatter is not None
        covariance = self._scatter * (UNIT / len(self._anchors))
        mean = float(np.trace(covariance)) / len(covariance)
        covariance[np.diag_indices_from(covariance)] += RIDGE * mean + 1e-9
        return covariance

    def score(self, latents: np.ndarray) -> MapperScores:
        """Log densities of all classes; a task's score is that of the mean of its classes."""
        keys = self.keys()
        check_scores_possible(keys)
        check_latents(latents, self._anchors[keys[0]].dim)
        whitening = self._consolidate()
        z = torch.from_numpy(latents.astype(np.float64)) @ whitening.T  # (N, D)
        own = (z * z).sum(1, keepdim=True)  # (N, 1)
        classes = tuple(self._class_scores(z, own, self._whitened[key]) for key in keys)
        tasks = [torch.logsumexp(s, 1) - float(np.log(s.shape[1])) for s in classes]
        return MapperScores(
            keys,
            torch.stack(tasks, dim=1).numpy(),
            tuple(scores.numpy() for scores in classes),
        )

    def _consolidate(self) -> torch.Tensor:
        """(D, D) whitening matrix: the inverse of the Cholesky factor; computed when needed."""
        if self._whitening is None:
            factor = torch.linalg.cholesky(torch.from_numpy(self.tied_covariance()))
            identity = torch.eye(len(factor), dtype=torch.float64)
            self._whitening = torch.linalg.solve_triangular(factor, identity, upper=False)
            column_norms = (self._whitening**2).sum(0)  # (D,)
            self._whitened = {
                key: self._whiten(anchor, self._whitening, column_norms)
                for key, anchor in self._anchors.items()
            }
        return self._whitening

    def _whiten(
        self, anchor: MomentsAnchor, whitening: torch.Tensor, column_norms: torch.Tensor
    ) -> _Whitened:
        share = self.own_share
        roots = np.sqrt(anchor.weights.astype(np.float64) * UNIT)
        rows = torch.from_numpy(anchor.directions * roots[:, None]) @ whitening.T  # (R, D)
        values, vectors = torch.linalg.eigh(rows @ rows.T)
        kept = values > 1e-8
        values, vectors = values[kept], vectors[:, kept]
        basis = (rows.T @ vectors) / values.sqrt()  # (D, R)
        residual = torch.from_numpy(anchor.integer_residual() * UNIT)
        rho = float(column_norms @ residual) / anchor.dim
        base = (1 - share) + share * rho
        log_det = anchor.dim * float(np.log(base)) + float(torch.log1p(share * values / base).sum())
        means = torch.from_numpy(anchor.class_means()) @ whitening.T  # (C, D)
        return _Whitened(means, basis, 1 - base / (base + share * values), base, log_det)

    @staticmethod
    def _class_scores(z: torch.Tensor, own: torch.Tensor, task: _Whitened) -> torch.Tensor:
        """(N, C) log densities up to a constant: two matrix products per task."""
        means = task.means
        distances = own + (means * means).sum(1) - 2 * (z @ means.T)  # (N, C)
        image, centre = z @ task.basis, means @ task.basis  # (N, R), (C, R)
        along = ((image * image) @ task.shrink)[:, None] + (centre * centre) @ task.shrink
        along = along - 2 * (image * task.shrink) @ centre.T
        return -0.5 * ((distances - along) / task.base + task.log_det)
