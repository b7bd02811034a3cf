"""The task anchor: a small summary of one task in latent space, sent as part of its skill."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeVar

import numpy as np

AnchorType = TypeVar("AnchorType", bound="TaskAnchor")

DTYPES = {"F32": np.float32, "F16": np.float16, "I8": np.int8, "U8": np.uint8}
DTYPES |= {"U16": np.uint16, "U32": np.uint32}
"""Types of the tensors of anchors, by their safetensors name."""


@dataclass(frozen=True)
class TensorSpec:
    """Type and shape of a tensor in a skill file.

    Attributes:
        dtype: safetensors name of the type: "F32", "F16", "I8", "U8", "U16" or "U32".
        shape: sizes as numbers or letters. Each letter has one value within an anchor: number of
            classes C, latent size D, and numbers of clusters K, directions R and samples S.
    """

    dtype: str
    shape: tuple[int | str, ...]


class TaskAnchor(ABC):
    """Summary of one task in latent space, as an immutable set of named arrays.

    Invariant: `type(a).from_tensors(a.tensors(), a.n_classes)` has the same tensors as `a`.
    """

    kind: ClassVar[str]
    latent: ClassVar[Literal["last", "multi"]]
    tensor_specs: ClassVar[Mapping[str, TensorSpec]]

    @property
    @abstractmethod
    def n_classes(self) -> int:
        """Number of classes, C."""

    @property
    @abstractmethod
    def dim(self) -> int:
        """Latent size, D."""

    def tensors(self) -> dict[str, np.ndarray]:
        """Return the arrays that are sent, by name."""
        return {name: getattr(self, name) for name in self.tensor_specs}

    @classmethod
    @abstractmethod
    def from_tensors(
        cls: type[AnchorType], tensors: Mapping[str, np.ndarray], n_classes: int
    ) -> AnchorType:
        """Build an anchor from received arrays.

        Raises:
            ValueError: a name, type, shape or value is invalid.
        """


def check_tensors(
    specs: Mapping[str, TensorSpec], tensors: Mapping[str, np.ndarray], n_classes: int
) -> None:
    """Check arrays against their specifications.

    Raises:
        ValueError: a name, type or shape is wrong, an array is empty, or a number is not finite.
    """
    if set(tensors) != set(specs):
        raise ValueError(f"expected tensors {sorted(specs)}, got {sorted(tensors)}")
    sizes: dict[str, int] = {"C": n_classes}
    for name, spec in specs.items():
        array = tensors[name]
        if array.dtype != DTYPES[spec.dtype] or array.ndim != len(spec.shape):
            raise ValueError(
                f"tensor {name!r}: expected {spec.dtype} of {len(spec.shape)} axes, got "
                f"{array.dtype} of {array.ndim}"
            )
        for letter, size in zip(spec.shape, array.shape, strict=True):
            expected = letter if isinstance(letter, int) else sizes.setdefault(str(letter), size)
            if size != expected or size == 0:
                raise ValueError(f"tensor {name!r}: expected {letter} = {expected}, got {size}")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError(f"expected finite numbers in tensor {name!r}, got NaN or infinity")


def check_latents(latents: np.ndarray, dim: int | None = None) -> None:
    """Check that latents are a finite (N, D) array with at least one image.

    Raises:
        ValueError: the array is empty or not (N, D), D is not `dim`, or a number is not finite.
    """
    if latents.ndim != 2 or latents.size == 0:
        raise ValueError(f"expected latents (N, D) of at least one image, got {latents.shape}")
    if dim is not None and latents.shape[1] != dim:
        raise ValueError(
            f"expected latents of size {dim}, got {latents.shape[1]}; they were made with another "
            "backbone, embed the images again"
        )
    if not np.isfinite(latents).all():
        raise ValueError("expected finite latents, got NaN or infinity; embed the images again")


def check_labels(labels: np.ndarray, n_images: int, n_classes: int) -> None:
    """Check that every image has a valid label and every class has an image.

    Raises:
        ValueError: the numbers of labels and images differ, a label is not a valid class index, or
            a class has no image.
    """
    if labels.shape != (n_images,):
        raise ValueError(f"expected {n_images} labels, one per image, got shape {labels.shape}")
    if labels.min() < 0 or labels.max() >= n_classes:
        raise ValueError(f"expected labels from 0 to {n_classes - 1}, got {labels.max()}")
    missing = int((np.bincount(labels, minlength=n_classes) == 0).sum())
    if missing:
        raise ValueError(
            f"expected at least one image of each of {n_classes} classes, {missing} have none; "
            "leave those classes out"
        )
