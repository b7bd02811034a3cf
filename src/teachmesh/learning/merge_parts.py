"""Statistics of a task from the statistics of its parts, in any order and with any photo twice.

The parts are joined in canonical order, so the result is a function of the set of parts. It equals
the statistics of all images at once, byte for byte.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from teachmesh.data.names import comparison_key, shown
from teachmesh.data.source_files import counted
from teachmesh.errors import DataError
from teachmesh.learning.image_index import ImageIndex, marks_of
from teachmesh.learning.settled_task import settle
from teachmesh.learning.task_rows import TEST, TRAIN, TaskRows
from teachmesh.learning.task_statistics import TaskStatistics
from teachmesh.mapping.latent_sample import MAX_ROWS, LatentSample
from teachmesh.mapping.task_sums import TaskSums


@dataclass(frozen=True, eq=False)
class MergedParts:
    """A task that was made from parts.

    Attributes:
        statistics: statistics of all images; a photo that is in several parts counts once.
        left_out: reason, by id, for each part that could not be used.
    """

    statistics: TaskStatistics
    left_out: Mapping[str, str]


def merge_parts(ids: Iterable[str], load: Callable[[str], TaskStatistics]) -> MergedParts:
    """Join the parts of a task.

    Parts with sums come first. Smaller ones have the latents of all their training images, so
    photos that are known by then can be taken out of them.

    Args:
        ids: ids of the parts, at least one, in canonical order.
        load: function that returns the statistics of a part; it is called up to twice for each.

    Raises:
        DataError: a class has no training image.
    """
    merged: TaskStatistics | None = None
    left_out: dict[str, str] = {}
    for name in _large_first(ids, load):
        part = load(name)
        try:
            merged = part if merged is None else _joined(merged, part)
        except DataError as error:
            left_out[name] = str(error)
    assert merged is not None
    _check_classes(merged)
    return MergedParts(merged, left_out)


def _large_first(ids: Iterable[str], load: Callable[[str], TaskStatistics]) -> list[str]:
    is_small = {name: load(name).sums is None for name in ids}
    return sorted(is_small, key=is_small.__getitem__)  # a stable sort


def divided(rows: TaskRows, known: Collection[bytes]) -> list[TaskRows]:
    """Divide the images of a new part, so that photos of other parts can be counted once.

    A photo can be taken out of sums only if its latents are known. Parts of up to `MAX_ROWS`
    training images have the latents of all. So photos that other parts have come in such parts.

    Args:
        rows: the images.
        known: hashes of the images of other parts.
    """
    trains = rows.natural == TRAIN
    twice = np.array([digest in known for digest in rows.images.digests.tolist()], dtype=bool)
    if trains.sum() <= MAX_ROWS or not (twice & trains).any():
        return [rows]
    found = np.flatnonzero(twice & trains)
    chunks = [found[start : start + MAX_ROWS] for start in range(0, len(found), MAX_ROWS)]
    first = np.flatnonzero(~(twice & trains))
    return [_chosen(rows, places) for places in (first, *chunks) if len(places)]


def _chosen(rows: TaskRows, places: np.ndarray) -> TaskRows:
    """Return some of the rows; what they say about the splits of their classes stays."""
    images = rows.images.where(places)
    natural, keys = rows.natural[places], rows.keys[places]
    return replace(rows, images=images, natural=natural, keys=keys)


def _joined(merged: TaskStatistics, part: TaskStatistics) -> TaskStatistics:
    classes = tuple(sorted({*merged.classes, *part.classes}))
    if len({comparison_key(name) for name in classes}) != len(classes):
        raise DataError(
            "expected class names that differ from those of other parts in more than case or "
            "encoding; withdraw the part, rename its folders and learn them again"
        )
    merged, part = merged.with_classes(classes), part.with_classes(classes)
    merged.check_backbone(part.fingerprint)
    return merged.plus(_without(part, _again(merged.index, part.index), merged))


def _again(merged: ImageIndex, part: ImageIndex) -> np.ndarray:
    """Return the (N,) mask of images of a part that are listed already."""
    listed = set(_triples(merged))
    return np.array([triple in listed for triple in _triples(part)], dtype=bool)


def _triples(index: ImageIndex) -> list[tuple[bytes, int, int]]:
    columns = (index.digests, index.labels, index.natural)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def _without(part: TaskStatistics, again: np.ndarray, merged: TaskStatistics) -> TaskStatistics:
    """Return a part without some of its images; edges stay, because each counts once anyway."""
    if not again.any():
        return part
    gone, sums = part.index.where(again), part.sums
    trained = gone.where(gone.natural == TRAIN)
    if sums is not None:
        rows = _latents_of(trained, part.sample, merged.sample)
        sums = sums.minus(TaskSums.of_steps(rows, trained.labels, sums.n_classes))
    held = gone.where((gone.natural != TRAIN) & (gone.natural != TEST))
    return replace(
        part,
        index=part.index.where(~again),
        sample=part.sample.where(~_among(part.sample, trained)),
        validation=part.validation.where(~_among(part.validation, held)),
        sums=sums,
    )


def _latents_of(images: ImageIndex, *samples: LatentSample) -> np.ndarray:
    """Return the (N, D) latents of images that samples have.

    Raises:
        DataError: the samples do not have all of them.
    """
    known = {
        (digest, mark): row
        for sample in samples
        for digest, mark, row in zip(
            sample.digests.tolist(), marks_of(sample.rows).tolist(), sample.rows, strict=True
        )
    }
    pairs = list(zip(images.digests.tolist(), images.marks.tolist(), strict=True))
    if missing := sum(pair not in known for pair in pairs):
        raise DataError(
            f"{counted(missing, 'photo')} of this part are in another part too, and none of the "
            "two has their latents; withdraw this part and learn its images again"
        )
    dim = samples[0].rows.shape[1]
    found = np.array([known[pair] for pair in pairs], dtype=np.int16)
    return found.reshape(len(pairs), dim)


def _among(sample: LatentSample, images: ImageIndex) -> np.ndarray:
    """Return the mask of the rows of a sample that are among some images."""
    chosen = set(zip(images.digests.tolist(), images.labels.tolist(), strict=True))
    pairs = zip(sample.digests.tolist(), sample.labels.tolist(), strict=True)
    return np.array([pair in chosen for pair in pairs], dtype=bool)


def _check_classes(merged: TaskStatistics) -> None:
    counts = settle(merged).counts
    if (counts < 1).any():
        name = merged.classes[int(counts.argmin())]
        raise DataError(
            f"expected a training image of every class, found none of '{shown(name)}' in all "
            "parts; learn images of it with --add-to or --part-of, or withdraw the part with it"
        )
