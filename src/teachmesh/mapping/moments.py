"""Class moments: a task in a few kilobytes, in closed form (the default method).

The teacher sends three things, computed from multi-depth latents:

- class means (int8);
- the within-class scatter, as a few directions (int8) and a residual diagonal;
- a linear head (int8).

The student averages the scatters of all tasks into one tied covariance. It scores every class of
every task by regularised discriminant analysis. Log-determinants are included, so that a task with
a wide covariance cannot capture the images of others. The discriminant chooses the task; within a
task, discriminant and head decide together. Learning needs one backbone pass and no gradient step,
and no image travels.

Exact merge: all contributions to the tied scatter are integers in a fixed unit, stored as float64.
Sums of integers below 2^53 are exact, so every order of arrival gives equal bits on any machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal

import numpy as np
import torch

from teachmesh.mapping.anchor import (
    TaskAnchor,
    TensorSpec,
    check_tensors,
)
from teachmesh.mapping.discriminant import Discriminant, TaskMoments, whitening_of_one
from teachmesh.mapping.mapper import TaskMapper
from teachmesh.mapping.quantise import LEVELS, dequantise_rows
from teachmesh.mapping.typicality import nearest_mean_familiarity
from teachmesh.mapping.whitening import DenseWhitening, ridge_of

RANK = 32
"""Number of directions of a task's own scatter."""
OWN_SHARE = 0.15
"""g: weight of a task's own covariance."""
HEAD_TEMPERATURE = 0.2
"""Divisor of the head's scores, because regression on 0 and 1 gives low confidence."""
DENSITY_SHARE = 0.05
"""Factor of log densities, because the dimensions of latents are not independent.

With HEAD_TEMPERATURE and this factor, probabilities on the validation images of 36 real tasks match
the accuracy within 2 points on average."""
UNIT = 2.0**-40
"""Value of one count of the integer scatter.

Latents have length 1 at most, so a skill adds at most 2^40 counts to an entry, and 4,096 skills can
be added exactly."""
RESIDUAL_UNIT = 2.0**-16
"""Value of 1.0 in the residual diagonal, chosen so that all values fit into float16."""
MAX_TRACE = 1.0
"""Largest total variance of a task; more would distort the tied covariance."""
_MAX_HEAD_SCALE = 1e3


@dataclass(frozen=True, eq=False)
class MomentsAnchor(TaskAnchor):
    """Class means, within-class scatter and linear head of one task.

    Attributes:
        means: (C, D) int8.
        mean_scales: (C,) float32, value of one level of each mean.
        directions: (R, D) int8, leading directions of the within-class scatter.
        weights: (R,) uint32, scatter along each direction: the task's covariance is
            UNIT * sum_r weights[r] directions[r] directions[r]^T, plus the residual.
        residual: (D,) float16, the rest of the diagonal, in RESIDUAL_UNIT.
        head: (C, D) int8.
        head_scales: (C,) float32, value of one level of each row of the head.
        head_bias: (C,) float32.
    """

    kind: ClassVar[str] = "moments"
    latent: ClassVar[Literal["last", "multi"]] = "multi"
    tensor_specs: ClassVar[Mapping[str, TensorSpec]] = {
        "means": TensorSpec("I8", ("C", "D")),
        "mean_scales": TensorSpec("F32", ("C",)),
        "directions": TensorSpec("I8", ("R", "D")),
        "weights": TensorSpec("U32", ("R",)),
        "residual": TensorSpec("F16", ("D",)),
        "head": TensorSpec("I8", ("C", "D")),
        "head_scales": TensorSpec("F32", ("C",)),
        "head_bias": TensorSpec("F32", ("C",)),
    }

    means: np.ndarray
    mean_scales: np.ndarray
    directions: np.ndarray
    weights: np.ndarray
    residual: np.ndarray
    head: np.ndarray
    head_scales: np.ndarray
    head_bias: np.ndarray

    @property
    def n_classes(self) -> int:
        """Number of classes, C."""
        return int(self.means.shape[0])

    @property
    def dim(self) -> int:
        """Latent size, D."""
        return int(self.means.shape[1])

    def tensors(self) -> dict[str, np.ndarray]:
        """Return the arrays that travel, by name."""
        return {name: getattr(self, name) for name in self.tensor_specs}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, np.ndarray], n_classes: int) -> MomentsAnchor:
        """Build the anchor from received arrays.

        Raises:
            ValueError: wrong types or shapes, a scale or residual below zero, or a total variance
                above `MAX_TRACE`, which latents of length 1 cannot have.
        """
        check_tensors(cls.tensor_specs, tensors, n_classes)
        anchor = cls(**{name: tensors[name] for name in cls.tensor_specs})
        for name, largest in (("mean_scales", 1.0), ("head_scales", _MAX_HEAD_SCALE)):
            scales = tensors[name]
            if (scales <= 0).any() or (scales > largest).any():
                raise ValueError(f"expected {name!r} between 0 and {largest:g}")
        if (anchor.residual < 0).any():
            raise ValueError("expected a residual of at least 0, got a negative one")
        if any((tensors[name] < -LEVELS).any() for name in ("means", "directions", "head")):
            raise ValueError(f"expected int8 levels between -{LEVELS} and {LEVELS}")
        if (trace := anchor.trace()) > MAX_TRACE:
            raise ValueError(f"expected a total variance of at most {MAX_TRACE:g}, got {trace:g}")
        return anchor

    def class_means(self) -> np.ndarray:
        """Return (C, D) float64 class means; do not modify them."""
        return self._class_means

    @cached_property
    def _class_means(self) -> np.ndarray:
        return dequantise_rows(self.means, self.mean_scales)

    @cached_property
    def _head_weights(self) -> torch.Tensor:
        """(C, D) float64, cached because every batch of images needs it."""
        return torch.from_numpy(dequantise_rows(self.head, self.head_scales))

    def head_logits(self, latents: np.ndarray) -> np.ndarray:
        """Return (N, C) float64 scores of the linear head, about 1 for the right class, else 0."""
        # torch multiplies here because numpy would start threads that wait by spinning.
        logits = torch.from_numpy(latents.astype(np.float64, copy=False)) @ self._head_weights.T
        return np.asarray(logits.numpy() + self.head_bias)

    def familiarity(self, latents: np.ndarray) -> np.ndarray:
        """Return (N,) minus the squared distance to the nearest class mean."""
        return nearest_mean_familiarity(latents, self.class_means())

    def moments(self) -> TaskMoments:
        """Return means and covariance as float64 numbers."""
        roots = np.sqrt(self.weights * UNIT)[:, None] * self.directions  # (R, D)
        return TaskMoments(self.class_means(), roots, self._integer_residual() * UNIT)

    def trace(self) -> float:
        """Return the total within-class variance of the task."""
        squares = (self.directions.astype(np.float64) ** 2).sum(axis=1)  # (R,)
        return float(squares @ self.weights + self._integer_residual().sum()) * UNIT

    def integer_scatter(self) -> np.ndarray:
        """Return (D, D) float64 covariance in counts of UNIT; every entry is an integer.

        Integers below 2^53 are exact in float64, whatever the order of summation.
        """
        directions = torch.from_numpy(self.directions.astype(np.float64))
        weighted = directions * torch.from_numpy(self.weights.astype(np.float64))[:, None]
        scatter = directions.T @ weighted  # (D, D)
        scatter.diagonal().add_(torch.from_numpy(self._integer_residual()))
        return np.asarray(scatter.numpy())

    def _integer_residual(self) -> np.ndarray:
        """Return (D,) float64 residual diagonal in counts of UNIT, as whole numbers."""
        return np.asarray(np.rint(self.residual.astype(np.float64) * (RESIDUAL_UNIT / UNIT)))


