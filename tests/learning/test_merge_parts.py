"""A task made from parts has the statistics of all images at once, byte for byte."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from teachmesh.data.pixel_digests import DIGEST, digests_of_rows
from teachmesh.data.splits import SplitRule
from teachmesh.errors import DataError
from teachmesh.learning.merge_parts import divided, merge_parts
from teachmesh.learning.statistics_file import read_statistics, write_statistics
from teachmesh.learning.task_rows import TaskRows
from teachmesh.learning.task_statistics import TaskStatistics
from teachmesh.mapping.latent_sample import MAX_ROWS, LatentSample
from tests.learning.test_task_statistics import RULE, Y, cut_images, embedded, grown
from tests.mapping.latents import DIM


def read_back(statistics: TaskStatistics) -> TaskStatistics:
    """Return statistics as another agent reads them."""
    return read_statistics(write_statistics(statistics))


def small_part(rows: np.ndarray, rule: SplitRule | None) -> TaskStatistics:
    """Return the part with some of the images of the small task."""
    classes, task = embedded(rows, rule)
    return read_back(TaskStatistics.of("ab", task.rows(classes, ("a remark",))))


@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1), st.integers(0, 4), st.booleans(), st.sampled_from([RULE, None]))
def test_any_parts_in_any_order_give_the_same_file(
    seed: int, cuts: int, twice: bool, rule: SplitRule | None
) -> None:
    """One to five parts, some photos in several of them, equal all images at once."""
    parts = cut_images(seed, cuts, twice=twice)
    made = {str(n): small_part(rows, rule) for n, rows in enumerate(parts) if len(rows)}
    order = np.random.default_rng(seed).permutation(list(made)).tolist()
    merged = merge_parts(order, made.__getitem__)
    assert not merged.left_out
    assert write_statistics(merged.statistics) == write_statistics(grown([np.arange(len(Y))], rule))


def many_rows(rows: np.ndarray) -> TaskRows:
    """Return some of 1,500 images of two classes, of which every tenth validates."""
    steps = np.random.default_rng(0).integers(-999, 999, (1500, DIM)).astype(np.int16)
    images = LatentSample(steps, np.arange(1500) % 2, digests_of_rows(steps)).where(rows)
    natural = (rows % 10 == 0).astype(np.uint8)
    keys = np.zeros(len(rows), dtype=DIGEST)
    lacking = {"a": (False, False), "b": (False, False)}
    return TaskRows(("a", "b"), images, natural, keys, lacking, RULE)


def large_parts(*chosen: np.ndarray) -> dict[str, TaskStatistics]:
    """Return parts as agents make them that know the parts before."""
    known: set[bytes] = set()
    made: dict[str, TaskStatistics] = {}
    for rows in chosen:
        for piece in divided(many_rows(rows), known):
            part = read_back(TaskStatistics.of("ab", piece))
            made[str(len(made))] = part
            known |= set(part.index.digests.tolist())
    return made


def test_photos_of_two_large_parts_count_once() -> None:
    """700 photos are in two parts whose sums alone would count them twice."""
    whole = TaskStatistics.of("ab", many_rows(np.arange(1500)))
    made = large_parts(np.arange(1100), np.arange(400, 1500))
    assert [int(part.index.counts(2).sum()) for part in made.values()] == [990, 360, 512, 118]
    for order in ("0123", "3210", "2301"):
        merged = merge_parts(order, made.__getitem__)
        assert not merged.left_out
        assert write_statistics(merged.statistics) == write_statistics(whole)


def test_parts_without_the_latents_of_common_photos_are_left_out() -> None:
    """Two agents learned the same photos at the same time; the later part names the way out."""
    rows = np.arange(1100)
    parts = [("one", rows), ("two", np.arange(400, 1500))]
    made = {name: TaskStatistics.of("ab", many_rows(rows)) for name, rows in parts}
    merged = merge_parts(made, made.__getitem__)
    assert write_statistics(merged.statistics) == write_statistics(made["one"])
    (reason,) = merged.left_out.values()
    assert "photos of this part are in another part too" in reason
    assert "withdraw this part and learn its images again" in reason


def test_classes_that_differ_in_case_are_left_out() -> None:
    """Two agents invented a class at the same time."""
    one = TaskStatistics.of("ab", many_rows(np.arange(20)))
    other = replace(TaskStatistics.of("ab", many_rows(np.arange(20, 40))), classes=("A", "b"))
    merged = merge_parts(["one", "other"], {"one": one, "other": other}.__getitem__)
    assert merged.statistics is one
    assert "differ from those of other parts in more than case" in merged.left_out["other"]


def test_a_class_without_training_images_is_an_error() -> None:
    """The part that trained it was withdrawn."""
    part = TaskStatistics.of("ab", many_rows(np.arange(0, 40, 10)))  # all of them validate
    with pytest.raises(DataError, match="a training image of every class, found none of 'a'"):
        merge_parts(["one"], lambda _: part)


def test_small_parts_are_not_divided() -> None:
    """All latents of up to 512 training images are in the part."""
    rows = many_rows(np.arange(MAX_ROWS))
    assert divided(rows, set(rows.images.digests.tolist())) == [rows]
