"""The reference of multi-depth latents: a file named by its hash."""

from __future__ import annotations

import dataclasses
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
from teachmesh.mapping.metric import Metric
from teachmesh.model.reference import SCHEMA, Reference, fit_projection
from tests.model.nets import reference_of, tiny_reference

GOLDEN = "b90875747c32d534b72a74459db6a846848166e01724bc11a5e4197763530fe2"


def plain_metric(dim: int) -> Metric:
    """Build a metric of numbers that are equal on every machine."""
    directions = (np.eye(2, dim) * [[127], [-5]]).astype(np.int8)
    ramp = np.arange(1, dim + 1, dtype=np.float32)
    return Metric(ramp / 8, directions, ramp[:2], ramp / 4, directions[:1], ramp[:1])


def plain_reference() -> Reference:
    """Build a reference of numbers that are equal on every machine."""
    scale = np.arange(1, 6, dtype=np.float32)
    return Reference(scale, np.eye(5, 3, dtype=np.float32), plain_metric(3))


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
    for field in dataclasses.fields(Metric):
        found, expected = (getattr(r.metric, field.name) for r in (again, reference))
        np.testing.assert_array_equal(found, expected)
        assert found.dtype == expected.dtype
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
        "metric.centre": "float32",
        "metric.directions": "int8",
        "metric.variances": "float32",
        "metric.rest": "float32",
        "metric.background": "int8",
        "metric.spreads": "float32",
    }


@pytest.mark.parametrize("n", [12, 300])
def test_the_projection_is_that_of_the_principal_components(n: int) -> None:
    """Singular vectors of the centred, transformed taps are the oracle, for few and many images."""
    taps = some_taps(n)
    scale, projection, steps = fit_projection(taps, dim=6)
    x = transformed(taps, scale)
    _, _, rows = np.linalg.svd(x - x.mean(axis=0))
    expected = rows[:6].T * np.sign(rows[:6].T[np.abs(rows[:6]).argmax(axis=1), range(6)])
    np.testing.assert_allclose(projection, expected, atol=1e-3)  # float16
    assert steps is None


def test_the_weight_of_a_tap_multiplies_its_transformed_channels() -> None:
    """The oracle weights the roots before normalisation; the weight is part of the scale."""
    taps, factors = some_taps(300), np.repeat([1.0, 0.35], [8, 12])
    plain = fit_projection(taps, dim=6)[0]
    scale, projection, _ = fit_projection(taps, dim=6, weights=[1, 0.35])
    x = np.sqrt(np.concatenate(taps, axis=1) / plain) * factors
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    np.testing.assert_allclose(transformed(taps, scale), x, rtol=1e-6)
    _, _, rows = np.linalg.svd(x - x.mean(axis=0))
    np.testing.assert_allclose(np.abs(projection), np.abs(rows[:6].T), atol=1e-3)  # float16


def test_applying_a_reference_follows_the_formula() -> None:
    """The oracle divides, takes the signed root, normalises and projects, without centring."""
    taps = some_taps(30)
    taps[0][3] *= -1
    reference = reference_of(taps, dim=5)
    found = reference.apply([torch.from_numpy(tap).float() for tap in taps]).numpy()
    expected = transformed(taps, reference.scale) @ reference.projection
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize(("n", "dim"), [(8, 20), (300, 20), (8, 5000)])
def test_columns_are_orthonormal_even_beyond_the_number_of_images(n: int, dim: int) -> None:
    """Fewer images than dimensions give a complete basis without repeated or empty columns."""
    projection = fit_projection(some_taps(n), dim)[1].astype(np.float64)
    assert projection.shape == (20, 20)
    np.testing.assert_allclose(projection.T @ projection, np.eye(20), atol=3e-3)
    largest = np.abs(projection).argmax(axis=0)
    assert (projection[largest, range(20)] > 0).all()


def test_a_channel_that_never_fired_does_not_explode() -> None:
    """Its scale is a small share of the usual scale, not zero."""
    reference = reference_of(some_taps(50), dim=6)
    assert 0 < reference.scale[4] < np.median(reference.scale) / 100
    latents = reference.apply([torch.ones(1, 20)])
    assert torch.isfinite(latents).all()


