"""The search for the best tasks compared with float64, and the bound on errors of float32."""

from __future__ import annotations

import dataclasses
from functools import cache

import numpy as np
import pytest
import torch

from teachmesh.mapping import moments_scan
from teachmesh.mapping.discriminant import TaskDensity
from teachmesh.mapping.moments_scan import DensityBlocks, padded
from tests.mapping.banks import DIM, METRIC, questions, random_anchor


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of few slots, two blocks in memory, and portions of few points."""
    monkeypatch.setattr(moments_scan, "BLOCK_ROWS", 60)
    monkeypatch.setattr(moments_scan, "BLOCKS_IN_MEMORY", 2)
    monkeypatch.setattr(moments_scan, "POINTS", 7)


@cache
def density(seed: int, size: float = 1.0) -> TaskDensity:
    """Return the density of a random task."""
    return TaskDensity.of(random_anchor(seed, size=size).moments())


def filled(densities: dict[str, TaskDensity], seed: int = 0) -> DensityBlocks:
    """Return blocks after adds and removals in random order; some slots are used again."""
    random, blocks = np.random.default_rng(seed), DensityBlocks()
    present: set[str] = set()
    for _ in range(4 * len(densities)):
        key = str(random.choice(list(densities)))
        if key in present:
            blocks.remove(key)
            present.remove(key)
        else:
            blocks.add(key, densities[key])
            present.add(key)
    for key in sorted(set(densities) - present):
        blocks.add(key, densities[key])
    return blocks


def exact(densities: dict[str, TaskDensity], z: torch.Tensor) -> dict[str, np.ndarray]:
    """Return (N,) evidence of each task in float64."""
    return {key: task.scores(z).amax(dim=1).numpy() for key, task in densities.items()}


def exact_best(evidence: dict[str, np.ndarray], i: int, count: int) -> set[str]:
    """Return the tasks whose evidence is not below that of the last of the best."""
    last = sorted((values[i] for values in evidence.values()), reverse=True)[:count][-1]
    return {key for key, values in evidence.items() if values[i] >= last}


def points(size: float, count: int = 20) -> torch.Tensor:
    """Return (count, DIM) float64 points that float32 cannot represent."""
    return torch.from_numpy(METRIC.apply(questions(count, seed=3, size=size)) * np.float64(1.1))


def near_ties(count: int) -> dict[str, TaskDensity]:
    """Return copies of one task whose offsets differ by less than float32 can tell."""
    task = density(0, size=30)
    return {
        f"{n:03}": dataclasses.replace(task, offsets=task.offsets + 1e-9 * ((37 * n) % count))
        for n in range(count)
    }


def bank(kind: str, size: float) -> dict[str, TaskDensity]:
    """Return a bank of 70 to 90 tasks."""
    if kind == "near ties":
        return near_ties(70)
    if kind == "copies":
        return {f"t{n}": density(n % 20, size) for n in range(70)}
    densities = {f"t{n}": density(n, size) for n in range(70)}
    if kind == "poisoned":
        densities |= {f"x{n}": density(n, size=25) for n in range(20)}
    return densities


@cache
def bank_and_evidence(
    kind: str, size: float
) -> tuple[dict[str, TaskDensity], torch.Tensor, dict[str, np.ndarray]]:
    """Return a bank, points of the same size and their exact evidence; the same for every count."""
    densities, z = bank(kind, size), points(size)
    return densities, z, exact(densities, z)


@pytest.mark.parametrize("count", [1, 3, 8, 200])
@pytest.mark.parametrize("size", [1e-3, 1.0, 30.0])
@pytest.mark.parametrize("kind", ["random", "near ties", "copies", "poisoned"])
def test_exactly_the_best_tasks_and_their_equals_are_found(
    kind: str, size: float, count: int
) -> None:
    """Tasks of all sizes, padded and mapped blocks, slots that were used before."""
    densities, z, evidence = bank_and_evidence(kind, size)
    found = filled(densities).best(z, count)
    assert len(found) == len(z)
    for i, keys in enumerate(found):
        assert len(keys) == len(set(keys))
        assert set(keys) == exact_best(evidence, i, count)


@pytest.mark.parametrize("kind", ["near ties", "copies"])
def test_the_result_does_not_depend_on_the_order_of_tasks(kind: str) -> None:
    """Slots, blocks and portions of points do not matter."""
    densities, z = bank(kind, 1.0), points(1.0, count=15)
    expected = [set(keys) for keys in filled(densities).best(z, 5)]
    for seed in range(1, 4):
        blocks = filled(densities, seed)
        assert [set(keys) for keys in blocks.best(z, 5)] == expected
        assert [set(blocks.best(point[None], 5)[0]) for point in z] == expected


@pytest.mark.parametrize("size", [1e-3, 1.0, 30.0, 1e4])
@pytest.mark.parametrize("task_size", [1e-3, 1.0, 25.0])
def test_the_error_of_float32_is_below_its_bound(size: float, task_size: float) -> None:
    """The bound is also useful: below a thousandth of the largest term."""
    densities = {f"t{n}": density(n, task_size) for n in range(70)}
    blocks, z = filled(densities), points(size, count=7)
    scores, errors, keys = blocks._scan(z)
    evidence = exact(densities, z)
    assert sorted(keys) == sorted(densities)
    for row, key in enumerate(keys):
        error = np.abs(scores[row].numpy() - evidence[key])
        # The float64 oracle itself has an error of a few units in its last place.
        slack = 1e-13 * (1 + np.abs(evidence[key]) + (z * z).sum(1).numpy())
        assert (error <= errors[row].numpy() + slack).all()
    task = densities["t0"]
    largest = (np.abs(task.offsets).max() + np.linalg.norm(task.rows) * z.norm(dim=1)).numpy()
    largest += (z * z).sum(1).numpy()
    assert (errors[keys.index("t0")].numpy() < 1e-3 * largest.max()).all()


@pytest.mark.parametrize("seed", range(20))
def test_errors_as_large_as_their_bounds_change_nothing(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rule of selection alone, with the worst errors that the bounds allow."""
    random = np.random.default_rng(seed)
    truth, errors = random.normal(size=(50, 5)), random.uniform(0, 1, (50, 5)) ** 4
    truth[7], truth[11] = truth[9], truth[9]
    scores = truth + random.choice([-1, 1], errors.shape) * errors
    keys = [f"t{n}" for n in range(50)]
    given = torch.from_numpy(scores), torch.from_numpy(1.0001 * errors), keys
    blocks = DensityBlocks()
    monkeypatch.setattr(blocks, "_scan", lambda _: given)
    monkeypatch.setattr(
        blocks, "evidence", lambda key, z: torch.tensor([truth[keys.index(key), int(z[0, 0])]])
    )
    z = torch.arange(5.0).double()[:, None].expand(5, DIM)
    evidence = {key: truth[t] for t, key in enumerate(keys)}
    for i, found in enumerate(blocks.best(z, 8)):
        assert set(found) == exact_best(evidence, i, 8)


