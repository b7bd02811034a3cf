"""Sums of latents are exact, so that they do not depend on how a task grew."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from teachmesh.mapping.task_sums import STEPS_PER_UNIT, TaskSums, fixed_point

N_CLASSES, DIM = 4, 7
seeds = st.integers(0, 2**32 - 1)


def draw(seed: int, n_images: int = 30) -> tuple[np.ndarray, np.ndarray]:
    """Return latents close to the largest possible size, and their labels."""
    random = np.random.default_rng(seed)
    latents = random.uniform(-1.9999, 1.9999, (n_images, DIM)).astype(np.float32)
    return latents, random.integers(0, N_CLASSES, n_images)


def sums(latents: np.ndarray, labels: np.ndarray) -> TaskSums:
    """Return the sums of four classes."""
    return TaskSums.of(latents, labels, N_CLASSES)


def equal(one: TaskSums, other: TaskSums) -> bool:
    """Return whether all three arrays are equal."""
    names = ("counts", "sums", "products")
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in names)


def test_sums_equal_those_of_python_integers() -> None:
    """Python's integers are exact at any size."""
    latents, labels = draw(0)
    rows = [[round(float(x) * STEPS_PER_UNIT) for x in row] for row in latents.astype(float)]
    found = sums(latents, labels)
    for c in range(N_CLASSES):
        own = [row for row, label in zip(rows, labels, strict=True) if label == c]
        assert found.counts[c] == len(own)
        assert found.sums[c].tolist() == [sum(row[j] for row in own) for j in range(DIM)]
    for i in range(DIM):
        expected = [sum(row[i] * row[j] for row in rows) for j in range(DIM)]
        assert found.products[i].tolist() == expected


@given(seeds, st.integers(1, 29), st.booleans())
def test_sums_do_not_depend_on_order_or_parts(seed: int, cut: int, strided: bool) -> None:
    """Two parts of a shuffled task add up to the whole, and either can be taken back."""
    latents, labels = draw(seed)
    whole = sums(latents, labels)
    order = np.random.default_rng(seed).permutation(len(labels))
    x, y = latents[order], labels[order]
    x = np.asfortranarray(x) if strided else x
    one, other = sums(x[:cut], y[:cut]), sums(x[cut:], y[cut:])
    assert equal(one.plus(other), whole)
    assert equal(other.plus(one), whole)
    assert equal(whole.minus(one), other)


@given(seeds, st.permutations(range(6)))
def test_classes_added_later_equal_classes_known_before(seed: int, places: list[int]) -> None:
    """Renumbering the classes and adding empty ones commutes with the sums."""
    latents, labels = draw(seed)
    where = np.array(places[:N_CLASSES])
    renamed = TaskSums.of(latents, where[labels], 6)
    assert equal(sums(latents, labels).with_classes(where, 6), renamed)


def test_products_of_many_images_are_exact() -> None:
    """More images than one matrix product takes, all with the largest possible latent."""
    latents = np.full((9000, 2), (2**15 - 1) / STEPS_PER_UNIT, dtype=np.float32)
    found = TaskSums.of(latents, np.zeros(9000, dtype=np.int64), 1)
    assert (found.products == 9000 * (2**15 - 1) ** 2).all()


@pytest.mark.parametrize("latent", [2.0, -2.0, 7.0, np.nan, np.inf])
def test_a_latent_out_of_range_is_an_error(latent: float) -> None:
    """No latent is clipped silently."""
    with pytest.raises(ValueError, match="expected"):
        fixed_point(np.array([[0.1, latent]], dtype=np.float32))


def test_sums_that_do_not_fit_are_refused() -> None:
    """Labels, classes and images that were never added."""
    latents, labels = draw(1)
    whole = sums(latents, labels)
    with pytest.raises(ValueError, match="labels from 0 to 3"):
        TaskSums.of(latents, labels + 1, N_CLASSES)
    with pytest.raises(ValueError, match="4 classes and latent size 7, got 5 and 7"):
        whole.plus(whole.with_classes(np.arange(4), 5))
    with pytest.raises(ValueError, match="more of one class"):
        whole.minus(whole.plus(whole))
    with pytest.raises(ValueError, match="another new index"):
        whole.with_classes(np.array([0, 1, 1, 2]), 4)
    with pytest.raises(ValueError, match="below 4"):
        whole.with_classes(np.array([0, 1, 2, 4]), 4)
