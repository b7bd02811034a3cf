"""Equivalent classes among all tasks of a bank."""

from __future__ import annotations

import numpy as np

from teachmesh.reuse.text_encoders import NameComparer
from teachmesh_lab.evaluation.equivalence import compare_looks, find_equivalent
from tests.reuse.test_matching import DIM, style, task


def test_equivalence_is_symmetric_and_never_inside_one_task() -> None:
    """The matrix has 1 on the diagonal and 0 between classes of one task."""
    tasks = [task(style(1), name="a"), task(style(2), name="b"), task(None, name="c")]
    found = find_equivalent(tasks, NameComparer(), compare_looks(tasks, np.eye(DIM)))
    similarity = found.similarity
    np.testing.assert_array_equal(similarity, similarity.T)
    np.testing.assert_array_equal(similarity[:7, :7], np.eye(7))
    assert len(found.pairs(0.9)) == 3 * 7
    assert found.column("b-id", 2) == 9
    assert found.equivalent(0.9).sum() == found.nearest(1).sum() == 9 * 7


def test_a_higher_threshold_never_adds_equivalent_classes() -> None:
    """With a higher threshold, fewer pairs are equivalent."""
    tasks = [task(None, name="a"), task(None, ("plate 1", "plate 2"), "b")]
    tasks.append(task(None, ("digit 1", "digit 2"), "c"))
    found = find_equivalent(tasks, NameComparer())
    assert (found.equivalent(0.9) >= found.equivalent(0.98)).all()
    assert found.equivalent(0.9).sum() == found.equivalent(0.98).sum() + 4


def test_looks_are_compared_only_for_names_at_the_threshold() -> None:
    """Unrelated classes share symbols (0.97): at 0.98 this is too low, so looks do not matter."""
    digits, plates = (tuple(f"{kind} {i}" for i in range(7)) for kind in ("digit", "plate"))
    strangers = np.random.default_rng(9).normal(size=(7, DIM))
    tasks = [task(style(1), digits, "a"), task(strangers, plates, "b")]
    looks = compare_looks(tasks, np.eye(DIM))
    low, high = (find_equivalent(tasks, NameComparer(), looks, t) for t in (0.9, 0.98))
    assert len(low.pairs(0.9)) == 0
    assert len(high.pairs(0.9)) == 7
