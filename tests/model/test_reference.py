"""The reference of multi-depth latents: a file named by its hash."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load, save, save_file

from teachmesh.data.tensor_file import write_tensors
from teachmesh.errors import BackboneError
from teachmesh.model.reference import SCHEMA, Reference, fit_reference
from tests.model.nets import tiny_reference

GOLDEN = "fecab86f82974cc4334f57b91f6ad0b77f4dac727ee1944c64534d49e4ec5c24"


def plain_reference() -> Reference:
    """Build a reference of numbers that are equal on every machine."""
    return Reference(np.arange(1, 6, dtype=np.float32), np.eye(5, 3, dtype=np.float32))


def some_taps(n: int) -> list[np.ndarray]:
    """Draw skewed activations with unequal channels and one silent channel."""
    rng = np.random.default_rng(3)
    taps = rng.gamma(0.7, rng.uniform(0.1, 9, 20), (n, 20))
    taps[:, 4] = 0
    return [taps[:, :8], taps[:, 8:]]


def transformed(taps: list[np.ndarray], scale: np.ndarray) -> np.ndarray:
    """Apply the formula image by image and channel by channel."""
    rows = []
    for row in np.concatenate(taps, axis=1):
        powered = [math.copysign(abs(v / s) ** 0.5, v) for v, s in zip(row, scale, strict=True)]
        length = math.sqrt(sum(v * v for v in powered))
        rows.append([v / length for v in powered])
    return np.array(rows)


def test_a_reference_is_its_file() -> None:
    """decode(encode(r)) has the arrays, bytes and id of r; the id is the hash of the file."""
    reference = tiny_reference()
    data = reference.to_bytes()
    again = Reference.from_bytes(data)
    np.testing.assert_array_equal(again.scale, reference.scale)
    np.testing.assert_array_equal(again.projection, reference.projection)
    assert again.to_bytes() == data
    assert again.id == reference.id == hashlib.sha256(data).hexdigest()


def test_the_bytes_of_a_reference_never_change() -> None:
    """A golden hash keeps fingerprints stable across versions."""
    assert plain_reference().id == GOLDEN


def test_any_tool_that_knows_safetensors_reads_a_reference() -> None:
    """References are plain safetensors files."""
    tensors = load(tiny_reference().to_bytes())
    assert {name: array.dtype.name for name, array in tensors.items()} == {
        "scale": "float32",
        "projection": "float16",
    }


@pytest.mark.parametrize("n", [12, 300])
def test_the_projection_is_that_of_the_principal_components(n: int) -> None:
    """Singular vectors of the centred, transformed taps are the oracle, for few and many images."""
    taps = some_taps(n)
    reference = fit_reference(taps, dim=6)
    x = transformed(taps, reference.scale)
    _, _, rows = np.linalg.svd(x - x.mean(axis=0))
    expected = rows[:6].T * np.sign(rows[:6].T[np.abs(rows[:6]).argmax(axis=1), range(6)])
    np.testing.assert_allclose(reference.projection, expected, atol=1e-3)  # float16


def test_applying_a_reference_follows_the_formula() -> None:
    """The oracle divides, takes the signed root, normalises and projects, without centring."""
    taps = some_taps(30)
    taps[0][3] *= -1
    reference = fit_reference(taps, dim=5)
    found = reference.apply([torch.from_numpy(tap).float() for tap in taps]).numpy()
    expected = transformed(taps, reference.scale) @ reference.projection
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize(("n", "dim"), [(8, 20), (300, 20), (8, 5000)])
def test_columns_are_orthonormal_even_beyond_the_number_of_images(n: int, dim: int) -> None:
    """Fewer images than dimensions give a complete basis without repeated or empty columns."""
    projection = fit_reference(some_taps(n), dim).projection.astype(np.float64)
    assert projection.shape == (20, 20)
    np.testing.assert_allclose(projection.T @ projection, np.eye(20), atol=3e-3)
    largest = np.abs(projection).argmax(axis=0)
    assert (projection[largest, range(20)] > 0).all()


def test_a_channel_that_never_fired_does_not_explode() -> None:
    """Its scale is a small share of the usual scale, not zero."""
    reference = fit_reference(some_taps(50), dim=6)
    assert 0 < reference.scale[4] < np.median(reference.scale) / 100
    latents = reference.apply([torch.ones(1, 20)])
    assert torch.isfinite(latents).all()


def test_fitting_twice_gives_the_same_file() -> None:
    """The fit has no randomness."""
    assert fit_reference(some_taps(9), 12).id == fit_reference(some_taps(9), 12).id


def test_too_few_or_infinite_activations_are_refused() -> None:
    """The message names the first problem."""
    with pytest.raises(ValueError, match="expected 2 reference images"):
        fit_reference([np.ones((1, 4))])
    with pytest.raises(ValueError, match="not finite"):
        fit_reference([np.array([[1.0, np.inf], [2.0, 3.0]])])


def test_taps_of_another_network_are_refused() -> None:
    """The message has the expected number of channels."""
    with pytest.raises(BackboneError, match="12 channels in all, got 11"):
        tiny_reference().apply([torch.zeros(1, 11)])


def _file(
    scale: np.ndarray, projection: np.ndarray, schema: str = "teachmesh.reference/1"
) -> bytes:
    return write_tensors({"schema": schema}, {"scale": scale, "projection": projection})


_ONES = np.ones(3, np.float32)
_EYE = np.eye(3, 2).astype(np.float16)
_GOOD = _file(_ONES, _EYE)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello, this is no reference at all",
        _GOOD[:-1],
        _GOOD + b"\0",
        _GOOD[:40],
        (9999).to_bytes(8, "little") + _GOOD[8:],
        _file(_ONES, _EYE, "teachmesh.reference/2"),
        _file(np.full(3, np.float32("nan")), _EYE),
        _file(_ONES * 0, _EYE),
        _file(_ONES, np.full((3, 2), np.float16("inf"))),
        _file(_ONES, _EYE.astype(np.float32)),
        _file(np.ones(4, np.float32), _EYE),
        _file(_ONES, np.zeros((3, 0), np.float16)),
        _file(_ONES, np.zeros((3, 4), np.float16)),
        _file(_ONES.astype(np.float16), _EYE),
        save({"scale": _ONES, "projection": _EYE}, metadata={"other": "key"}),
        save({"scale": _ONES}, metadata={"teachmesh": '{"schema":"teachmesh.reference/1"}'}),
        (200_000).to_bytes(8, "little") + b"[" * 200_000,
        (2).to_bytes(8, "little") + b"[]",
    ],
    ids=range(19),
)
def test_other_data_is_refused_with_a_sentence(data: bytes) -> None:
    """Any other bytes raise a BackboneError with a remedy."""
    with pytest.raises(BackboneError, match="expected a reference file of a backbone, but"):
        Reference.from_bytes(data)


def test_the_same_numbers_in_another_order_of_bytes_are_refused(tmp_path: Path) -> None:
    """Every content has one file; otherwise one reference could have many names."""
    path = tmp_path / "r"
    metadata = {"teachmesh": json.dumps({"schema": "teachmesh.reference/1"})}  # with a space
    save_file({"scale": _ONES, "projection": _EYE}, str(path), metadata=metadata)
    with pytest.raises(BackboneError, match="canonical form"):
        Reference.from_bytes(path.read_bytes())
    assert Reference.from_bytes(_GOOD).dim == 2


def test_a_quantised_reference_survives_its_file_bit_for_bit() -> None:
    """Levels and steps restore the projection, and its entries are within half a step."""
    rng = np.random.default_rng(0)
    fine = Reference(
        np.ones(50, np.float32), rng.normal(size=(50, 7)).astype(np.float16).astype(np.float32)
    )
    rounded = fine.quantised()
    again = Reference.from_bytes(rounded.to_bytes())
    assert np.array_equal(again.projection, rounded.projection)
    assert again.id == rounded.id != fine.id
    assert rounded.steps is not None
    assert (np.abs(rounded.projection - fine.projection) <= 0.5001 * rounded.steps).all()
    assert len(rounded.to_bytes()) < len(fine.to_bytes())


def test_levels_without_fitting_steps_are_refused() -> None:
    """Two columns and three steps give one sentence instead of a broadcast."""
    tensors = {
        "scale": np.ones(4, np.float32),
        "levels": np.ones((4, 2), np.int8),
        "steps": np.ones(3, np.float32),
    }
    with pytest.raises(BackboneError, match="levels do not fit"):
        Reference.from_bytes(write_tensors({"schema": SCHEMA}, tensors))
