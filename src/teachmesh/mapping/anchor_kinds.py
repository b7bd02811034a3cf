"""The anchors (task summaries) of the three methods, checked when they are received.

This module does not import torch, so that a bank can be opened and listed quickly. Functions that
compute with latents import torch when they are called.

- `MomentsAnchor`: class means, within-class scatter and linear head.
- `GmmcAnchor`: Gaussian clusters (paper, Eq. 3).
- `MahaAnchor`: class means and sample latents (paper, Sec. 5).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from teachmesh.mapping.anchor import TaskAnchor, TensorSpec, check_tensors
from teachmesh.mapping.quantise import LEVELS, dequantise_rows

if TYPE_CHECKING:
    import torch

    from teachmesh.mapping.discriminant import TaskMoments

METHODS = ("moments", "gmmc", "maha")
"""Names of the methods; the first is the default."""
UNIT = 2.0**-40
"""Unit of the integer scatter.

Latents have length 1 at most, so a skill adds at most 2^40 counts to an entry. The sum over 4,096
skills is therefore exact."""
RESIDUAL_UNIT = 2.0**-16
"""Unit of the residual diagonal, chosen so that all values fit into float16."""
MAX_TRACE = 1.0
"""Maximum total variance of a task; a larger one would distort the tied covariance."""
_MAX_HEAD_SCALE = 1e3
MIN_VARIANCE = 1e-7
"""Minimum variance accepted in a received skill."""
_WEIGHT_TOLERANCE = 1e-3
_MAX_MAGNITUDE = 1e4


@dataclass(frozen=True, eq=False)
class MomentsAnchor(TaskAnchor):
    """Class means, within-class scatter and linear head of one task.

    Attributes:
        means: (C, D) int8 array of quantised class means.
        mean_scales: (C,) float32, size of one int8 step of each class mean.
        directions: (R, D) int8, leading directions of the within-class scatter.
        weights: (R,) uint32, scatter along each direction: the task's covariance is
            UNIT * sum_r weights[r] directions[r] directions[r]^T, plus the residual.
        residual: (D,) float16, remaining diagonal of the covariance, in units of RESIDUAL_UNIT.
        head: (C, D) int8, quantised weights of the head.
        head_scales: (C,) float32, size of one int8 step of each head row.
        head_bias: (C,) float32, biases of the head.
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

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, np.ndarray], n_classes: int) -> MomentsAnchor:
        """Build the anchor from received arrays.

        Raises:
            ValueError: a type or shape is wrong, a scale or residual is negative, or the total
                variance exceeds `MAX_TRACE`, which is impossible for latents of length 1.
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
        """Return (C, D) float64 class means; the caller must not modify them."""
        return self._class_means

    @cached_property
    def _class_means(self) -> np.ndarray:
        return dequantise_rows(self.means, self.mean_scales)

    @cached_property
    def _head_weights(self) -> torch.Tensor:
        """Return (C, D) float64 head weights, cached because every batch of images needs them."""
        import torch

        return torch.from_numpy(dequantise_rows(self.head, self.head_scales))

    def head_logits(self, latents: np.ndarray) -> np.ndarray:
        """Return (N, C) float64 head scores: about 1 for the right class, otherwise about 0."""
        import torch

        # This uses torch because numpy would start threads that busy-wait.
        logits = torch.from_numpy(latents.astype(np.float64, copy=False)) @ self._head_weights.T
        return np.asarray(logits.numpy() + self.head_bias)

    def familiarity(self, latents: np.ndarray) -> np.ndarray:
        """Return each image's negated squared distance to the nearest class mean, (N,)."""
        return _nearest_mean_familiarity(latents, self.class_means())

    def moments(self) -> TaskMoments:
        """Return class means and covariance in float64."""
        from teachmesh.mapping.discriminant import TaskMoments

        roots = np.sqrt(self.weights * UNIT)[:, None] * self.directions  # (R, D)
        return TaskMoments(self.class_means(), roots, self._integer_residual() * UNIT)

    def trace(self) -> float:
        """Return the total within-class variance of the task."""
        squares = (self.directions.astype(np.float64) ** 2).sum(axis=1)  # (R,)
        return float(squares @ self.weights + self._integer_residual().sum()) * UNIT

    def integer_scatter(self) -> np.ndarray:
        """Return the (D, D) float64 covariance in multiples of UNIT; every entry is an integer.

        Sums of integers below 2^53 are exact in float64, in any order.
        """
        import torch

        directions = torch.from_numpy(self.directions.astype(np.float64))
        weighted = directions * torch.from_numpy(self.weights.astype(np.float64))[:, None]
        scatter = directions.T @ weighted  # (D, D)
        scatter.diagonal().add_(torch.from_numpy(self._integer_residual()))
        return np.asarray(scatter.numpy())

    def _integer_residual(self) -> np.ndarray:
        """Return the (D,) float64 residual diagonal as whole multiples of UNIT."""
        return np.asarray(np.rint(self.residual.astype(np.float64) * (RESIDUAL_UNIT / UNIT)))


