"""Class moments in fewer bytes: 1 to 4 bits per number, and optionally no head.

A packed anchor is one way to write class moments in a file. A reader unpacks it, and everything
else works with the unpacked moments. So skills of any size work together.

Class means are stored as differences from their common centre, because the error of few bits is
proportional to the length of a row.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from teachmesh.mapping.anchor import TaskAnchor, TensorSpec, check_tensors
from teachmesh.mapping.anchor_kinds import MomentsAnchor
from teachmesh.mapping.bit_planes import from_planes, rounding_error, to_planes
from teachmesh.mapping.quantise import dequantise_rows, quantise_rows

if TYPE_CHECKING:
    from teachmesh.mapping.error_feedback import Inputs

MAX_ENTRIES = 1 << 24
"""Maximum number of entries of an unpacked tensor: as many as a file of plain int8 can hold."""
MAX_ERROR = 0.25
"""Maximum squared rounding error of a class mean, per dimension; larger ones are not believed.

The error favours a class, so that no skill may claim a large one. With one bit it is 0.10 and
0.14 on average in 36 real tasks, for two networks."""
MAX_FEEDBACK = 4096
"""Maximum latent size at which heads are rounded with error feedback, which needs D^2 numbers."""
_HEAD_FACTOR = 0.08
"""Factor applied to log densities in a head that is derived from means and covariance.

Chosen on the validation images of 36 real tasks; the log loss is 0.50, and 0.61 with 0.04."""
_COMMON: Mapping[str, TensorSpec] = {
    "centre": TensorSpec("I8", ("D",)),
    "centre_scale": TensorSpec("F32", (1,)),
    "mean_planes": TensorSpec("U8", ("P", "B")),
    "mean_scales": TensorSpec("F32", ("C",)),
    "direction_planes": TensorSpec("U8", ("Q", "B")),
    "variances": TensorSpec("F32", ("R",)),
    "rest": TensorSpec("F32", (1,)),
    "degrees": TensorSpec("U32", (1,)),
}
_HEAD: Mapping[str, TensorSpec] = {
    "head_planes": TensorSpec("U8", ("H", "B")),
    "head_scales": TensorSpec("F32", ("C",)),
    "head_bias": TensorSpec("F32", ("C",)),
}


@dataclass(frozen=True, eq=False)
class HeadlessMoments(TaskAnchor):
    """Packed class moments without a head; the reader derives one.

    Attributes:
        arrays: tensors by name, with the specifications of `tensor_specs`.
    """

    kind: ClassVar[str] = MomentsAnchor.kind
    latent: ClassVar[Literal["last", "multi"]] = MomentsAnchor.latent
    tensor_specs: ClassVar[Mapping[str, TensorSpec]] = _COMMON

    arrays: Mapping[str, np.ndarray]

    @property
    def n_classes(self) -> int:
        """Number of classes, C."""
        return len(self.arrays["mean_scales"])

    @property
    def dim(self) -> int:
        """Latent size, D."""
        return len(self.arrays["centre"])

    def tensors(self) -> dict[str, np.ndarray]:
        """Return the arrays that are sent, by name."""
        return dict(self.arrays)

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, np.ndarray], n_classes: int) -> HeadlessMoments:
        """Build the anchor from received arrays.

        Raises:
            ValueError: a type, a shape or a value is invalid.
        """
        check_tensors(cls.tensor_specs, tensors, n_classes)
        check_size(len(tensors["centre"]), tensors["mean_planes"].shape[1])
        if max(n_classes, len(tensors["variances"])) * len(tensors["centre"]) > MAX_ENTRIES:
            raise ValueError(f"expected at most {MAX_ENTRIES} numbers in an unpacked tensor")
        if not 0 < float(tensors["centre_scale"][0]) <= 1:
            raise ValueError("expected 'centre_scale' between 0 and 1")
        return cls(dict(tensors))

    def unpacked(self) -> MomentsAnchor:
        """Return the class moments.

        Raises:
            ValueError: a value is out of the range of class moments.
        """
        found, n_classes, n_axes = self.arrays, self.n_classes, len(self.arrays["variances"])
        centre = found["centre"].astype(np.float64) * float(found["centre_scale"][0])
        planes = found["mean_planes"]
        rows = dequantise_rows(from_planes(planes, n_classes), found["mean_scales"])
        means, scales = quantise_rows(centre + rows)
        errors = np.minimum(rounding_error(rows, len(planes)), MAX_ERROR * self.dim)
        kept = {name: found[name] for name in ("variances", "rest", "degrees")}
        moments = {
            "means": means,
            "mean_scales": scales,
            "directions": from_planes(found["direction_planes"], n_axes),
            **kept,
        }
        anchor = MomentsAnchor.from_tensors({**moments, **self._head(moments)}, n_classes)
        return replace(anchor, errors=errors)

    def _head(self, moments: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the tensors of the head."""
        none = {"head": moments["means"], "head_scales": moments["mean_scales"]}
        none["head_bias"] = np.zeros(self.n_classes, dtype=np.float32)
        anchor = MomentsAnchor.from_tensors({**moments, **none}, self.n_classes)  # checks values
        return derived_head(anchor)