class MomentsMapper(TaskMapper[MomentsAnchor]):
    """The moments of all tasks, with the sum of their scatters."""

    kind: ClassVar[str] = "moments"
    latent: ClassVar[Literal["last", "multi"]] = "multi"

    def __init__(self) -> None:
        super().__init__(MomentsAnchor)
        self._scatter: np.ndarray | None = None  # (D, D) integers in float64
        self._discriminant: Discriminant | None = None

    def _added(self, anchor: MomentsAnchor) -> None:
        scatter = anchor.integer_scatter()
        self._scatter = scatter if self._scatter is None else self._scatter + scatter
        self._discriminant = None

    def _removed(self, anchor: MomentsAnchor) -> None:
        assert self._scatter is not None
        self._scatter = self._scatter - anchor.integer_scatter() if self._anchors else None
        self._discriminant = None

    def tied_scatter(self) -> np.ndarray:
        """Return (D, D) float64 sum of the tasks' covariances in counts of UNIT, all integers.

        Raises:
            ValueError: no anchor.
        """
        if self._scatter is None:
            raise ValueError("expected at least one task anchor, got none; add one first")
        return np.array(self._scatter)

    def tied_covariance(self) -> np.ndarray:
        """Return (D, D) float64 mean of the tasks' covariances, with a small ridge.

        Raises:
            ValueError: no anchor.
        """
        covariance = self.tied_scatter() * (UNIT / len(self._anchors))
        ridge = ridge_of(float(np.trace(covariance)), len(covariance))
        covariance[np.diag_indices_from(covariance)] += ridge
        return covariance

    def prepare(self) -> None:
        """Whiten the means and covariances of all tasks by the tied covariance."""
        if self._anchors:
            self._prepared()

    def _prepared(self) -> Discriminant:
        if self._discriminant is None:
            moments = [anchor.moments() for anchor in self._in_order()]
            whiten = (
                whitening_of_one(moments[0])
                if len(moments) == 1
                else DenseWhitening(self.tied_covariance())
            )
            self._discriminant = Discriminant(whiten, moments, OWN_SHARE)
        return self._discriminant

    def _score(self, x: torch.Tensor) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
        """Score tasks by the mean density of their classes, and classes by density and head."""
        anchors = self._in_order()
        tasks: list[torch.Tensor] = []
        classes: list[np.ndarray] = []
        for anchor, densities in zip(anchors, self._prepared().scores(x), strict=True):
            evidence = torch.logsumexp(densities, 1) - float(np.log(anchor.n_classes))  # (N,)
            head = torch.from_numpy(anchor.head_logits(x.numpy())) / HEAD_TEMPERATURE
            within = torch.log_softmax(head + DENSITY_SHARE * densities, 1)  # (N, C)
            tasks.append(DENSITY_SHARE * evidence)
            classes.append((within + DENSITY_SHARE * evidence[:, None]).numpy())
        return torch.stack(tasks, dim=1).numpy(), tuple(classes)
