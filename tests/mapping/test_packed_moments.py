"""Class moments with few bits per number, compared with the moments that they were made from."""

from __future__ import annotations

import numpy as np
import pytest

from teachmesh.mapping.anchor_kinds import MomentsAnchor
from teachmesh.mapping.bit_planes import from_planes, rounding_error, to_planes
from teachmesh.mapping.discriminant import TaskDensity
from teachmesh.mapping.error_feedback import Inputs
from teachmesh.mapping.fusion import log_softmax
from teachmesh.mapping.moments import MomentsMapper
from teachmesh.mapping.packed_moments import (
    MAX_ERROR,
    HeadlessMoments,
    PackedMoments,
    Packing,
    moments_layout,
    pack_moments,
)
from tests.mapping.latents import DIM, make_moments, make_sample, sample_metric

SAMPLE = make_sample(1, n_classes=4, per_class=40)
ANCHOR = make_moments(SAMPLE)
POINTS = sample_metric().apply(SAMPLE.latents)


def rounded(rows: np.ndarray, bits: int, inputs: Inputs | None = None) -> np.ndarray:
    """Return rows that were written with some bits and read again."""
    planes, scales = to_planes(rows, bits, inputs)
    return from_planes(planes, len(rows)) * scales[:, None].astype(np.float64)


def read_again(packing: Packing) -> MomentsAnchor:
    """Return the anchor after a way through a packed file."""
    written = pack_moments(ANCHOR, packing)
    layout = moments_layout(list(written.tensors()))
    found = layout.from_tensors(written.tensors(), ANCHOR.n_classes)
    assert isinstance(found, HeadlessMoments)
    return found.unpacked()


def right(anchor: MomentsAnchor) -> float:
    """Return the share of images with the right class."""
    scores = POINTS @ anchor.head_rows().T + anchor.head_bias
    return float((scores.argmax(axis=1) == SAMPLE.labels).mean())


@pytest.mark.parametrize(("bits", "lost"), [(1, 0.3634), (2, 0.1188), (3, 0.0374), (4, 0.0115)])
def test_rounding_loses_what_the_best_scale_must_lose(bits: int, lost: float) -> None:
    """Oracle: Max (1960), Table II, for Gaussian numbers; also the error that a reader expects."""
    rows = np.random.default_rng(bits).normal(size=(8, 4096))
    again = rounded(rows, bits)
    errors = ((again - rows) ** 2).sum(axis=1)
    assert errors / 4096 == pytest.approx(np.full(8, lost), rel=0.12)
    assert rounding_error(again, 8 * bits) == pytest.approx(errors, rel=0.15)


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_rows_with_a_few_large_numbers_are_not_cut_off(bits: int) -> None:
    """Heads have such rows. Oracle: the least error of 300 uniform steps, written out."""
    rows = np.random.default_rng(0).standard_t(2.5, size=(6, 1024))
    errors = ((rounded(rows, bits) - rows) ** 2).sum(axis=1)
    steps = np.geomspace(0.1, 5, 300)[:, None, None] * rows.std(axis=1, keepdims=True)
    levels = 2 * np.clip(np.floor(rows / steps) + 2 ** (bits - 1), 0, 2**bits - 1) - 2**bits + 1
    least = ((levels * steps / 2 - rows) ** 2).sum(axis=2).min(axis=0)
    assert (errors < 1.05 * least).all()


@pytest.mark.parametrize("bits", [1, 2, 3, 4])
def test_rounded_rows_are_rounded_to_themselves(bits: int) -> None:
    """Levels that are read can be written again, with the same signs and order."""
    planes = np.random.default_rng(0).integers(0, 256, (3 * bits, 5)).astype(np.uint8)
    levels = from_planes(planes, 3)
    assert np.abs(levels).max() <= 2**bits - 1
    assert (levels % 2 == 1).all()
    again = rounded(levels.astype(float), bits)
    assert (np.sign(again) == np.sign(levels)).all()


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_error_feedback_keeps_products_instead_of_numbers(bits: int) -> None:
    """Products with correlated inputs change less, although the numbers change more.

    With independent inputs of equal variance, each number gets its nearest level.
    """
    random = np.random.default_rng(0)
    rows, roots = random.normal(size=(5, 64)), 3 * random.normal(size=(8, 64))
    plain, fed = rounded(rows, bits), rounded(rows, bits, Inputs(roots, 1.0))
    moments = roots.T @ roots + np.eye(64)
    one, other = (((r - rows) @ moments * (r - rows)).sum() for r in (plain, fed))
    assert other < 0.6 * one
    assert ((fed - rows) ** 2).sum() > ((plain - rows) ** 2).sum()
    assert np.array_equal(rounded(rows, bits, Inputs(np.zeros((1, 64)), 2.0)), plain)


def test_zero_rows_stay_small() -> None:
    """Equal class means differ from their centre by nothing."""
    assert np.abs(rounded(np.zeros((2, 16)), 2)).max() < 1e-30


@pytest.mark.parametrize("count", [0, 1, 4, 15])
def test_planes_that_do_not_fit_the_rows_are_refused(count: int) -> None:
    """Three rows have 3, 6, 9 or 12 planes."""
    with pytest.raises(ValueError, match="1 to 4 bit planes for each of 3 rows"):
        from_planes(np.zeros((count, 2), np.uint8), 3)