def test_fitting_twice_gives_the_same_file() -> None:
    """The fit has no randomness."""
    assert reference_of(some_taps(9), 12).id == reference_of(some_taps(9), 12).id


def test_too_few_or_infinite_activations_are_refused() -> None:
    """The message names the first problem."""
    with pytest.raises(ValueError, match="expected 2 reference images"):
        fit_projection([np.ones((1, 4))])
    with pytest.raises(ValueError, match="not finite"):
        fit_projection([np.array([[1.0, np.inf], [2.0, 3.0]])])


def test_taps_of_another_network_are_refused() -> None:
    """The message has the expected number of channels."""
    with pytest.raises(BackboneError, match="12 channels in all, got 11"):
        tiny_reference().apply([torch.zeros(1, 11)])


def _metric_tensors(dim: int) -> dict[str, np.ndarray]:
    metric = plain_metric(dim)
    return {f"metric.{f.name}": getattr(metric, f.name) for f in dataclasses.fields(Metric)}


def _file(
    scale: np.ndarray, projection: np.ndarray, schema: str = SCHEMA, **changes: np.ndarray
) -> bytes:
    metric = _metric_tensors(2) | {f"metric.{name}": array for name, array in changes.items()}
    return write_tensors({"schema": schema}, {"scale": scale, "projection": projection, **metric})


_ONES = np.ones(3, np.float32)
_EYE = np.eye(3, 2).astype(np.float16)
_GOOD = _file(_ONES, _EYE)
_STATED = json.dumps({"schema": SCHEMA}, separators=(",", ":"))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello, this is no reference at all",
        _GOOD[:-1],
        _GOOD + b"\0",
        _GOOD[:40],
        (9999).to_bytes(8, "little") + _GOOD[8:],
        _file(_ONES, _EYE, "teachmesh.reference/3"),
        _file(np.full(3, np.float32("nan")), _EYE),
        _file(_ONES * 0, _EYE),
        _file(_ONES, np.full((3, 2), np.float16("inf"))),
        _file(_ONES, _EYE.astype(np.float32)),
        _file(np.ones(4, np.float32), _EYE),
        _file(_ONES, np.zeros((3, 0), np.float16)),
        _file(_ONES, np.zeros((3, 4), np.float16)),
        _file(_ONES.astype(np.float16), _EYE),
        save({"scale": _ONES, "projection": _EYE}, metadata={"other": "key"}),
        save({"scale": _ONES, **_metric_tensors(2)}, metadata={"teachmesh": _STATED}),
        save({"scale": _ONES, "projection": _EYE}, metadata={"teachmesh": _STATED}),
        (200_000).to_bytes(8, "little") + b"[" * 200_000,
        (2).to_bytes(8, "little") + b"[]",
    ],
    ids=range(20),
)
def test_other_data_is_refused_with_a_sentence(data: bytes) -> None:
    """Any other bytes raise a BackboneError with a remedy."""
    with pytest.raises(BackboneError, match="expected a reference file of a backbone, but"):
        Reference.from_bytes(data)


def test_the_same_numbers_in_another_order_of_bytes_are_refused(tmp_path: Path) -> None:
    """Every content has one file; otherwise one reference could have many names."""
    path = tmp_path / "r"
    metadata = {"teachmesh": json.dumps({"schema": SCHEMA})}  # with a space
    tensors = {"scale": _ONES, "projection": _EYE, **_metric_tensors(2)}
    save_file(tensors, str(path), metadata=metadata)
    with pytest.raises(BackboneError, match="canonical form"):
        Reference.from_bytes(path.read_bytes())
    assert Reference.from_bytes(_GOOD).dim == 2


def test_a_file_of_schema_1_is_refused_with_its_remedy() -> None:
    """It has no metric; one sentence gives the reason and the command."""
    tensors = {"scale": _ONES, "projection": _EYE}
    old = write_tensors({"schema": "teachmesh.reference/1"}, tensors)
    with pytest.raises(BackboneError) as refusal:
        Reference.from_bytes(old)
    assert str(refusal.value) == (
        "expected a reference file of a backbone, but it has no metric, because an earlier version "
        "made it; add the backbone again, or get it from an agent that has it (`teachmesh backbone "
        "export`)"
    )