@dataclass(frozen=True, eq=False)
class GmmcAnchor(TaskAnchor):
    """Gaussian clusters of one task.

    Attributes:
        means: (K, D) float32, cluster means.
        variances: (K, D) float32, diagonals of the cluster covariances.
        weights: (K,) float32, cluster weights, which sum to 1 (phi in Eq. 3).
        classes: number of classes of the task; clusters are not assigned to classes.
    """

    kind: ClassVar[str] = "gmmc"
    latent: ClassVar[Literal["last", "multi"]] = "last"
    tensor_specs: ClassVar[Mapping[str, TensorSpec]] = {
        "means": TensorSpec("F32", ("K", "D")),
        "variances": TensorSpec("F32", ("K", "D")),
        "weights": TensorSpec("F32", ("K",)),
    }

    means: np.ndarray
    variances: np.ndarray
    weights: np.ndarray
    classes: int

    @property
    def n_classes(self) -> int:
        """Number of classes, C."""
        return self.classes

    @property
    def dim(self) -> int:
        """Latent size, D."""
        return int(self.means.shape[1])

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, np.ndarray], n_classes: int) -> GmmcAnchor:
        """Build the anchor from received arrays.

        Raises:
            ValueError: a type or shape is wrong, a variance is below `MIN_VARIANCE`, or the
                weights do not sum to 1 (unnormalised weights would attract every image).
        """
        check_tensors(cls.tensor_specs, tensors, n_classes)
        if (tensors["variances"] < MIN_VARIANCE).any():
            raise ValueError(f"expected variances of at least {MIN_VARIANCE:g}, got a smaller one")
        weights = tensors["weights"]
        if (weights <= 0).any() or abs(float(weights.sum()) - 1) > _WEIGHT_TOLERANCE:
            raise ValueError("expected cluster weights that are positive and sum to 1")
        return cls(tensors["means"], tensors["variances"], weights, n_classes)

    def familiarity(self, latents: np.ndarray) -> np.ndarray:
        """Return (N,) logs of phi_m N(x | mu_m, Sigma_m) for the best cluster m, in nats."""
        import torch

        from teachmesh.mapping.gmm_fit import side_by_side, with_squares

        x = torch.from_numpy(latents.astype(np.float64))
        density = side_by_side([(self.means, self.variances, self.weights)])
        return np.asarray(density.log_joint(with_squares(x)).amax(dim=1).numpy())


@dataclass(frozen=True, eq=False)
class MahaAnchor(TaskAnchor):
    """Class means and sample latents of one task.

    Attributes:
        means: (C, D) float32, class means over all training images.
        samples: (S, D) float32, latents of sample images, at most m images per class.
        sample_classes: (S,) uint16 class of each sample.
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
        """Number of classes, C."""
        return int(self.means.shape[0])

    @property
    def dim(self) -> int:
        """Latent size, D."""
        return int(self.means.shape[1])

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, np.ndarray], n_classes: int) -> MahaAnchor:
        """Build the anchor from received arrays.

        Raises:
            ValueError: a type or shape is wrong, a number is too large, or a sample's class does
                not exist.
        """
        check_tensors(cls.tensor_specs, tensors, n_classes)
        largest = int(tensors["sample_classes"].max())
        if largest >= n_classes:
            raise ValueError(f"expected samples of {n_classes} classes, got one of class {largest}")
        for name in ("means", "samples"):
            if (np.abs(tensors[name]) > _MAX_MAGNITUDE).any():
                raise ValueError(f"expected numbers up to {_MAX_MAGNITUDE:g} in {name!r}")
        return cls(tensors["means"], tensors["samples"], tensors["sample_classes"])

    def residuals(self) -> np.ndarray:
        """Return the (S, D) float64 differences between samples and their class means."""
        means = self.means.astype(np.float64)
        return np.asarray(self.samples.astype(np.float64) - means[self.sample_classes])

    def familiarity(self, latents: np.ndarray) -> np.ndarray:
        """Return each image's negated squared Euclidean distance to the nearest class mean."""
        return _nearest_mean_familiarity(latents, self.means)


def _nearest_mean_familiarity(latents: np.ndarray, means: np.ndarray) -> np.ndarray:
    """Return each image's negated squared Euclidean distance to the nearest mean, (N,)."""
    import torch

    x, means = latents.astype(np.float64, copy=False), means.astype(np.float64, copy=False)
    # This uses torch because numpy would start threads that busy-wait.
    products = (torch.from_numpy(x) @ torch.from_numpy(means).T).numpy()  # (N, C)
    squared = (
        np.einsum("nd,nd->n", x, x)[:, None] + np.einsum("cd,cd->c", means, means) - 2 * products
    )
    return np.asarray(-np.maximum(squared.min(axis=1), 0.0))


ANCHORS: Mapping[str, type[TaskAnchor]] = {
    anchor.kind: anchor for anchor in (MomentsAnchor, GmmcAnchor, MahaAnchor)
}
"""Anchor class of each method, by method name."""
