"""Statistics of a task that grew equal those of a task that was learned at once."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from teachmesh.data.image_splits import Carving
from teachmesh.data.pixel_digests import DIGEST, digests_of_rows
from teachmesh.data.splits import Edge, SplitRule, carve
from teachmesh.errors import DataError, StorageError
from teachmesh.learning.embedded_task import EmbeddedTask
from teachmesh.learning.fit_statistics import fit_statistics
from teachmesh.learning.settled_task import settle
from teachmesh.learning.statistics_file import read_statistics, write_statistics
from teachmesh.learning.task_rows import TaskRows
from teachmesh.learning.task_statistics import TaskStatistics
from teachmesh.mapping.latent_sample import LatentSample
from teachmesh.mapping.task_sums import TaskSums, fixed_point
from teachmesh.model.backbone import Latents
from teachmesh.model.embedding import LabelledLatents
from tests.mapping.latents import DIM, make_sample, sample_metric

NAMES = np.array(["oak", "Ash", "birch", "élm"])
SAMPLE = make_sample(2, n_classes=4, per_class=12)
SIZES = np.array([18, 12, 9, 2])
"""Images of each class: enough for all splits, too few for some, and too few for any."""
OWN = np.concatenate([np.flatnonzero(SAMPLE.labels == c)[:n] for c, n in enumerate(SIZES)])
X = np.concatenate([SAMPLE.latents[OWN], SAMPLE.latents[:6] + 0.01]).astype(np.float32)
Y = np.concatenate([SAMPLE.labels[OWN], np.zeros(6, dtype=np.int64)])
METRIC = sample_metric()
RULE = SplitRule(0, 0.25, 0.25)


def content(rows: np.ndarray) -> list[tuple[str, bytes]]:
    """Return the class and the hash of a file for some images."""
    return [(str(NAMES[Y[i]]), hashlib.sha256(f"file {i}".encode()).digest()) for i in rows]


def embedded(rows: np.ndarray, rule: SplitRule | None) -> tuple[tuple[str, ...], EmbeddedTask]:
    """Return some images as `learn` sees them: split by their content, with their own classes."""
    classes = sorted({str(name) for name in NAMES[Y[rows]]})
    labels = np.array([classes.index(str(NAMES[Y[i]])) for i in rows])
    if rule is None:
        names = ["validation" if i % 4 == 0 else "train" for i in rows]
        carved = None
    else:
        carved = carve(content(rows), rule)
        names = list(carved.splits)
    edges = {} if carved is None else carved.edges
    parts = []
    for name in ("train", "validation", "test"):
        chosen = [n for n, found in enumerate(names) if found == name]
        if name == "test":
            chosen = [n for n in chosen if n in edges]
        own = {place: edges[n] for place, n in enumerate(chosen) if n in edges}
        parts.append(latents(rows[chosen], labels[chosen], own))
    made = None if rule is None or carved is None else Carving(rule, {}, carved.lacking)
    return tuple(classes), EmbeddedTask(parts[0], parts[1], spare=parts[2], carving=made)


def latents(rows: np.ndarray, labels: np.ndarray, edges: dict[int, Edge]) -> LabelledLatents:
    """Return the latents of some images; the hash of their pixels is that of their latents."""
    digests = digests_of_rows(X[rows]).astype(DIGEST)
    return LabelledLatents(Latents(X[rows][:, :2], X[rows]), labels, digests, edges)


def grown(parts: Sequence[np.ndarray], rule: SplitRule | None = RULE) -> TaskStatistics:
    """Return the statistics of a task that grew part by part, read back from files."""
    found: TaskStatistics | None = None
    for part in parts:
        classes, task = embedded(part, rule)
        rows = task.rows(classes, ("a remark",))
        if found is None:
            found = TaskStatistics.of("ab", rows)
        else:
            found = read_statistics(write_statistics(found)).grown(rows)
    assert found is not None
    return found


def cut_images(seed: int, cuts: int, *, twice: bool) -> list[np.ndarray]:
    """Return the shuffled images in parts that may be empty, and half of them twice if wanted."""
    random = np.random.default_rng(seed)
    order = random.permutation(len(Y))
    if twice:
        order = np.concatenate([order, random.permutation(len(Y))[: len(Y) // 2]])
    return np.split(order, np.sort(random.integers(1, len(order), cuts)))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1), st.integers(0, 3), st.booleans(), st.sampled_from([RULE, None]))
def test_any_parts_in_any_order_give_the_same_file(
    seed: int, cuts: int, twice: bool, rule: SplitRule | None
) -> None:
    """Shuffled images in one to four parts, some of them twice, equal all images at once."""
    parts = cut_images(seed, cuts, twice=twice)
    whole = grown([np.arange(len(Y))], rule)
    found = grown([part for part in parts if len(part)], rule)
    assert write_statistics(found) == write_statistics(whole)
    assert found.classes == tuple(sorted(NAMES))


@settings(max_examples=3, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1))
def test_a_grown_task_has_the_skill_of_the_whole_task(seed: int) -> None:
    """Moments, held-out scores, accuracy, counts and cost are equal in every byte."""
    order = np.random.default_rng(seed).permutation(len(Y))
    one, other = (
        fit_statistics(s, METRIC)
        for s in (grown([np.arange(len(Y))]), grown(np.split(order, [9, 20])))
    )
    arrays = [{**f.anchor.tensors(), "held": f.held_out.tensor()} for f in (one, other)]
    assert {name: a.tobytes() for name, a in arrays[0].items()} == {
        name: a.tobytes() for name, a in arrays[1].items()
    }
    assert one.accuracy(one.anchor, METRIC) == other.accuracy(other.anchor, METRIC)
    assert (one.macs, one.task.passes) == (other.macs, other.task.passes)


@pytest.mark.parametrize("fraction", [0.1, 0.45])
def test_splits_of_statistics_are_those_of_the_files(fraction: float) -> None:
    """The images that train and validate are those that `read_task` would choose."""
    rule = SplitRule(5, fraction, fraction)
    everything = np.arange(len(Y))
    carved = carve(content(everything), rule)
    task = settle(grown(np.split(everything, [7, 30]), rule))
    digests = digests_of_rows(X)
    for found, split in ((task.sample, "train"), (task.validation, "validation")):
        expected = [n for n in everything if carved.splits[n] == split]
        assert set(found.digests.tolist()) == set(digests[expected].tolist())
    assert task.n_validation == len(task.validation)
    assert task.counts.min() >= 1


def large_rows(rows: np.ndarray) -> TaskRows:
    """Return some of 700 images of three classes; the smallest class has edges and no tests."""
    random = np.random.default_rng(0)
    steps = random.integers(-999, 999, (700, DIM)).astype(np.int16)
    labels = np.minimum(np.arange(700) // 345, 2)  # 345, 345 and 10 images
    keys = np.zeros(700, dtype=DIGEST)
    keys[690:] = [bytes([n]) * 32 for n in range(1, 11)]
    images = LatentSample(steps, labels, digests_of_rows(steps)).where(rows)
    natural = np.zeros(len(rows), dtype=np.uint8)
    lacking = {"c": (True, True)}
    return TaskRows(("a", "b", "c"), images, natural, keys[rows], lacking, RULE)


@settings(max_examples=3, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1))
def test_large_tasks_keep_exact_sums_and_a_sample(seed: int) -> None:
    """More images than the sample holds, two of them moved, in parts and at once."""
    whole = TaskStatistics.of("ab", large_rows(np.arange(700)))
    order = np.random.default_rng(seed).permutation(700)
    found = TaskStatistics.of("ab", large_rows(order[:100]))
    for part in (order[100:400], order[300:]):
        found = read_statistics(write_statistics(found)).grown(large_rows(part))
    assert write_statistics(found) == write_statistics(whole)
    task, all_rows = settle(found), large_rows(np.arange(700)).images
    trained = np.delete(np.arange(700), [690, 691])  # the smallest keys: one to test, one held out
    sums = TaskSums.of_steps(all_rows.rows[trained], all_rows.labels[trained], 3)
    assert task.sums is not None
    assert np.array_equal(task.sums.products, sums.products)
    assert np.array_equal(task.sums.sums, sums.sums)
    assert task.counts.tolist() == [345, 345, 8]
    assert task.validation.digests.tolist() == [all_rows.digests[691]]
    expected, again = fit_statistics(whole, METRIC), fit_statistics(found, METRIC)
    assert again.anchor.head.tobytes() == expected.anchor.head.tobytes()


def test_a_photo_under_two_names_counts_once() -> None:
    """One that trains and validates only trains; one in two classes is in both."""
    two = LatentSample(fixed_point(X[:3]), np.array([0, 1, 1]), digests_of_rows(X[[0, 0, 2]]))
    none = np.zeros(3, dtype=DIGEST)
    rows = TaskRows(("a", "b"), two, np.zeros(3, dtype=np.uint8), none, {})
    held = dataclasses.replace(rows, natural=np.ones(3, dtype=np.uint8))
    first = TaskStatistics.of("ab", rows)
    assert first.repeats(rows) == 3
    assert first.repeats(held) == 0
    task = settle(first.grown(held).grown(rows))
    assert task.counts.tolist() == [1, 2]
    assert task.n_validation == 3  # all of them train too: kept, because there are no others
    more = LatentSample(fixed_point(X[5:6]), np.array([0]), digests_of_rows(X[5:6]))
    other = TaskRows(("a",), more, np.ones(1, dtype=np.uint8), none[:1], {})
    assert settle(first.grown(held).grown(other)).n_validation == 1


def test_a_class_needs_no_statistics_of_others() -> None:
    """A class that comes alone, in a source with splits, joins those that were carved."""
    found = grown([np.flatnonzero(Y < 3)])
    steps = fixed_point(X[Y == 3])
    images = LatentSample(steps, np.zeros(2, dtype=np.int64), digests_of_rows(X[Y == 3]))
    rows = TaskRows(("new",), images, np.zeros(2, dtype=np.uint8), np.zeros(2, dtype=DIGEST), {})
    more = found.grown(rows)
    assert more.classes == ("Ash", "birch", "new", "oak")
    assert settle(more).counts[2] == 2


def test_statistics_of_two_backbones_are_not_added() -> None:
    """Their latents have different meanings."""
    one = grown([np.arange(len(Y))])
    with pytest.raises(DataError, match="backbone ab, got cd; learn the task again"):
        one.plus(dataclasses.replace(one, fingerprint="cd"))


WHOLE = write_statistics(grown([np.arange(len(Y))]))
FLIPPED = WHOLE[:-9] + bytes([WHOLE[-9] ^ 1]) + WHOLE[-8:]


@pytest.mark.parametrize("data", [b"", b"x" * 99, WHOLE[:-1], WHOLE[9:], FLIPPED])
def test_a_damaged_file_is_refused(data: bytes) -> None:
    """Cut, empty and foreign files, and one with a changed bit."""
    with pytest.raises(StorageError, match="damaged"):
        read_statistics(data)
