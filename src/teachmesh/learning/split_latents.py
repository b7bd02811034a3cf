"""Latents of the splits of a task as rows for its statistics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from teachmesh.data.pixel_digests import DIGEST, digests_of_rows
from teachmesh.learning.task_rows import CODES, TRAIN, VALIDATION, TaskRows
from teachmesh.learning.task_statistics import TaskStatistics
from teachmesh.mapping.latent_sample import LatentSample
from teachmesh.mapping.task_sums import fixed_point

if TYPE_CHECKING:
    from teachmesh.model.embedding import LabelledLatents


def statistics_of(
    train: LabelledLatents, validation: LabelledLatents, n_classes: int
) -> TaskStatistics:
    """Return the statistics of latents, for experiments with classes that have numbers only.

    Args:
        train: latents and labels of the training images.
        validation: latents and labels of the validation images; may be empty.
        n_classes: number of classes, C.
    """
    classes = tuple(f"{label:06}" for label in range(n_classes))
    rows = rows_of(classes, {TRAIN: train, VALIDATION: validation})
    return TaskStatistics.of("", rows)


def rows_of(classes: Sequence[str], splits: dict[int, LabelledLatents]) -> TaskRows:
    """Return the images of some splits, each with its split before any image was moved.

    Args:
        classes: names of the C classes, in label order.
        splits: latents and labels by code of the split; one may be empty, but not all.
    """
    some = {code: split for code, split in splits.items() if len(split)}
    steps = [fixed_point(split.latents.multi) for split in some.values()]
    images = LatentSample(
        np.concatenate(steps),
        np.concatenate([split.labels for split in some.values()]),
        np.concatenate([digests_of(split) for split in some.values()]),
    )
    codes = [np.full(len(split), code, dtype=np.uint8) for code, split in some.items()]
    natural, keys, start = np.concatenate(codes), np.zeros(len(images), dtype=DIGEST), 0
    for split in some.values():
        for row, edge in split.edges.items():
            natural[start + row], keys[start + row] = CODES[edge.natural], edge.key
        start += len(split)
    return TaskRows(tuple(classes), images, natural, keys, {})


def digests_of(split: LabelledLatents) -> np.ndarray:
    """Return the (N,) hashes of the images, or of their latents if there are no images."""
    found = split.digests
    return digests_of_rows(split.latents.multi) if found is None else found
