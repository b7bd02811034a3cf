"""Encode biases for a skill as float32, float16, or int8 with one scale per layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
import torch

from teachmesh.biases.bias_layout import BiasLayout
from teachmesh.errors import BackboneError

Kind = Literal["fp32", "fp16", "int8"]
LEVELS = 127
_LARGEST = float(np.finfo(np.float16).max)


@dataclass(frozen=True, eq=False)
class EncodedBiases:
    """Biases of one task in a compact number type.

    Attributes:
        kind: number type, "fp32", "fp16" or "int8".
        values: array of B biases in this type. An int8 value times the scale of its layer is a
            bias in units of the standard deviation of the following batch norm. The
            deviations vary by orders of magnitude within a layer, so rounding is relative to them.
        scales: float32 array with one scale per layer for int8, otherwise None.
    """

    kind: str
    values: np.ndarray[Any, Any]
    scales: np.ndarray[Any, Any] | None

    @property
    def size_bytes(self) -> int:
        """Total size of values and scales in bytes."""
        return self.values.nbytes + (0 if self.scales is None else self.scales.nbytes)

    def decode(self, layout: BiasLayout, deviations: torch.Tensor) -> torch.Tensor:
        """Return the B biases as float32 in the paper's units (added before the batch norm).

        Args:
            layout: the biased layers.
            deviations: (B,) standard deviations from `BeneficialBiases.deviations`.

        Raises:
            BackboneError: the number of biases or scales does not match the layout.
        """
        if self.values.shape != (layout.total,):
            raise BackboneError(
                f"expected {layout.total} biases, got {len(self.values)}; they belong to another "
                "backbone or to other layers"
            )
        values = torch.from_numpy(self.values.astype(np.float32))
        if self.scales is None:
            return values
        if self.scales.shape != (len(layout.chosen),):
            raise BackboneError(f"expected {len(layout.chosen)} scales, got {len(self.scales)}")
        scales = torch.from_numpy(np.array(self.scales, dtype=np.float32))
        return values * scales.repeat_interleave(torch.tensor(layout.channels)) * deviations.cpu()


def encode_biases(
    values: torch.Tensor, layout: BiasLayout, deviations: torch.Tensor, kind: Kind
) -> EncodedBiases:
    """Round biases to a compact number type.

    Args:
        values: (B,) biases in the paper's units.
        layout: the biased layers.
        deviations: (B,) standard deviations from `BeneficialBiases.deviations`.
        kind: number type, "fp32", "fp16" or "int8".
    """
    values = values.detach().float().cpu()
    if kind == "fp32":
        return EncodedBiases(kind, values.numpy(), None)
    if kind == "fp16":
        return EncodedBiases(kind, values.clamp(-_LARGEST, _LARGEST).half().numpy(), None)
    scaled = values / deviations.cpu()
    peaks = torch.stack([scaled[part].abs().max() for part in layout.slices])
    # The scale is positive even if all biases of a layer are zero, because 0 / 0 is NaN.
    scales = (peaks / LEVELS).clamp(min=float(np.finfo(np.float32).tiny))
    levels = scaled / scales.repeat_interleave(torch.tensor(layout.channels))
    rounded = cast("np.ndarray[Any, Any]", levels.round().clamp(-LEVELS, LEVELS).numpy())
    return EncodedBiases(kind, rounded.astype(np.int8), scales.numpy())
