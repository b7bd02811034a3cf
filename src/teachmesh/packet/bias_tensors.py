"""The tensors of beneficial biases in a skill: the biases and their head.

- `biases.values`: the B biases, F32, F16 or I8.
- `biases.scales`: for I8 biases, one F32 scale per layer.
- `biased.weight`, `biased.scales`, `biased.bias`: the head, (C, D) I8, (C,) F32 and (C,) F32.

The card and the backbone determine the layers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from teachmesh.errors import SkillRefused
from teachmesh.mapping.quantise import dequantise_rows, quantise_rows
from teachmesh.model.head import Head
from teachmesh.packet.bias_card import BiasCard
from teachmesh.packet.limits import Limits

VALUES = "biases.values"
SCALES = "biases.scales"
WEIGHT = "biased.weight"
WEIGHT_SCALES = "biased.scales"
BIAS = "biased.bias"
_KINDS = {"F32": "fp32", "F16": "fp16", "I8": "int8"}

Array = np.ndarray[Any, Any]
Shapes = Mapping[str, tuple[str, tuple[int, ...]]]
"""Tensor name -> (dtype, shape), as the header of a skill lists them."""


@dataclass(frozen=True, eq=False)
class SkillBiases:
    """Beneficial biases of one task, as stored in a skill.

    Attributes:
        values: array of the B biases in float32, float16 or int8.
        scales: float32 array with the size of one int8 step for each layer; None for float biases.
        weight: (C, D) int8 array of the weights of the head that reads the biased network.
        weight_scales: (C,) float32 array with the size of one int8 step for each row of `weight`.
        bias: (C,) float32 array of the biases of the head.
    """

    values: Array
    scales: Array | None
    weight: Array
    weight_scales: Array
    bias: Array

    @classmethod
    def of(cls, values: Array, scales: Array | None, head: Head) -> SkillBiases:
        """Combine encoded biases with a head, which is quantised to int8."""
        weight, weight_scales = quantise_rows(head.weight)
        return cls(values, scales, weight, weight_scales, head.bias.astype(np.float32))

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Array]) -> SkillBiases | None:
        """Return the biases among a skill's tensors, or None if there are none."""
        if VALUES not in tensors:
            return None
        parts = [tensors.get(n) for n in (VALUES, SCALES, WEIGHT, WEIGHT_SCALES, BIAS)]
        return cls(*parts)  # type: ignore[arg-type]

    @property
    def kind(self) -> str:
        """Encoding of the biases: "fp32", "fp16" or "int8"."""
        return {np.dtype("f4"): "fp32", np.dtype("f2"): "fp16"}.get(self.values.dtype, "int8")

    def head(self) -> Head:
        """Return the head in float32."""
        weight = dequantise_rows(self.weight, self.weight_scales).astype(np.float32)
        return Head(weight, np.array(self.bias))

    def tensors(self) -> dict[str, Array]:
        """Return the arrays to store in the skill, by name."""
        found = {VALUES: self.values, WEIGHT: self.weight, BIAS: self.bias}
        found[WEIGHT_SCALES] = self.weight_scales
        return found if self.scales is None else {**found, SCALES: self.scales}


def bias_tensor_names(card: BiasCard | None, shapes: Shapes) -> set[str]:
    """Return the names of the bias tensors that a skill must have, given its card section."""
    if card is None or not card.kept:
        return set()
    names = {VALUES, WEIGHT, WEIGHT_SCALES, BIAS}
    return names | {SCALES} if shapes.get(VALUES, ("", ()))[0] == "I8" else names


def check_bias_shapes(
    card: BiasCard,
    shapes: Shapes,
    n_classes: int,
    latent_sizes: Mapping[str, int],
    limits: Limits,
) -> None:
    """Check the dtypes and shapes of bias tensors; the caller has checked the names.

    Args:
        card: card section of biases that were kept.
        shapes: dtype and shape of each tensor, by name.
        n_classes: number of classes, C.
        latent_sizes: latent size D of each kind of latents ("last", "multi") that an anchor uses.
        limits: maximum sizes.

    Raises:
        SkillRefused: SCHEMA for a wrong dtype or shape, LIMIT for a size above its bound.
    """
    dtype, shape = shapes[VALUES]
    if dtype not in _KINDS or shape != (card.floats,):
        raise SkillRefused("SCHEMA", f"expected {card.floats} biases in F32, F16 or I8")
    if len(shapes[WEIGHT][1]) != 2:
        raise SkillRefused("SCHEMA", f"expected {WEIGHT!r} of two dimensions")
    size = shapes[WEIGHT][1][1]
    expected = {
        WEIGHT: ("I8", (n_classes, latent_sizes.get(card.features, size))),
        WEIGHT_SCALES: ("F32", (n_classes,)),
        BIAS: ("F32", (n_classes,)),
    }
    if SCALES in shapes:
        expected[SCALES] = ("F32", (card.layers,))
    for name, wanted in expected.items():
        if shapes[name] != wanted:
            raise SkillRefused("SCHEMA", f"expected {name!r} as {wanted}, got {shapes[name]}")
    if size > limits.latent_size:
        raise SkillRefused("LIMIT", f"expected D <= {limits.latent_size} in {WEIGHT!r}, got {size}")


def check_bias_values(tensors: Mapping[str, Array]) -> None:
    """Check that scales are positive; the caller has checked that floats are finite.

    Raises:
        SkillRefused: VALUE for a scale that is not positive.
    """
    for name in (SCALES, WEIGHT_SCALES):
        if name in tensors and not bool((tensors[name] > 0).all()):
            raise SkillRefused("VALUE", f"expected positive numbers in {name!r}")
