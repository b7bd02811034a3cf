"""The fixed reference of multi-depth latents: scale, projection, metric and background.

All agents must use exactly the same numbers, but eigenvectors differ in the last bits from machine
to machine. The reference is therefore a *file*, named by its hash, that travels with the backbone.
It is never computed again on another machine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
import torch

from teachmesh.data.tensor_file import read_tensors, write_tensors
from teachmesh.errors import BackboneError
from teachmesh.mapping.metric import Metric

SCHEMA = "teachmesh.reference/2"
_OLD_SCHEMA = b"teachmesh.reference/1"
_METRIC = "metric."
DEFAULT_DIM = 1024
"""Default number of multi-depth latents, D, unless the taps have fewer channels."""
MAX_BYTES = 256 << 20
_HEADER_BYTES = 4096
_RELATIVE_FLOOR = 1e-3
_NO_VARIANCE = 1e-10
_LEVELS = 127


@dataclass(frozen=True, eq=False)
class Reference:
    """Scale and projection that turn raw taps into multi-depth latents, and the latents' metric.

    For every r, `Reference.from_bytes(r.to_bytes())` has the same arrays, bytes and id as r.

    Attributes:
        scale: (C,) float32 array with a divisor for each channel of the concatenated taps.
        projection: (C, D) float32 matrix whose columns are orthonormal up to rounding. Its values
            are exact in float16 or, if `steps` is given, integer multiples of these.
        metric: metric and background of the latents.
        steps: (D,) float32 rounding steps, one per column, if the file stores the projection as
            int8; None if it stores float16.

    Raises:
        ValueError: the shapes, types or values are invalid.
    """

    scale: np.ndarray
    projection: np.ndarray
    metric: Metric
    steps: np.ndarray | None = None

    def __post_init__(self) -> None:
        scale, projection = self.scale, self.projection
        if scale.dtype != np.float32 or projection.dtype != np.float32:
            raise ValueError("its numbers are not of the expected type")
        if scale.ndim != 1 or projection.ndim != 2 or len(projection) != len(scale):
            raise ValueError("its shapes do not fit")
        if not 0 < projection.shape[1] <= len(scale):
            raise ValueError("it has no column, or more columns than channels")
        if not (np.isfinite(projection).all() and np.isfinite(scale).all() and (scale > 0).all()):
            raise ValueError("its numbers are not finite and positive")
        if self.metric.dim != projection.shape[1]:
            raise ValueError("its metric belongs to latents of another size")
        if self.steps is not None:
            _check_steps(self.steps, projection)

    @property
    def dim(self) -> int:
        """Number of multi-depth latents, D."""
        return int(self.projection.shape[1])

    @cached_property
    def id(self) -> str:
        """SHA-256 of the file's bytes, as 64 hex digits."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    def apply(self, taps: Sequence[torch.Tensor]) -> torch.Tensor:
        """Turn raw taps into multi-depth latents; see `project`.

        Args:
            taps: raw taps, (N, C_i) float32 each, where the C_i sum to C.

        Returns:
            (N, D) float32 latents.

        Raises:
            BackboneError: the total number of channels is not C.
        """
        found = sum(tap.shape[1] for tap in taps)
        if found != len(self.scale):
            raise BackboneError(
                f"expected taps of {len(self.scale)} channels in all, got {found}; the reference "
                "belongs to another backbone"
            )
        device = taps[0].device
        scale = torch.from_numpy(self.scale).to(device)
        return project(taps, scale, torch.from_numpy(self.projection).to(device))

    def to_bytes(self) -> bytes:
        """Serialise the reference; equal references give equal bytes on every machine."""
        stored: dict[str, np.ndarray] = {"scale": self.scale}
        if self.steps is None:
            stored["projection"] = self.projection.astype(np.float16)
        else:
            stored["levels"] = np.rint(self.projection / self.steps).astype(np.int8)
            stored["steps"] = self.steps
        stored |= {f"{_METRIC}{f.name}": getattr(self.metric, f.name) for f in fields(Metric)}
        return write_tensors({"schema": SCHEMA}, stored)

    @classmethod
    def from_bytes(cls, data: bytes) -> Reference:
        """Read a reference file.

        Raises:
            BackboneError: the data is damaged or has another format.
        """
        try:
            if len(data) > MAX_BYTES:
                raise ValueError(f"it is larger than {MAX_BYTES >> 20} MiB")
            if _OLD_SCHEMA in data[:_HEADER_BYTES]:
                raise ValueError("it has no metric, because an earlier version made it")
            document, tensors = read_tensors(data, SCHEMA)
            names = {field.name: f"{_METRIC}{field.name}" for field in fields(Metric)}
            if set(document) != {"schema"} or not set(names.values()) <= set(tensors):
                raise ValueError("it holds something else")
            metric = Metric(**{name: tensors.pop(stored) for name, stored in names.items()})
            if set(tensors) == {"scale", "levels", "steps"}:
                return cls(tensors["scale"], _multiples(tensors), metric, tensors["steps"])
            if set(tensors) != {"scale", "projection"}:
                raise ValueError("it holds something else")
            if tensors["projection"].dtype != np.float16:
                raise ValueError("its projection is not float16")
            return cls(tensors["scale"], tensors["projection"].astype(np.float32), metric)
        except ValueError as error:
            raise BackboneError(
                f"expected a reference file of a backbone, but {error}; add the backbone again, or "
                "get it from an agent that has it (`teachmesh backbone export`)"
            ) from error