def test_few_comparisons_in_float64_are_left_for_well_separated_tasks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Otherwise the search in float32 would save nothing."""
    blocks, z = filled({f"t{n}": density(n) for n in range(100)}), points(1.0)
    compared, evidence = [], blocks.evidence

    def counted(key: str, point: torch.Tensor) -> torch.Tensor:
        compared.append(key)
        return evidence(key, point)

    monkeypatch.setattr(blocks, "evidence", counted)
    blocks.best(z, 8)
    assert len(compared) < len(z)


def test_the_cast_to_float32_is_covered_by_the_bound() -> None:
    """Cancellation between large terms is where float32 loses most."""
    task = density(1, size=25)
    blocks = DensityBlocks()
    blocks.add("a", task)
    nearest = torch.from_numpy(random_anchor(1, size=25).class_means())
    scores, errors, _ = blocks._scan(nearest)
    exactly = task.scores(nearest).amax(dim=1)
    assert (torch.abs(scores[0] - exactly) <= errors[0]).all()
    assert (errors[0] > 0).all()


def test_densities_keep_their_bytes_in_every_block() -> None:
    """Also after other tasks moved in and out, and in blocks mapped from a file."""
    densities = {f"t{n}": density(n) for n in range(80)}
    blocks, z = filled(densities), points(1.0)
    assert any(isinstance(block.matrices.base, np.memmap) for block in blocks._blocks)
    for key, expected in densities.items():
        found, n_classes, n_axes = blocks.density(key), len(expected.offsets), len(expected.axes)
        assert found.rows[:n_classes].tobytes() == expected.rows.tobytes()
        assert found.axes[:n_axes].tobytes() == expected.axes.tobytes()
        assert found.offsets[:n_classes].tobytes() == expected.offsets.tobytes()
        assert found.precision == expected.precision
        # The padding has no effect.
        assert not found.axes[n_axes:].any()
        assert (found.offsets[n_classes:] == -np.inf).all()
        evidence = blocks.evidence(key, z)
        np.testing.assert_allclose(evidence, expected.scores(z).amax(1), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dim", [16, 17, 99])
def test_equal_tasks_have_equal_bits_in_every_slot(dim: int) -> None:
    """The alignment of a slot in memory depends on D, and could change how products are rounded."""
    random = np.random.default_rng(0)
    rows, offsets = random.normal(size=(9, dim)).astype(np.float32), random.normal(size=6)
    blocks, z = DensityBlocks(), torch.from_numpy(random.normal(size=(10, dim)))
    for n in range(30):
        blocks.add(str(n), TaskDensity(rows, offsets, 0.9))
    for i, point in enumerate(z.float()):
        square = float(z[i] @ z[i])
        places = [blocks.density(str(n)) for n in range(30)]
        assert len({place.evidence_in_float32(point, square) for place in places}) == 1
        again = point.clone()
        assert places[0].evidence_in_float32(again, square) == (
            places[1].evidence_in_float32(point, square)
        )
        assert len({float(blocks.evidence(str(n), z[i : i + 1])[0]) for n in range(30)}) == 1


def test_freed_slots_are_used_again() -> None:
    """The memory does not grow when skills come and go."""
    densities = {f"t{n}": density(n) for n in range(30)}
    blocks = filled(densities)
    before = len(blocks._blocks)
    for _ in range(5):
        for key, task in densities.items():
            blocks.remove(key)
            blocks.add(key, task)
    assert len(blocks._blocks) == before


def test_padded_sizes_waste_at_most_half() -> None:
    """Tasks of similar sizes share a block."""
    for count in range(1, 2000):
        assert count <= padded(count) <= max(1.5 * count, 1)
        assert padded(padded(count)) == padded(count)


def test_tasks_without_directions_of_their_own_are_found() -> None:
    """A task without degrees of freedom has axes that are nearly zero, or none."""
    anchor = dataclasses.replace(random_anchor(2), degrees=np.zeros(1, np.uint32))
    bare = TaskDensity.of(anchor.moments())
    empty = dataclasses.replace(bare, matrix=bare.rows)
    blocks = filled({"a": bare, "b": empty, "c": density(3)})
    z = points(1.0)
    evidence = exact({"a": bare, "b": empty}, z)
    np.testing.assert_allclose(evidence["a"], evidence["b"], rtol=1e-9)
    assert all(set(found) == {"a", "b", "c"} for found in blocks.best(z, 3))
    assert all(len(found) == 1 for found in filled({"b": empty, "c": density(3)}).best(z, 1))
