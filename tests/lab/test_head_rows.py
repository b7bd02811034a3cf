"""Heads combined from rows of old heads, without an image."""

from __future__ import annotations

import numpy as np
import pytest

from teachmesh.model.head_training import fit_head
from teachmesh_lab.studies.head_rows import combine_heads
from tests.reuse.test_moments_transfer import CLASSES, sample

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
