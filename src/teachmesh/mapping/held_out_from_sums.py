"""Scores of held-out images from exact sums and a sample of latents (cross-validation).

The images of a fold are taken out of the sums. So moments are fitted to all other images, including
those outside the sample.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from teachmesh.mapping.discriminant import TaskDensity, TaskMoments, own_share
from teachmesh.mapping.latent_sample import LatentSample
from teachmesh.mapping.metric import Metric
from teachmesh.mapping.moments import held_out_of
from teachmesh.mapping.moments_fit import RANK, fold_count
from teachmesh.mapping.moments_from_sums import latent_means, scatter_in_metric
from teachmesh.mapping.task_sums import STEPS_PER_UNIT, TaskSums
from teachmesh.mapping.typicality import HeldOut, folds_of
from teachmesh.mapping.within_covariance import FAST, Scatter


def held_out_from_sums(sums: TaskSums, sample: LatentSample, metric: Metric) -> HeldOut:
    """Score the images of a sample by moments that were fitted without them.

    Images of classes with a single image are left out.

    Args:
        sums: exact sums of all images of the task; every class has an image.
        sample: latents of some of these images.
        metric: metric of the backbone's latents.
    """
    counted = sums.counts[sample.labels] > 1
    if not counted.any():
        return HeldOut.of(np.zeros(0))
    latents = sample.rows / float(STEPS_PER_UNIT)
    raw = _Points(latents, latent_means(sums), sample.labels, sums.counts)
    z = _Points(metric.apply(latents), metric.apply(raw.means), sample.labels, sums.counts)
    whole = scatter_in_metric(sums, metric)
    fold = folds_of(sample.labels, fold_count(len(sample)))
    evidence, distances = np.zeros(len(sample)), np.zeros(len(sample))
    for out in np.unique(fold):
        held = np.flatnonzero(fold == out)
        density = TaskDensity.of(_moments_without(z, whole, held))
        evidence[held] = density.evidence(torch.tensor(z.points[held])).numpy()
        distances[held] = _nearest(raw.points[held], raw.means_without(held))
    points = torch.from_numpy(z.points)
    return held_out_of(torch.from_numpy(evidence), distances, counted, points, metric)


@dataclass(frozen=True, eq=False)
class _Points:
    """Points of the sample, (K, D), and the class means and numbers of all images."""

    points: np.ndarray
    means: np.ndarray
    labels: np.ndarray
    counts: np.ndarray

    def left(self, held: np.ndarray) -> np.ndarray:
        """Return the (C,) numbers of images that are left without some rows."""
        gone = np.bincount(self.labels[held], minlength=len(self.counts))
        return np.asarray(self.counts - gone)

    def residuals(self, held: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the residuals of some rows from class means, and their (C, D) class sums."""
        rows = self.points[held] - self.means[self.labels[held]]
        totals = np.zeros_like(self.means)
        np.add.at(totals, self.labels[held], rows)
        return rows, totals

    def means_without(self, held: np.ndarray) -> np.ndarray:
        """Return the means of the classes that are left without some rows."""
        left = self.left(held)
        kept = left > 0
        return np.asarray(self.means[kept] - self.residuals(held)[1][kept] / left[kept, None])


def _moments_without(z: _Points, whole: Scatter, held: np.ndarray) -> TaskMoments:
    """Return the moments of a task without some rows of the sample, in the metric's space."""
    left = z.left(held)
    kept = left > 0
    rows, totals = z.residuals(held)
    # The means of the other images move away from the removed ones, see Youngs and Cramer, 1971.
    moved = totals[kept] / np.sqrt(left[kept, None])
    removed = torch.tensor(np.concatenate([rows, moved]))
    squares = whole.squares - removed.T @ removed
    within = Scatter(squares, int(left.sum()) - int(kept.sum()))
    directions, variances, rest = within.leading(RANK, FAST)
    roots = np.sqrt(variances)[:, None] * directions
    return TaskMoments(z.means_without(held), roots, rest, own_share(within.degrees))


def _nearest(points: np.ndarray, means: np.ndarray) -> np.ndarray:
    """Return the (N,) squared distances of points to the nearest mean."""
    gaps = torch.cdist(torch.tensor(points), torch.tensor(means))
    return np.asarray(gaps.square().amin(dim=1).numpy())
