"""Heads combined from rows of old heads, without an image."""

from __future__ import annotations

import numpy as np
import pytest

from teachmesh.mapping.anchor_kinds import MahaAnchor
from teachmesh.model.head import Head, OldClasses, combine_heads, merge_rows
from teachmesh.model.head_training import fit_head
from teachmesh.reuse.combined_anchors import assemble, combine_samples
from tests.reuse.test_moments_transfer import CLASSES, old_task, sample
from tests.reuse.test_source_skills import headed

NO_VALIDATION = (np.zeros((0, 48), dtype=np.float32), np.zeros(0, dtype=np.int64))


@pytest.mark.parametrize("p", [np.inf, 2.0])
def test_a_head_from_rows_of_two_heads_is_far_above_chance_without_an_image(p: float) -> None:
    """Three rows come from one old task and three from a task of another style."""
    heads = [
        fit_head(*sample(seed, 100), *NO_VALIDATION, CLASSES, max_epochs=30).head for seed in (1, 2)
    ]
    head = combine_heads(heads, [[0, 1, 2], [3, 4, 5]], p)
    lengths = np.linalg.norm(head.weight, ord=p, axis=1)
    np.testing.assert_allclose(lengths, 1.0, rtol=1e-6)
    x, labels = sample(1, 40)
    assert np.mean(head.logits(x).argmax(1) == labels) > 2 / CLASSES


def test_a_class_of_several_parents_has_the_mean_of_their_divided_rows() -> None:
    """By hand: rows (3, -4) and (0, 2) divided by 4 and 2, times the mean norm of 3."""
    first = Head(np.array([[3.0, -4.0]]), np.array([8.0]))
    second = Head(np.array([[9.0, 9.0], [0.0, 2.0]]), np.array([1.0, 4.0]))
    parts = [
        OldClasses(first, np.array([0]), np.array([0])),
        OldClasses(second, np.array([1]), np.array([0])),
    ]
    head = merge_rows(parts, 1, np.inf)
    np.testing.assert_allclose(head.weight, [[3 * 0.375, 0.0]], atol=1e-6)
    np.testing.assert_allclose(head.bias, [3 * 2.0])
    plain = merge_rows(parts, 1, None)
    np.testing.assert_allclose(plain.weight, [[1.5, -1.0]])
    np.testing.assert_allclose(plain.bias, [6.0])


def test_combined_samples_keep_their_distance_from_the_mean() -> None:
    """Two parents of one class: the mean of their means, and residuals that do not widen."""
    one = MahaAnchor(*_anchor([[0.0, 0.0]], [[1.0, 0.0]]), np.zeros(1, np.uint16))
    two = MahaAnchor(*_anchor([[9.0, 9.0], [4.0, 2.0]], [[4.0, 4.0]]), np.ones(1, np.uint16))
    joined = combine_samples(
        [
            OldClasses(one, np.array([0]), np.array([0])),
            OldClasses(two, np.array([1]), np.array([0])),
        ],
        1,
    )
    np.testing.assert_allclose(joined.means, [[2.0, 1.0]])
    np.testing.assert_allclose(joined.residuals(), [[1.0, 0.0], [0.0, 2.0]])


def _anchor(means: list[list[float]], samples: list[list[float]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array(means, np.float32), np.array(samples, np.float32)


def test_a_combination_has_the_rows_of_its_method() -> None:
    """The skill has a trained head and that of its class moments."""
    moments = old_task(1)
    old = headed(also=(moments,))
    trained = old.skill.head()
    assert trained is not None
    parts = [OldClasses(old, [4, 1], np.array([0, 1]))]
    _, head = assemble("maha", parts, 2, "none")
    assert head is not None
    expected = merge_rows([OldClasses(trained, [4, 1], np.array([0, 1]))], 2, None)
    np.testing.assert_array_equal(head.weight, expected.weight)
