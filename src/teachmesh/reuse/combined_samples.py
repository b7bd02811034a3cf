"""Build class means and sample latents of a new task from those of old tasks (Sec. 7.2, 1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from teachmesh.mapping.anchor_kinds import MahaAnchor


@dataclass(frozen=True, eq=False)
class SamplePart:
    """Classes of one old task that become classes of the new task.

    Attributes:
        anchor: class means and samples of the old task.
        labels: (M,) int64 indices of classes in the old task.
        classes: (M,) int64 indices of these classes in the new task.
    """

    anchor: MahaAnchor
    labels: np.ndarray
    classes: np.ndarray


def combine_samples(parts: Sequence[SamplePart], n_classes: int) -> MahaAnchor:
    """Combine class means and samples of old tasks, without any images.

    A class with several parents has the mean of their means. Samples keep their distance from the
    mean of their class, so that differences between tasks do not widen the covariance.

    Args:
        parts: old classes; together they cover every class of the new task.
        n_classes: number of classes of the new task, C.
    """
    dim = parts[0].anchor.dim
    sums, counts = np.zeros((n_classes, dim)), np.zeros(n_classes)
    for part in parts:
        np.add.at(sums, part.classes, part.anchor.means[part.labels].astype(np.float64))
        np.add.at(counts, part.classes, 1)
    means = sums / counts[:, None]
    samples, classes = [], []
    for part in parts:
        residuals = part.anchor.residuals()
        for old, new in zip(part.labels, part.classes, strict=True):
            own = residuals[part.anchor.sample_classes == old]
            samples.append(means[new] + own)
            classes.append(np.full(len(own), new, dtype=np.uint16))
    joined = np.concatenate(samples).astype(np.float32)
    return MahaAnchor(means.astype(np.float32), joined, np.concatenate(classes))
