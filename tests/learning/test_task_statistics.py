"""Statistics of a task that grew equal those of a task that was learned at once."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from teachmesh.errors import DataError, StorageError
from teachmesh.learning.task_statistics import TaskStatistics
from teachmesh.mapping.held_out_from_sums import held_out_from_sums
from teachmesh.mapping.moments_from_sums import fit_moments_from_sums
from tests.mapping.latents import make_sample, sample_metric

NAMES = ("oak", "Ash", "birch", "élm")
SAMPLE = make_sample(2, n_classes=4, per_class=9)
DIGESTS = np.array(
    [hashlib.sha256(row.tobytes()).digest()[:16].hex().encode() for row in SAMPLE.latents]
)


def statistics(rows: np.ndarray, fingerprint: str = "ab") -> TaskStatistics:
    """Return the statistics of some images, with only the classes that occur."""
    known, labels = np.unique(SAMPLE.labels[rows], return_inverse=True)
    classes = [NAMES[i] for i in known]
    return TaskStatistics.of(fingerprint, classes, SAMPLE.latents[rows], labels, DIGESTS[rows])


WHOLE = statistics(np.arange(36))


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(1, 35), st.integers(1, 35))
def test_any_parts_in_any_order_give_the_same_file(seed: int, one: int, other: int) -> None:
    """Three parts of shuffled images, read back from their files, equal the whole."""
    order = np.random.default_rng(seed).permutation(36)
    parts = [rows for rows in np.split(order, sorted((one, other))) if len(rows)]
    grown = statistics(parts[0])
    for rows in parts[1:]:
        grown = TaskStatistics.from_bytes(grown.to_bytes()).plus(statistics(rows))
    assert grown.classes == tuple(sorted(NAMES))
    assert grown.to_bytes() == WHOLE.to_bytes()


def test_a_grown_task_has_the_skill_of_the_whole_task() -> None:
    """Moments and held-out scores are equal in every byte."""
    metric = sample_metric()
    classes_later = np.flatnonzero(SAMPLE.labels >= 2)
    grown = statistics(classes_later).plus(statistics(np.flatnonzero(SAMPLE.labels < 2)))
    for found, expected in (
        (fit_moments_from_sums(s.sums, metric).tensors() for s in (grown, WHOLE)),
        ({"held": held_out_from_sums(s.sums, s.sample, metric).tensor()} for s in (grown, WHOLE)),
    ):
        assert found.keys() == expected.keys()
        assert all(found[name].tobytes() == expected[name].tobytes() for name in found)


def test_statistics_of_two_backbones_are_not_added() -> None:
    """Their latents have different meanings."""
    with pytest.raises(DataError, match="backbone ab, got cd; learn the task again"):
        WHOLE.plus(statistics(np.arange(3), "cd"))


@pytest.mark.parametrize("data", [b"", b"x" * 99, WHOLE.to_bytes()[:-1], WHOLE.to_bytes()[9:]])
def test_a_damaged_file_is_refused(data: bytes) -> None:
    """Cut, empty and foreign files."""
    with pytest.raises(StorageError, match="damaged file"):
        TaskStatistics.from_bytes(data)
