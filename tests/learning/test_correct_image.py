"""A photo that was learned wrongly leaves its class exactly."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from teachmesh.data.pixel_digests import DIGEST, digests_of_rows
from teachmesh.errors import DataError
from teachmesh.learning.correct_image import correct_image, one_image
from teachmesh.learning.settled_task import settle
from teachmesh.learning.statistics_file import write_statistics
from teachmesh.learning.task_rows import TaskRows
from teachmesh.learning.task_statistics import TaskStatistics
from teachmesh.mapping.latent_sample import LatentSample
from teachmesh.mapping.task_sums import fixed_point

CLASSES = ("a", "b", "c")


def latents_of(count: int) -> np.ndarray:
    """Return latents without structure."""
    return np.random.default_rng(1).uniform(-0.1, 0.1, (count, 4)).astype(np.float32)


def task_of(labels: np.ndarray) -> TaskStatistics:
    """Return the statistics of some training images."""
    steps = fixed_point(latents_of(len(labels)))
    images = LatentSample(steps, labels, digests_of_rows(steps))
    natural, keys = np.zeros(len(labels), dtype=np.uint8), np.zeros(len(labels), dtype=DIGEST)
    return TaskStatistics.of("ab", TaskRows(CLASSES, images, natural, keys, {}))


@pytest.mark.parametrize("count", [30, 600])
def test_a_corrected_task_is_one_that_was_learned_right(count: int) -> None:
    """Every image in turn, and one three times: all files equal those of the right labels."""
    right = np.arange(count) % 3
    wrong = right.copy()
    chosen = [0, 4, count - 1]
    wrong[chosen] = (right[chosen] + 1) % 3
    task, latents = task_of(wrong), latents_of(count)
    for n in chosen:
        row = one_image(
            CLASSES[right[n]], latents[n : n + 1], digests_of_rows(fixed_point(latents[n : n + 1]))
        )
        corrected = correct_image(task, row)
        assert corrected.left == (CLASSES[wrong[n]],)
        task = corrected.statistics
        again = correct_image(task, row)
        assert again.left == ()
        assert write_statistics(again.statistics) == write_statistics(task)
    assert write_statistics(task) == write_statistics(task_of(right))


def test_a_photo_that_is_not_known_is_added() -> None:
    """It trains, whatever its hash is, and the splits of its class stay."""
    task = dataclasses.replace(task_of(np.arange(9) % 3), lacking=np.ones((3, 2), dtype=bool))
    new = np.full((1, 4), 0.05, dtype=np.float32)
    corrected = correct_image(task, one_image("b", new, digests_of_rows(new)))
    assert corrected.left == ()
    assert corrected.statistics.lacking.all()
    assert settle(corrected.statistics).counts.tolist() == [3, 4, 3]


def test_what_cannot_be_taken_out_exactly_is_refused() -> None:
    """Other latents under the same pixels, and the only image of a class."""
    task = task_of(np.array([0, 1, 1, 2, 2]))
    latents = latents_of(5)
    digest = digests_of_rows(fixed_point(latents[1:2]))
    with pytest.raises(DataError, match="latents with which the image was learned"):
        correct_image(task, one_image("c", latents[1:2] + 0.01, digest))
    digest = digests_of_rows(fixed_point(latents[:1]))
    with pytest.raises(DataError, match="more training images of 'a', got only this"):
        correct_image(task, one_image("c", latents[:1], digest))
