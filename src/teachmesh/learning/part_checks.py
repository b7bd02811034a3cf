"""Checks of the statistics in a part from another agent, before they are used.

Statistics that pass can be joined and fitted. Every array has its shape. Samples and edges agree
with the list of images, and sums could be those of images.
"""

from __future__ import annotations

import numpy as np

from teachmesh.errors import SkillRefused, StorageError
from teachmesh.learning.image_index import ImageIndex, marks_of
from teachmesh.learning.settled_task import settle
from teachmesh.learning.statistics_file import read_statistics
from teachmesh.learning.task_rows import TEST, TRAIN, VALIDATION
from teachmesh.learning.task_statistics import TaskStatistics
from teachmesh.mapping.latent_sample import MAX_ROWS, LatentSample
from teachmesh.mapping.task_sums import TaskSums
from teachmesh.packet.card_rules import check_labels
from teachmesh.packet.limits import DEFAULT_LIMITS
from teachmesh.packet.part import Part

_LARGEST = 2**15
_ROUNDING = 1e-9
"""Negative part of the spectrum of a scatter, relative to its trace, that rounding explains."""


def read_part_statistics(part: Part, dim: int) -> TaskStatistics:
    """Return the statistics of a part, after checking all of them.

    Args:
        part: a part with a valid signature.
        dim: size of the backbone's multi-depth latents, D.

    Raises:
        SkillRefused: VALUE if the statistics cannot be those of images; LIMIT or NAME for too many
            or invalid classes.
    """
    try:
        found = read_statistics(part.payload)
        _check_classes(found)
        _check_index(found.index, len(found.classes))
        _check_sample(found.sample, found.index, TRAIN, dim)
        _check_sample(found.validation, found.index, VALIDATION, dim)
        _check_edges(found, dim)
        _check_sums(found, dim)
        if found.fingerprint != part.facts.fingerprint:
            raise ValueError("they are of another backbone")
        if len(found.index) != part.facts.images:
            raise ValueError("they are of another number of images")
        settle(found)
    except SkillRefused:
        raise
    except (ValueError, TypeError, AttributeError, RecursionError, StorageError) as error:
        reason = str(error) if type(error) is ValueError else "they are damaged"
        raise SkillRefused(
            "VALUE", f"the statistics of part {part.id[:12]} are not those of images: {reason}"
        ) from error
    return found


def _check(condition: bool | np.bool_, reason: str) -> None:
    if not condition:
        raise ValueError(reason)


def _check_classes(task: TaskStatistics) -> None:
    texts = (*task.classes, *task.remarks, task.fingerprint)
    _check(all(isinstance(text, str) for text in texts), "a name is no text")
    check_labels("task", task.classes)
    _check(list(task.classes) == sorted(set(task.classes)), "the classes are not sorted")
    _check(task.lacking.shape == (len(task.classes), 2), "the splits have another shape")
    few = len(task.remarks) <= DEFAULT_LIMITS.warnings
    short = all(len(t) <= DEFAULT_LIMITS.warning and t.isprintable() for t in task.remarks)
    _check(few and short, "the remarks are too long")
    _check(list(task.remarks) == sorted(set(task.remarks)), "the remarks are not sorted")


def _check_index(index: ImageIndex, n_classes: int) -> None:
    arrays = (index.digests, index.labels, index.natural, index.marks)
    _check(all(a.shape == (len(index),) for a in arrays), "the list of images has another shape")
    _check(index.digests.dtype.itemsize == 32, "the hashes of images have another length")
    _check(index.marks.dtype.itemsize == 8, "the hashes of latents have another length")
    _check(_are_labels(index.labels, n_classes), "an image has no class")
    _check(np.isin(index.natural, (TRAIN, VALIDATION)).all(), "an image has no split")
    same = index.sorted()
    ordered = all((getattr(index, n) == getattr(same, n)).all() for n in vars(index))
    _check(ordered and _are_unique(index), "the list of images is not sorted")


def _are_unique(index: ImageIndex) -> bool:
    columns = (index.digests, index.natural, index.labels)
    return len(set(zip(*(c.tolist() for c in columns), strict=True))) == len(index)


def _are_labels(labels: np.ndarray, n_classes: int) -> bool:
    return bool(((labels >= 0) & (labels < n_classes)).all())


def _check_rows(sample: LatentSample, dim: int) -> None:
    _check(sample.rows.shape == (len(sample), dim), "latents have another size")
    _check(sample.digests.shape == (len(sample),), "hashes are missing")


def _check_sample(sample: LatentSample, index: ImageIndex, split: int, dim: int) -> None:
    """Check that a sample has the latents of the images with the smallest hashes."""
    _check_rows(sample, dim)
    own = index.where(index.natural == split)
    own = own.where(np.lexsort((own.labels, own.digests))[:MAX_ROWS])
    _check(len(own) == len(sample), "a sample has another size")
    _check((own.digests == sample.digests).all(), "a sample has other images")
    _check((own.labels == sample.labels).all(), "a sample has other classes")
    _check((own.marks == marks_of(sample.rows)).all(), "a sample has other latents")


def _check_edges(task: TaskStatistics, dim: int) -> None:
    edges, n_classes = task.edges, len(task.classes)
    _check_rows(edges.images, dim)
    n_edges = len(edges)
    _check(edges.natural.shape == edges.keys.shape == (n_edges,), "edges have another shape")
    _check(n_edges <= 2 * n_classes + MAX_ROWS, "there are too many edges")
    _check(edges.keys.dtype.itemsize == 32, "the keys of edges have another length")
    _check(_are_labels(edges.images.labels, n_classes), "an edge has no class")
    _check(np.isin(edges.natural, (TRAIN, VALIDATION, TEST)).all(), "an edge has no split")
    listed = _images(task.index.digests, task.index.labels, task.index.natural, task.index.marks)
    marks = marks_of(edges.images.rows)
    found = _images(edges.images.digests, edges.images.labels, edges.natural, marks)
    others = {image for image in found - listed if image[2] != TEST}
    _check(not others, "an edge is not in the list of images")


def _images(*columns: np.ndarray) -> set[tuple[bytes, int, int, bytes]]:
    return set(zip(*(column.tolist() for column in columns), strict=True))


def _check_sums(task: TaskStatistics, dim: int) -> None:
    counts = task.index.counts(len(task.classes))
    sums = task.sums
    if counts.sum() <= MAX_ROWS:
        _check(sums is None, "there are sums of few images")
        return
    _check(sums is not None, "there are no sums")
    assert sums is not None
    _check(sums.sums.shape == (len(counts), dim), "sums have another size")
    _check(sums.products.shape == (dim, dim), "products have another size")
    _check((np.abs(sums.sums) <= _LARGEST * counts[:, None]).all(), "sums are too large")
    largest = _LARGEST**2 * int(counts.sum())
    _check((np.abs(sums.products) <= largest).all(), "products are too large")
    rest = sums.minus(TaskSums.of_steps(task.sample.rows, task.sample.labels, len(counts)))
    _check_scatter(rest)


def _check_scatter(sums: TaskSums) -> None:
    """Check that the scatter around class means has no direction with a negative variance."""
    present = sums.counts > 0
    _check(not sums.sums[~present].any(), "a class without images has sums")
    roots = np.sqrt(sums.counts[present].astype(np.float64))[:, None]
    scaled = sums.sums[present] / roots  # (C, D): the mean times the root of the number of images
    products = sums.products.astype(np.float64)
    lowest = float(np.linalg.eigvalsh(products - scaled.T @ scaled)[0])
    _check(lowest >= -_ROUNDING * max(1.0, float(np.trace(products))), "a variance is negative")