class PackedMoments(HeadlessMoments):
    """Packed class moments with a head."""

    tensor_specs: ClassVar[Mapping[str, TensorSpec]] = {**_COMMON, **_HEAD}

    def _head(self, moments: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:  # noqa: ARG002 - not needed here
        """Return the tensors of the head."""
        found = self.arrays
        return {
            "head": from_planes(found["head_planes"], self.n_classes),
            "head_scales": found["head_scales"],
            "head_bias": found["head_bias"],
        }


def check_size(dim: int, n_bytes: int) -> None:
    """Check that planes have one bit per dimension.

    Raises:
        ValueError: they do not.
    """
    if dim != 8 * n_bytes:
        raise ValueError(f"expected bit planes of D / 8 = {dim / 8:g} bytes, got {n_bytes}")


def moments_layout(names: Collection[str]) -> type[TaskAnchor]:
    """Return the class of class moments whose tensors have these names, without a prefix.

    >>> moments_layout(["means", "head"]).__name__, moments_layout(["mean_planes"]).__name__
    ('MomentsAnchor', 'HeadlessMoments')
    """
    if "mean_planes" not in names:
        return MomentsAnchor
    return PackedMoments if "head_planes" in names else HeadlessMoments


@dataclass(frozen=True)
class Packing:
    """A way to write class moments in fewer bytes.

    Attributes:
        bits: bits per number of class means, 1 to 4; directions get 2 at least.
        rank: maximum number of directions, R; at least 1.
        head_bits: bits per number of the head; 0 to leave the head out.
    """

    bits: int
    rank: int
    head_bits: int

    def __str__(self) -> str:
        head = f"{self.head_bits} bits per number of the head" if self.head_bits else "no head"
        return f"{self.bits} bits per number, {self.rank} directions, {head}"


def pack_moments(anchor: MomentsAnchor, packing: Packing) -> HeadlessMoments:
    """Write class moments with fewer bits per number and fewer directions.

    Args:
        anchor: the class moments; D is a multiple of 8.
        packing: numbers of bits and of directions.
    """
    bits, rank = packing.bits, packing.rank
    means = anchor.class_means()
    centre, centre_scale = quantise_rows(means.mean(axis=0, keepdims=True))
    rows = means - dequantise_rows(centre, centre_scale)
    mean_planes, mean_scales = to_planes(rows, bits)
    dropped = float(anchor.variances[rank:].sum(dtype=np.float64)) / anchor.dim
    arrays = {
        "centre": centre[0],
        "centre_scale": centre_scale,
        "mean_planes": mean_planes,
        "mean_scales": mean_scales,
        "direction_planes": to_planes(anchor.directions[:rank], max(bits, 2))[0],
        "variances": anchor.variances[:rank],
        "rest": (anchor.rest + dropped).astype(np.float32),
        "degrees": anchor.degrees,
    }
    if not packing.head_bits:
        return HeadlessMoments(arrays)
    return PackedMoments(arrays | _packed_head(anchor, means, packing.head_bits))


def _points_of(anchor: MomentsAnchor) -> Inputs | None:
    """Return the second moments of a task's images; None if D is too large for them."""
    # Imported here because it loads torch, and listing skills must be fast.
    from teachmesh.mapping.error_feedback import Inputs

    if anchor.dim > MAX_FEEDBACK:
        return None
    task = anchor.moments()
    between = (task.means - task.means.mean(axis=0)) / len(task.means) ** 0.5
    roots = np.concatenate([task.share**0.5 * task.roots, between])
    return Inputs(roots, 1 - task.share + task.share * task.rest)


def _packed_head(anchor: MomentsAnchor, means: np.ndarray, bits: int) -> dict[str, np.ndarray]:
    rows = anchor.head_rows()
    common = rows.mean(axis=0)  # a common term of all scores changes no posterior
    planes, scales = to_planes(rows - common, bits, _points_of(anchor))
    rounded = dequantise_rows(from_planes(planes, len(rows)), scales)
    # The bias is computed for the rounded rows, so that scores at the centre are exact.
    bias = anchor.head_bias + (rows - common - rounded) @ means.mean(axis=0)
    return {
        "head_planes": planes,
        "head_scales": scales,
        "head_bias": (bias - bias.mean()).astype(np.float32),
    }


def derived_head(anchor: MomentsAnchor) -> dict[str, np.ndarray]:
    """Return the head tensors of the discriminant of class means and covariance.

    Args:
        anchor: class moments, whose head is not used.
    """
    # Imported here because these modules load torch, and listing skills must be fast.
    from teachmesh.mapping.discriminant import own_share
    from teachmesh.mapping.moments_fit import HEAD_SHARE, reliability
    from teachmesh.mapping.within_covariance import Covariance

    means, degrees = anchor.class_means(), int(anchor.degrees[0])
    within = Covariance(anchor.roots(), degrees, rest=float(anchor.rest[0]))
    centre = means.mean(axis=0)
    factor = _HEAD_FACTOR * reliability(means, within) ** 2
    rows = factor * within.times_precision(means - centre, own_share(degrees, HEAD_SHARE))
    bias = -0.5 * (rows * (means + centre)).sum(axis=1)
    levels, scales = quantise_rows(rows)
    return {"head": levels, "head_scales": scales, "head_bias": bias.astype(np.float32)}
