"""Confirmation of names by looks, on random class means."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from teachmesh.reuse.matching import confirmed
from teachmesh.reuse.visual_similarity import compare, confirm

DIM = 400
"""About the size of real latents; with fewer dimensions, more pairs look alike by chance."""
DRAWS = 200


def rate(event: Callable[[np.random.Generator], bool]) -> float:
    """Return how often an event happens in random draws."""
    return float(np.mean([event(np.random.default_rng(seed)) for seed in range(DRAWS)]))


def two_views(random: np.random.Generator, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (C, D) means of the same classes in two styles."""
    looks = random.normal(size=(n_classes, DIM))
    one, other = (looks + 0.7 * random.normal(size=looks.shape) for _ in range(2))
    return one + 3 * random.normal(size=DIM), other


@pytest.mark.parametrize(("a", "b"), [(2, 2), (2, 3), (3, 3), (2, 10), (4, 4), (6, 6), (10, 10)])
def test_one_equal_name_of_unrelated_tasks_is_seldom_confirmed(a: int, b: int) -> None:
    """With two by two classes every contrast is +1 or -1, so contrast alone passes half of them."""

    def happens(random: np.random.Generator) -> bool:
        one, other = random.normal(size=(a, DIM)), random.normal(size=(b, DIM))
        return bool(confirm([(0, 0)], compare(one, other, np.eye(DIM))))

    assert rate(happens) <= 0.08


@pytest.mark.parametrize("n_classes", [2, 3, 4, 7])
def test_the_same_classes_are_confirmed(n_classes: int) -> None:
    """All pairs are confirmed, whatever the number of classes."""
    named = [(i, i) for i in range(n_classes)]
    for seed in range(20):
        one, other = two_views(np.random.default_rng(seed), n_classes)
        assert confirm(named, compare(one, other, np.eye(DIM))) == named


def test_a_homonym_among_six_true_matches_is_dropped() -> None:
    """The six true matches stay in almost every draw."""
    named = [(i, i) for i in range(7)]

    def six_stay(random: np.random.Generator) -> bool:
        one, other = two_views(random, 7)
        other[6] = random.normal(size=DIM)
        return confirm(named, compare(one, other, np.eye(DIM))) == named[:6]

    assert rate(six_stay) >= 0.9


def test_no_names_give_no_confirmed_pairs() -> None:
    """An empty list causes no warning about the mean of an empty array."""
    one, other = two_views(np.random.default_rng(0), 3)
    assert confirm([], compare(one, other, np.eye(DIM))) == []


def test_similarities_without_confirmation_become_zero() -> None:
    """One class of many becomes zero; if none is confirmed, all do."""
    one, other = two_views(np.random.default_rng(0), 7)
    unrelated = np.random.default_rng(1).normal(size=one.shape)
    names = np.full((7, 7), 0.5) + 0.5 * np.eye(7)
    seen = confirmed(names, compare(one, other, np.eye(DIM)), 0.9)
    np.testing.assert_array_equal(seen, names)
    other[6] = unrelated[6]
    expected = names.copy()
    expected[6, 6] = 0.0
    seen = confirmed(names, compare(one, other, np.eye(DIM)), 0.9)
    np.testing.assert_array_equal(seen, expected)
    assert not confirmed(names, compare(one, unrelated, np.eye(DIM)), 0.9).any()
