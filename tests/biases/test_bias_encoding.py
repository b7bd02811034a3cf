"""Each encoding of biases changes them within its bound."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from teachmesh.biases.bias_encoding import EncodedBiases, encode_biases
from teachmesh.biases.bias_layout import BiasLayer, BiasLayout
from teachmesh.errors import BackboneError

LAYOUT = BiasLayout((BiasLayer("a", 4, 30), BiasLayer("b", 6, 20), BiasLayer("c", 5, 10)), 1)
GENERATOR = torch.Generator().manual_seed(0)
VALUES = torch.randn(11, generator=GENERATOR)
DEVIATIONS = torch.rand(11, generator=GENERATOR) * 10 + 0.01


def decoded(kind: str, values: torch.Tensor = VALUES) -> torch.Tensor:
    """Encode and decode biases."""
    return encode_biases(values, LAYOUT, DEVIATIONS, kind).decode(LAYOUT, DEVIATIONS)  # type: ignore[arg-type]


def test_float32_is_exact_and_float16_is_rounded_to_it() -> None:
    """Float16 saturates where numbers exceed its range."""
    assert torch.equal(decoded("fp32"), VALUES)
    assert torch.equal(decoded("fp16"), VALUES.half().float())
    assert torch.isfinite(decoded("fp16", VALUES * 1e6)).all()


def test_int8_is_within_half_a_level_of_each_layer() -> None:
    """A level is the largest bias of the layer in deviations / 127, times the own deviation."""
    error = (decoded("int8") - VALUES).abs() / DEVIATIONS
    for part in LAYOUT.slices:
        level = (VALUES[part] / DEVIATIONS[part]).abs().max() / 127
        assert (error[part] <= 0.5001 * level).all()


@pytest.mark.parametrize(("kind", "size_bytes"), [("fp32", 44), ("fp16", 22), ("int8", 11 + 8)])
def test_sizes_are_what_the_arrays_take(kind: str, size_bytes: int) -> None:
    """The example has 11 biases in two layers."""
    encoded = encode_biases(VALUES, LAYOUT, DEVIATIONS, kind)  # type: ignore[arg-type]
    assert encoded.size_bytes == size_bytes


def test_a_layer_of_zeros_stays_zero() -> None:
    """Its scale is positive nevertheless, as the format requires."""
    values = VALUES.clone()
    values[LAYOUT.slices[0]] = 0
    encoded = encode_biases(values, LAYOUT, DEVIATIONS, "int8")
    assert encoded.scales is not None
    assert (encoded.scales > 0).all()
    assert torch.equal(encoded.decode(LAYOUT, DEVIATIONS)[:6], torch.zeros(6))


def test_biases_of_another_network_are_refused() -> None:
    """The number of biases or of scales differs."""
    with pytest.raises(BackboneError, match="expected 11 biases"):
        EncodedBiases("fp32", np.zeros(3, np.float32), None).decode(LAYOUT, DEVIATIONS)
    with pytest.raises(BackboneError, match="expected 2 scales"):
        EncodedBiases("int8", np.zeros(11, np.int8), np.ones(3, np.float32)).decode(
            LAYOUT, DEVIATIONS
        )
