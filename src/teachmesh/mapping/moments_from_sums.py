"""Fit the class moments of one task from exact sums, without its images.

The result is a function of integers that do not depend on the order in which images came. So a task
that grows has, bit for bit, the moments of a task that was learned at once.

Only the scatter of all classes together is known. The linear head therefore assumes that the
classes have equal covariances. If they also have equal numbers of images, the head is that of
`fit_ridge`.
"""

from __future__ import annotations

import numpy as np
import torch

from teachmesh.mapping.anchor_kinds import MomentsAnchor
from teachmesh.mapping.metric import Metric
from teachmesh.mapping.moments_fit import RANK, LinearScores, pack_moments
from teachmesh.mapping.ridge import RIDGE
from teachmesh.mapping.task_sums import STEPS_PER_UNIT, TaskSums
from teachmesh.mapping.within_covariance import Scatter


def fit_moments_from_sums(sums: TaskSums, metric: Metric, *, rank: int = RANK) -> MomentsAnchor:
    """Fit the moments and the head of one task, in closed form.

    Args:
        sums: exact sums of the multi-depth latents; every class has an image.
        metric: metric of the backbone's latents.
        rank: maximum number of directions, R.

    Raises:
        ValueError: a class has no image, or D is not the metric's.
    """
    _check(sums, metric)
    means = latent_means(sums)
    head = ridge_from_sums(sums).in_metric(metric)
    return pack_moments(metric.apply(means), scatter_in_metric(sums, metric), head, rank=rank)


def latent_means(sums: TaskSums) -> np.ndarray:
    """Return the (C, D) float64 class means of the latents."""
    return np.asarray(sums.sums / (sums.counts[:, None] * float(STEPS_PER_UNIT)))


def squares_within(sums: TaskSums) -> np.ndarray:
    """Return the (D, D) float64 sum of squares and products of the residuals from class means."""
    roots = torch.tensor(sums.sums / np.sqrt(sums.counts)[:, None])  # (C, D) in steps
    squares = torch.from_numpy(sums.products.astype(np.float64)) - roots.T @ roots
    return np.asarray(squares.numpy()) / float(STEPS_PER_UNIT) ** 2


def scatter_in_metric(sums: TaskSums, metric: Metric) -> Scatter:
    """Return the within-class covariance in the metric's space."""
    degrees = int(sums.counts.sum()) - sums.n_classes
    squares = squares_within(sums) if degrees else np.zeros((sums.dim, sums.dim))
    return Scatter(metric.apply_to_squares(squares), degrees)


def ridge_from_sums(sums: TaskSums, *, ridge: float = RIDGE) -> LinearScores:
    """Regress one-hot labels on latents, with the same total weight for every class.

    Args:
        sums: exact sums of the latents; every class has an image.
        ridge: see `fit_ridge`.
    """
    means, (n_classes, n_images) = latent_means(sums), (sums.n_classes, int(sums.counts.sum()))
    centre = means.mean(axis=0)
    between = torch.tensor(means - centre)  # (C, D)
    # An image of class c has the weight 1 / (C n_c), and a class has n_c - 1 degrees of freedom.
    within = (1 - float((1 / sums.counts).mean())) / max(n_images - n_classes, 1)
    gram = torch.tensor(squares_within(sums)) * within + between.T @ between / n_classes
    gram.diagonal().add_(ridge * float(gram.diagonal().sum()) / n_images + 1e-12)
    weights = torch.cholesky_solve(between.T / n_classes, torch.linalg.cholesky(gram)).T
    values = np.full(n_classes, 1 / n_classes)
    return LinearScores(np.asarray(weights.contiguous().numpy()), centre, values)


def _check(sums: TaskSums, metric: Metric) -> None:
    if sums.dim != metric.dim:
        raise ValueError(f"expected latents of size {metric.dim}, got {sums.dim}")
    missing = int((sums.counts == 0).sum())
    if missing:
        raise ValueError(
            f"expected at least one image of each of {sums.n_classes} classes, {missing} have none"
        )