def test_four_bits_change_hardly_a_score() -> None:
    """Scores of classes and of the task, in units of their spread over images."""
    small = read_again(Packing(4, 6, 4))
    points = POINTS
    for one, other in (
        (
            log_softmax(points @ ANCHOR.head_rows().T + ANCHOR.head_bias),
            log_softmax(points @ small.head_rows().T + small.head_bias),
        ),
    ):
        assert np.abs(one - other).mean() < 0.2 * one.std()
    assert right(small) >= right(ANCHOR) - 0.02


@pytest.mark.parametrize("packing", [Packing(2, 6, 2), Packing(1, 4, 2), Packing(2, 3, 0)])
def test_few_bits_keep_the_classes(packing: Packing) -> None:
    """Also without a head, which is then derived from means and covariance."""
    small = read_again(packing)
    assert right(small) >= right(ANCHOR) - 0.06
    assert len(small.directions) == packing.rank
    assert small.spread() == pytest.approx(ANCHOR.spread(), rel=1e-4)


def test_rounding_does_not_make_a_task_less_likely() -> None:
    """Otherwise small skills would lose their images to large ones."""
    import torch

    z = torch.from_numpy(POINTS)
    small = read_again(Packing(3, 6, 2))
    assert small.errors is not None
    full, corrected = (TaskDensity.of(a.moments()).evidence(z).mean() for a in (ANCHOR, small))
    plain = TaskDensity.of(MomentsAnchor(**small.tensors()).moments()).evidence(z).mean()
    assert abs(corrected - full) < 0.5 * abs(plain - full)


def test_a_skill_cannot_claim_a_large_rounding_error() -> None:
    """The claim is limited, because it makes a task more likely."""
    tensors = pack_moments(ANCHOR, Packing(1, 2, 0)).tensors()
    tensors["mean_scales"] = np.full(4, 1.0, np.float32)
    found = HeadlessMoments.from_tensors(tensors, 4).unpacked()
    assert found.errors is not None
    assert found.errors.tolist() == [MAX_ERROR * DIM] * 4


def _with(name: str, array: np.ndarray) -> dict[str, np.ndarray]:
    return {**pack_moments(ANCHOR, Packing(2, 4, 2)).tensors(), name: array}


@pytest.mark.parametrize(
    ("tensors", "reason"),
    [
        (_with("mean_planes", np.zeros((9, 3), np.uint8)), "bit planes for each of 4 rows"),
        (_with("mean_planes", np.zeros((20, 3), np.uint8)), "bit planes for each of 4 rows"),
        (_with("direction_planes", np.zeros((3, 3), np.uint8)), "bit planes for each of 4 rows"),
        (_with("head_planes", np.zeros((2, 3), np.uint8)), "bit planes for each of 4 rows"),
        (_with("centre", np.zeros(16, np.int8)), "planes of D / 8 = 2 bytes, got 3"),
        (_with("centre_scale", np.array([-1], np.float32)), "'centre_scale' between 0 and 1"),
        (_with("centre_scale", np.array([np.nan], np.float32)), "finite"),
        (_with("mean_scales", np.full(4, np.inf, np.float32)), "finite"),
        (_with("mean_scales", np.full(4, 1e6, np.float32)), "'mean_scales' between 0 and 1"),
        (_with("head_scales", np.zeros(4, np.float32)), "'head_scales' between 0 and 1000"),
        (_with("variances", np.full(4, -1, np.float32)), "variances of at least 0"),
        (_with("rest", np.full(1, 1e5, np.float32)), "mean variance of at most 16"),
        (_with("variances", np.zeros(0, np.float32)), "expected R ="),
        (_with("other", np.zeros(1, np.float32)), "expected tensors"),
    ],
)
def test_hostile_tensors_are_refused(tensors: dict[str, np.ndarray], reason: str) -> None:
    """Every rule for class moments also holds for packed ones."""
    with pytest.raises(ValueError, match=reason):
        PackedMoments.from_tensors(tensors, 4).unpacked()


def test_a_small_file_does_not_become_large_in_memory() -> None:
    """One bit per number must not let a file of 16 MiB fill a gigabyte."""
    planes = np.zeros((10_000, 256), np.uint8)  # 2.5 MB as planes, 20 million numbers
    tensors = {
        **pack_moments(ANCHOR, Packing(1, 1, 0)).tensors(),
        "centre": np.zeros(2048, np.int8),
        "mean_planes": planes,
        "mean_scales": np.ones(10_000, np.float32),
        "direction_planes": planes[:2],
    }
    with pytest.raises(ValueError, match="numbers in an unpacked tensor"):
        HeadlessMoments.from_tensors(tensors, 10_000)


def test_a_bank_of_mixed_sizes_finds_the_right_tasks() -> None:
    """Skills of few bits neither lose images to large ones nor take theirs."""
    samples = [make_sample(20 + seed) for seed in range(6)]
    latents = np.concatenate([sample.latents for sample in samples])
    truth = np.repeat(np.arange(6), len(samples[0].labels))
    found = []
    for packings in ([None] * 6, [None, Packing(2, 6, 2)] * 3, [Packing(1, 4, 2), None] * 3):
        mapper = MomentsMapper(sample_metric())
        for task, (sample, packing) in enumerate(zip(samples, packings, strict=True)):
            anchor = make_moments(sample)
            mapper.add(str(task), pack_moments(anchor, packing).unpacked() if packing else anchor)
        mapped = mapper.score(latents).task.argmax(axis=1) == truth
        found.append([mapped[truth == task].mean() for task in range(6)])
    full, *mixed = np.array(found)
    assert full.mean() > 0.97
    assert all((one >= full - 0.06).all() for one in mixed)
