"""The anchors (task summaries) of the three methods, checked when they are received.

This module does not import torch, so that a bank can be opened and listed quickly. Functions that
compute with latents import torch when they are called.

- `MomentsAnchor`: class means, within-class covariance and linear head.
- `GmmcAnchor`: Gaussian clusters (paper, Eq. 3).
- `MahaAnchor`: class means and sample latents (paper, Sec. 5).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from teachmesh.mapping.anchor import TaskAnchor, TensorSpec, check_tensors
from teachmesh.mapping.quantise import LEVELS, dequantise_rows, unit_rows

if TYPE_CHECKING:
    from teachmesh.mapping.discriminant import TaskMoments

METHODS = ("moments", "gmmc", "maha")
"""Names of the methods of teachmesh; the first is the default."""
KIND_NAME = r"[a-z][a-z0-9_-]{0,31}"
"""Regular expression for the kind of an anchor, and for the names of its tensors."""
RESERVED_KINDS = ("head", "held_out", "biases", "biased", "bb-h2t")
"""Names of other tensors and methods, which no kind of anchor can have."""
SIZES = ("C", "D", "K", "R", "S")
"""Letters for the sizes of tensors; `packet.limits` bounds each of them."""
MAX_SPREAD = 16.0
"""Maximum mean variance of a task per dimension of the metric's space; tasks have 0.2 to 3."""
_MAX_MEAN_SCALE = 1.0
_MAX_HEAD_SCALE = 1e3
MIN_VARIANCE = 1e-7
"""Minimum variance accepted in a received skill."""
_WEIGHT_TOLERANCE = 1e-3
_MAX_MAGNITUDE = 1e4


@dataclass(frozen=True, eq=False)
class MomentsAnchor(TaskAnchor):
    """Class means, within-class covariance and linear head of one task.

    All arrays are in the space of the backbone's metric (`mapping.metric`).

    Attributes:
        means: (C, D) int8 array of quantised class means.
        mean_scales: (C,) float32, size of one int8 step of each class mean.
        directions: (R, D) int8, leading directions of the within-class covariance.
        variances: (R,) float32, variance along each direction after division by its length.
        rest: (1,) float32, mean of the remaining variances of all D dimensions.
        degrees: (1,) uint32, degrees of freedom of the covariance: images minus classes.
        head: (C, D) int8, quantised weights of the head.
        head_scales: (C,) float32, size of one int8 step of each head row.
        head_bias: (C,) float32, biases of the head.
        errors: see `TaskMoments.errors`; derived by the reader, and never sent.
    """

    kind: ClassVar[str] = "moments"
    latent: ClassVar[Literal["last", "multi"]] = "multi"
    tensor_specs: ClassVar[Mapping[str, TensorSpec]] = {
        "means": TensorSpec("I8", ("C", "D")),
        "mean_scales": TensorSpec("F32", ("C",)),
        "directions": TensorSpec("I8", ("R", "D")),
        "variances": TensorSpec("F32", ("R",)),
        "rest": TensorSpec("F32", (1,)),
        "degrees": TensorSpec("U32", (1,)),
        "head": TensorSpec("I8", ("C", "D")),
        "head_scales": TensorSpec("F32", ("C",)),
        "head_bias": TensorSpec("F32", ("C",)),
    }

    means: np.ndarray
    mean_scales: np.ndarray
    directions: np.ndarray
    variances: np.ndarray
    rest: np.ndarray
    degrees: np.ndarray
    head: np.ndarray
    head_scales: np.ndarray
    head_bias: np.ndarray
    errors: np.ndarray | None = None

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
            ValueError: a type or shape is wrong, a scale or variance is negative, or the mean
                variance exceeds `MAX_SPREAD`.
        """
        check_tensors(cls.tensor_specs, tensors, n_classes)
        anchor = cls(**{name: tensors[name] for name in cls.tensor_specs})
        for name, largest in (("mean_scales", _MAX_MEAN_SCALE), ("head_scales", _MAX_HEAD_SCALE)):
            scales = tensors[name]
            if (scales <= 0).any() or (scales > largest).any():
                raise ValueError(f"expected {name!r} between 0 and {largest:g}")
        if (anchor.variances < 0).any() or (anchor.rest < 0).any():
            raise ValueError("expected variances of at least 0, got a negative one")
        if any((tensors[name] < -LEVELS).any() for name in ("means", "directions", "head")):
            raise ValueError(f"expected int8 levels between -{LEVELS} and {LEVELS}")
        if (spread := anchor.spread()) > MAX_SPREAD:
            raise ValueError(f"expected a mean variance of at most {MAX_SPREAD:g}, got {spread:g}")
        return anchor

    def class_means(self) -> np.ndarray:
        """Return (C, D) float64 class means."""
        return dequantise_rows(self.means, self.mean_scales)

    def head_rows(self) -> np.ndarray:
        """Return (C, D) float64 head weights."""
        return dequantise_rows(self.head, self.head_scales)

    def roots(self) -> np.ndarray:
        """Return (R, D) float64 rows; the low-rank part of the covariance is roots^T roots."""
        return unit_rows(self.directions) * np.sqrt(self.variances.astype(np.float64))[:, None]

    def moments(self) -> TaskMoments:
        """Return class means and covariance in float64."""
        from teachmesh.mapping.discriminant import TaskMoments, own_share

        share = own_share(int(self.degrees[0]))
        rest = float(self.rest[0])
        return TaskMoments(self.class_means(), self.roots(), rest, share, self.errors)

    def spread(self) -> float:
        """Return the mean within-class variance of the D dimensions."""
        return float(self.variances.sum(dtype=np.float64)) / self.dim + float(self.rest[0])


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


ANCHORS: Mapping[str, type[TaskAnchor]] = {
    anchor.kind: anchor for anchor in (MomentsAnchor, GmmcAnchor, MahaAnchor)
}
"""Anchor class of each method of teachmesh, by method name."""