def project(
    taps: Sequence[torch.Tensor], scale: torch.Tensor, projection: torch.Tensor
) -> torch.Tensor:
    """Compute latents from taps: scale, take signed square roots, normalise, project.

    The square root is a power transform that makes pooled activations more Gaussian. The result is
    **not** centred here, because the task mappers do that.

    Args:
        taps: raw taps, (N, C_i) float32 each, where the C_i sum to C.
        scale: (C,) float32 divisors.
        projection: (C, D) float32 projection.

    Returns:
        (N, D) float32 latents.
    """
    x = torch.cat(list(taps), dim=1) / scale  # (N, C)
    x = torch.nn.functional.normalize(torch.sign(x) * torch.sqrt(x.abs()), dim=1)
    return x @ projection


def fit_projection(
    taps: Sequence[np.ndarray],
    dim: int = DEFAULT_DIM,
    *,
    weights: Sequence[float] | None = None,
    quantise: bool = False,
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Fit scale and projection to the taps of reference images.

    The scale is the standard deviation of each channel, divided by the square of its tap's weight.
    The square root therefore multiplies the transformed channels of a tap by its weight.

    The projection consists of the principal components of the transformed taps, computed as
    eigenvectors of their float64 covariance. The entry of largest magnitude in each eigenvector is
    made positive. The projection is rounded to float16, as in the file. N images have variance in
    fewer than N components, so seeded random directions complete the basis.

    Args:
        taps: taps of the reference images, (N, C_i) float arrays, N at least 2.
        dim: number of multi-depth latents, D; lowered if the taps have fewer channels.
        weights: positive factor of each transformed tap; by default 1.
        quantise: True to round the projection to int8, which halves the size of the file. Latents
            then change by about 2 %, identically for all agents.

    Returns:
        Scale, projection and the steps of the rounding to int8, as `Reference` stores them.

    Raises:
        ValueError: there are fewer than 2 images, `dim` is below 1, or activations are not finite.
    """
    joined = np.concatenate(taps, axis=1).astype(np.float64)  # (N, C)
    if len(joined) < 2 or dim < 1:
        raise ValueError(f"expected 2 reference images and dim >= 1, got {len(joined)} and {dim}")
    if not np.isfinite(joined).all():
        raise ValueError("the network's activations are not finite")
    scale = joined.std(axis=0)
    # A channel that is zero on all reference images must not become huge on other images.
    scale = np.maximum(scale, _RELATIVE_FLOOR * max(float(np.median(scale)), 1e-12))
    if weights is not None:
        scale /= np.repeat(np.square(weights), [tap.shape[1] for tap in taps])
    x = joined / scale
    x = np.sign(x) * np.sqrt(np.abs(x))
    x /= np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    basis = _principal(torch.from_numpy(x - x.mean(axis=0)), min(dim, x.shape[1]))
    scale = scale.astype(np.float32)
    if quantise:
        return scale, *_quantised(basis.astype(np.float32))
    rounded = basis.astype(np.float16).astype(np.float32)
    return scale, np.ascontiguousarray(rounded), None


def _quantised(projection: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Round a projection to multiples of (D,) steps; return both."""
    steps = np.maximum(np.abs(projection).max(axis=0), 1e-12) / _LEVELS
    steps = steps.astype(np.float32)
    # Float32 division may round the largest entry of a column up to the next level.
    levels = np.clip(np.rint(projection / steps), -_LEVELS, _LEVELS)
    return levels.astype(np.float32) * steps, steps


def _check_steps(steps: np.ndarray, projection: np.ndarray) -> None:
    if steps.dtype != np.float32 or steps.shape != projection.shape[1:]:
        raise ValueError("its steps do not fit")
    if not (np.isfinite(steps).all() and (steps > 0).all()):
        raise ValueError("its steps are not finite and positive")
    levels = np.rint(projection / steps)
    if np.abs(levels).max() > _LEVELS or not np.array_equal(levels * steps, projection):
        raise ValueError("its projection is not a multiple of its steps")


def _multiples(tensors: Mapping[str, np.ndarray]) -> np.ndarray:
    levels, steps = tensors["levels"], tensors["steps"]
    if levels.dtype != np.int8 or levels.ndim != 2 or steps.shape != levels.shape[1:]:
        raise ValueError("its levels do not fit")
    return np.asarray(levels.astype(np.float32) * steps)


def _principal(centred: torch.Tensor, dim: int) -> np.ndarray:
    """Return (C, dim) leading eigenvectors of a covariance, plus random ones if too few exist."""
    if len(centred) < centred.shape[1]:
        # The smaller matrix gives the same eigenvectors, with eighty times less work for 1,024
        # images and 4,528 channels.
        values, small = torch.linalg.eigh(centred @ centred.T)  # (N,), (N, N)
        kept = values > _NO_VARIANCE * values[-1]
        vectors = centred.T @ (small[:, kept] / values[kept].sqrt())  # (C, at most N - 1)
    else:
        _, vectors = torch.linalg.eigh(centred.T @ centred)  # (C, C)
    leading = vectors.flip(1)[:, :dim]
    if leading.shape[1] < dim:
        leading = _completed(leading, dim)
    largest = leading.abs().argmax(dim=0)
    signs = torch.sign(leading[largest, torch.arange(dim)])
    return np.asarray((leading * signs).numpy())


def _completed(basis: torch.Tensor, dim: int) -> torch.Tensor:
    """Append seeded random columns to `basis`, up to (C, dim) orthonormal columns."""
    generator = torch.Generator().manual_seed(0)
    size = (len(basis), dim - basis.shape[1])
    rest = torch.randn(size, generator=generator, dtype=torch.float64)
    rest, _ = torch.linalg.qr(rest - basis @ (basis.T @ rest))
    # Done twice: the first pass leaves rounding errors if `rest` lies almost in the basis.
    rest, _ = torch.linalg.qr(rest - basis @ (basis.T @ rest))
    return torch.cat([basis, rest], dim=1)