_NAN = np.array([np.nan, 1], np.float32)
_NEGATIVE = np.array([-1, 1], np.float32)
_TWO = np.ones(2, np.float32)
DAMAGED_METRICS: dict[str, tuple[dict[str, np.ndarray], str]] = {
    "another size": (
        {
            "centre": _ONES,
            "rest": _ONES,
            "directions": np.ones((2, 3), np.int8),
            "background": np.ones((1, 3), np.int8),
        },
        "latents of another size",
    ),
    "a number instead of a centre": ({"centre": np.ones((), np.float32)}, "shapes do not fit"),
    "a table instead of a centre": ({"centre": np.ones((2, 2), np.float32)}, "shapes do not fit"),
    "a centre of bytes": ({"centre": np.ones(2, np.int8)}, "shapes do not fit"),
    "a longer rest": ({"rest": _ONES}, "shapes do not fit"),
    "fewer variances": ({"variances": _TWO[:1]}, "directions do not fit"),
    "float directions": ({"directions": np.eye(2, dtype=np.float32)}, "directions do not fit"),
    "longer directions": ({"directions": np.ones((2, 3), np.int8)}, "directions do not fit"),
    "an empty direction": ({"directions": np.eye(2, 2, 1).astype(np.int8)}, "length zero"),
    "a level beyond 127": ({"background": np.full((1, 2), -128, np.int8)}, "length zero"),
    "a centre that is no number": ({"centre": _NAN}, "not finite"),
    "infinite spreads": ({"spreads": np.array([np.inf], np.float32)}, "not finite"),
    "a negative variance": ({"variances": _NEGATIVE}, "negative variance, or none"),
    "a negative rest": ({"rest": _NEGATIVE}, "negative variance, or none"),
    "a negative spread": ({"spreads": _NEGATIVE[:1]}, "negative variance, or none"),
    "no variance": ({"variances": 0 * _TWO, "rest": 0 * _TWO}, "negative variance, or none"),
}


@pytest.mark.parametrize("kind", DAMAGED_METRICS)
def test_a_damaged_metric_is_refused(kind: str) -> None:
    """The sentence names the fault and the remedy."""
    changes, words = DAMAGED_METRICS[kind]
    with pytest.raises(BackboneError, match=f"but .*{words}; add the backbone again"):
        Reference.from_bytes(_file(_ONES, _EYE, **changes))


def test_a_reference_needs_a_metric_of_its_own_size() -> None:
    """The constructor checks it too, so that no such file is written."""
    with pytest.raises(ValueError, match="latents of another size"):
        dataclasses.replace(plain_reference(), metric=plain_metric(4))


def test_a_quantised_reference_survives_its_file_bit_for_bit() -> None:
    """Levels and steps restore the projection, and its entries are within half a step."""
    taps = some_taps(300)
    scale, fine, _ = fit_projection(taps, 7)
    same_scale, rough, steps = fit_projection(taps, 7, quantise=True)
    assert steps is not None
    np.testing.assert_array_equal(scale, same_scale)
    rounded = Reference(scale, rough, plain_metric(7), steps)
    again = Reference.from_bytes(rounded.to_bytes())
    assert np.array_equal(again.projection, rough)
    whole = Reference(scale, fine, plain_metric(7))
    assert again.id == rounded.id != whole.id
    # The finer projection is itself rounded to float16.
    assert (np.abs(rough - fine) <= 0.5001 * steps + 2**-11 * np.abs(fine) + 2**-24).all()
    assert len(rounded.to_bytes()) < len(whole.to_bytes())


def test_levels_without_fitting_steps_are_refused() -> None:
    """Two columns and three steps give one sentence instead of a broadcast."""
    tensors = {
        "scale": np.ones(4, np.float32),
        "levels": np.ones((4, 2), np.int8),
        "steps": np.ones(3, np.float32),
        **_metric_tensors(2),
    }
    with pytest.raises(BackboneError, match="levels do not fit"):
        Reference.from_bytes(write_tensors({"schema": SCHEMA}, tensors))
