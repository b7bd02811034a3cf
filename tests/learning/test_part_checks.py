"""Statistics in a part from another agent are refused unless images could have made them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from teachmesh.errors import SkillRefused
from teachmesh.learning.image_index import ImageIndex
from teachmesh.learning.part_checks import read_part_statistics
from teachmesh.learning.statistics_file import write_statistics
from teachmesh.learning.task_rows import EdgeRows
from teachmesh.learning.task_statistics import TaskStatistics
from teachmesh.mapping.latent_sample import LatentSample
from teachmesh.mapping.task_sums import TaskSums
from teachmesh.packet.part import Part, PartFacts, sign_part
from tests.learning.test_merge_parts import many_rows
from tests.learning.test_task_statistics import RULE, Y, grown
from tests.mapping.latents import DIM
from tests.packet.sample_skills import ALICE, BOB

PRINT = "ab" * 32
SMALL = replace(grown([np.arange(len(Y))], RULE), fingerprint=PRINT)
LARGE = TaskStatistics.of(PRINT, many_rows(np.arange(1500)))
assert LARGE.sums is not None
SUMS: TaskSums = LARGE.sums


def signed(payload: bytes, images: int) -> Part:
    """A part by Alice of a task of Bob."""
    facts = PartFacts("trees", BOB.public_key, PRINT, images, sequence=1)
    return sign_part(facts, payload, ALICE)


def part(statistics: TaskStatistics) -> Part:
    """A part with these statistics, whatever they are."""
    return signed(write_statistics(statistics), len(statistics.index))


@pytest.mark.parametrize("good", [SMALL, LARGE, grown([np.arange(3)], RULE)])
def test_statistics_of_images_pass(good: TaskStatistics) -> None:
    """They are read back as they were written."""
    good = replace(good, fingerprint=PRINT)
    assert write_statistics(read_part_statistics(part(good), DIM)) == write_statistics(good)


def changed(task: TaskStatistics, name: str, change: Callable[[np.ndarray], None]) -> Any:
    """Change one array in statistics, named like "index.labels"."""
    first, _, second = name.partition(".")
    outer = getattr(task, first)
    array = (outer if not second else getattr(outer, second)).copy()
    change(array)
    value = array if not second else replace(outer, **{second: array})
    return replace(task, **{first: value})


def put(place: Any, value: Any) -> Callable[[np.ndarray], None]:
    """Set one element of an array."""
    return lambda array: array.__setitem__(place, value)


def swapped(one: ImageIndex | LatentSample) -> Any:
    """Return a list whose first two rows are exchanged."""
    order = np.arange(len(one))
    order[:2] = [1, 0]
    return one.where(order)


def scaled(sums: TaskSums, factor: int) -> TaskSums:
    """Return sums whose products are those of other images."""
    return replace(sums, products=sums.products // factor)


EDGE = EdgeRows(
    LARGE.sample.where(np.arange(1)), np.zeros(1, np.uint8), np.array([b"k" * 32], dtype="S32")
)
BAD: dict[str, TaskStatistics] = {
    "a label": changed(SMALL, "index.labels", put(0, 9)),
    "a negative label": changed(SMALL, "index.labels", put(0, -1)),
    "a split": changed(SMALL, "index.natural", put(0, 7)),
    "a mark": changed(SMALL, "index.marks", put(slice(None), b"x" * 8)),
    "an order": replace(SMALL, index=swapped(SMALL.index)),
    "an image twice": replace(SMALL, index=SMALL.index.plus(SMALL.index)),
    "classes twice": replace(SMALL, classes=("a", "a", "b", "c")),
    "classes that differ in case": replace(SMALL, classes=("A", "a", "b", "c")),
    "unsorted classes": replace(SMALL, classes=SMALL.classes[::-1]),
    "a path as class": replace(SMALL, classes=("../a", "b", "c", "d")),
    "many classes": replace(SMALL, classes=(*SMALL.classes, "z")),
    "a long remark": replace(SMALL, remarks=("x" * 9999,)),
    "other latents": changed(SMALL, "sample.rows", put((0, 0), 32767)),
    "other images": replace(SMALL, sample=swapped(SMALL.sample)),
    "fewer images": replace(SMALL, sample=SMALL.sample.where(np.arange(2))),
    "other held-out images": replace(SMALL, validation=SMALL.sample),
    "an unknown edge": replace(LARGE, edges=changed(EDGE, "natural", put(0, 1))),
    "an edge without split": replace(LARGE, edges=changed(EDGE, "natural", put(0, 9))),
    "no sums": replace(LARGE, sums=None),
    "sums of few images": replace(SMALL, sums=SMALL.exact_sums()),
    "large sums": replace(LARGE, sums=replace(SUMS, sums=SUMS.sums + 2**40)),
    "large products": replace(LARGE, sums=replace(SUMS, products=SUMS.products + 2**60)),
    "negative variances": replace(LARGE, sums=scaled(SUMS, 4)),
    "another backbone": replace(SMALL, fingerprint="cd" * 32),
}


@pytest.mark.parametrize("name", BAD)
def test_statistics_that_no_images_have_are_refused(name: str) -> None:
    """Each is properly signed by an invited agent."""
    with pytest.raises(SkillRefused, match="not those of images|class") as caught:
        read_part_statistics(part(BAD[name]), DIM)
    assert caught.value.reason in ("VALUE", "NAME")


def test_other_sizes_and_bytes_are_refused() -> None:
    """Another latent size, a wrong count, garbage, and files with one changed byte."""
    data = write_statistics(SMALL)
    count = len(SMALL.index)
    with pytest.raises(SkillRefused, match="latents have another size"):
        read_part_statistics(part(SMALL), DIM + 1)
    with pytest.raises(SkillRefused, match="another number of images"):
        read_part_statistics(signed(data, count + 1), DIM)
    nested = b'{"a":' * 5000 + b"1" + b"}" * 5000
    framed = len(nested).to_bytes(8, "little") + nested
    flipped = (data[:n] + bytes([data[n] ^ 1]) + data[n + 1 :] for n in range(0, len(data), 97))
    for payload in (b"", b"x" * 99, data[:-1], data[9:], framed, *flipped):
        with pytest.raises(SkillRefused):
            read_part_statistics(signed(payload, count), DIM)
