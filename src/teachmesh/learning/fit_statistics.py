"""Fit class moments to the statistics of a task, without its images.

A task whose training images are all in the sample is fitted to their latents. A larger one is
fitted to exact sums.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from teachmesh.learning.settled_task import SettledTask, settle
from teachmesh.learning.task_statistics import TaskStatistics
from teachmesh.mapping.anchor_kinds import MomentsAnchor
from teachmesh.mapping.held_out_from_rows import held_out_from_rows
from teachmesh.mapping.held_out_from_sums import held_out_from_sums
from teachmesh.mapping.metric import Metric
from teachmesh.mapping.moments_fit import fit_moments_to_points
from teachmesh.mapping.moments_from_sums import fit_moments_from_sums
from teachmesh.mapping.task_points import TaskPoints
from teachmesh.mapping.typicality import HeldOut
from teachmesh.model.macs import MacCounter


@dataclass(frozen=True, eq=False)
class FittedMoments:
    """Class moments of a task.

    Attributes:
        anchor: the moments.
        held_out: scores of images that were held out of the fit.
        task: the images that were fitted.
        macs: number of multiply-accumulates, excluding the backbone pass.
    """

    anchor: MomentsAnchor
    held_out: HeldOut
    task: SettledTask
    macs: int

    def accuracy(self, anchor: MomentsAnchor, metric: Metric) -> float | None:
        """Return the accuracy on validation images with the task given; None without any.

        Args:
            anchor: moments to classify with.
            metric: metric of the backbone's latents.
        """
        validation = self.task.validation
        return moments_accuracy(validation.latents(), validation.labels, metric, anchor)


def moments_accuracy(
    latents: np.ndarray, labels: np.ndarray, metric: Metric, anchor: MomentsAnchor
) -> float | None:
    """Return the accuracy of class moments with the task given; None without images.

    Args:
        latents: (N, D) multi-depth latents.
        labels: (N,) int64 class of each image.
        metric: metric of the backbone's latents.
        anchor: moments to classify with.
    """
    if not len(labels):
        return None
    decided = (metric.apply(latents) @ anchor.head_rows().T + anchor.head_bias).argmax(axis=1)
    return float(np.mean(decided == labels))


def fit_statistics(statistics: TaskStatistics, metric: Metric) -> FittedMoments:
    """Fit the moments of a task, in closed form.

    Args:
        statistics: statistics of the task; every class has an image.
        metric: metric of the backbone's latents.
    """
    task = settle(statistics)
    with MacCounter() as counter:
        anchor, held_out = _fit(task, metric)
    summed = 0 if task.sums is None else int(task.counts.sum()) * task.sums.dim**2
    return FittedMoments(anchor, held_out, task, int(counter.macs) + summed)


def _fit(task: SettledTask, metric: Metric) -> tuple[MomentsAnchor, HeldOut]:
    if task.sums is not None:
        return (
            fit_moments_from_sums(task.sums, metric),
            held_out_from_sums(task.sums, task.sample, metric),
        )
    sample = task.sample
    points = TaskPoints(sample.latents(), sample.labels, len(task.counts), metric)
    return fit_moments_to_points(points), held_out_from_rows(points)
