"""Fit the class moments of one task: class means, within-class covariance and linear head.

Everything is computed in the space of the backbone's metric. The head adds two linear classifiers:
ridge regression on the latents, and the discriminant of the task's whole covariance. The student
has only a few directions of that covariance, but the head keeps what the rest says.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from teachmesh.mapping.anchor_kinds import MAX_SPREAD, MomentsAnchor
from teachmesh.mapping.discriminant import class_means, own_share
from teachmesh.mapping.metric import Metric
from teachmesh.mapping.quantise import dequantise_rows, quantise_rows
from teachmesh.mapping.ridge import fit_ridge
from teachmesh.mapping.task_points import TaskPoints
from teachmesh.mapping.within_covariance import Covariance, WithinCovariance

RANK = 32
"""Maximum number of directions that represent a task's covariance."""
HEAD_TEMPERATURE = 0.2
"""Divisor of the ridge head's scores, because regression on 0 and 1 gives underconfident scores."""
HEAD_SHARE = 0.4
"""Weight of a task's own covariance in its head, for many degrees of freedom."""
DENSITY_SHARE = 0.04
"""Factor applied to the discriminant's log densities in the head, for reliable class means.

Chosen together with `HEAD_SHARE` on the validation images of 36 real tasks, for three networks and
8 images per class or more. Accuracy is then highest, and probabilities are calibrated."""
_LARGEST_SPREAD = 0.98 * MAX_SPREAD
"""Maximum mean variance that a teacher sends, with a margin for rounding."""
FOLDS = 8
MANY_IMAGES = 400
FOLDS_OF_MANY = 5
"""Number of folds of the cross-validation with more than `MANY_IMAGES` images."""


@dataclass(frozen=True, eq=False)
class LinearScores:
    """A linear head with the scores `values + weights @ (x - centre)`.

    Attributes:
        weights: (C, D) float64 head rows.
        centre: (D,) float64 reference point.
        values: (C,) float64 scores at the reference point.
    """

    weights: np.ndarray
    centre: np.ndarray
    values: np.ndarray

    def in_metric(self, metric: Metric) -> LinearScores:
        """Return the same scores as a function of points in the metric's space."""
        centre = metric.apply(self.centre[None])[0]
        return LinearScores(metric.pull_back(self.weights), centre, self.values)


def fit_moments(
    latents: np.ndarray,
    labels: np.ndarray,
    n_classes: int,
    metric: Metric,
    *,
    rank: int = RANK,
) -> MomentsAnchor:
    """Fit the moments and the head of one task, in closed form.

    Args:
        latents: (N, D) float32 multi-depth latents.
        labels: (N,) int64 class of each image; every class occurs.
        n_classes: number of classes, C.
        metric: metric of the backbone's latents.
        rank: maximum number of directions, R.

    Raises:
        ValueError: a class has no image, or D is not the metric's.
    """
    return fit_moments_to_points(TaskPoints(latents, labels, n_classes, metric), rank=rank)


def fit_moments_to_points(points: TaskPoints, *, rank: int = RANK) -> MomentsAnchor:
    """Return the result of `fit_moments` for points whose products may be known already.

    Args:
        points: the labelled images of a task.
        rank: maximum number of directions, R.
    """
    labels, n_classes = points.labels, points.n_classes
    means = class_means(points.z, labels, n_classes)
    within = Covariance.of_residuals(
        points.z - means[labels], n_classes, points.products_of_residuals()
    )
    head = LinearScores(*fit_ridge(points.latents, labels, n_classes)).in_metric(points.metric)
    return pack_moments(means, within, head, rank=rank)


def pack_moments(
    means: np.ndarray, within: WithinCovariance, head: LinearScores, *, rank: int = RANK
) -> MomentsAnchor:
    """Quantise class means, within-class covariance and head as the skill format requires.

    Args:
        means: (C, D) float64 class means in the metric's space.
        within: within-class covariance of the task.
        head: linear head with scores of about 1 for the right class, otherwise about 0.
        rank: maximum number of directions, R.
    """
    directions, variances, rest = within.leading(rank)
    spread = variances.sum() / means.shape[1] + rest
    # With few images per class, the unbiased estimate can exceed the largest possible variance.
    shrink = min(1.0, _LARGEST_SPREAD / max(spread, 1e-12))
    quantised_means, mean_scales = quantise_rows(means)
    weights, bias = fused_head(means, within, head)
    quantised_head, head_scales = quantise_rows(weights)
    # The bias is computed for the rounded weights, so that scores at the centre are exact.
    bias = bias + (weights - dequantise_rows(quantised_head, head_scales)) @ head.centre
    return MomentsAnchor(
        quantised_means,
        mean_scales,
        quantise_rows(directions)[0],
        (shrink * variances).astype(np.float32),
        np.array([shrink * rest], dtype=np.float32),
        np.array([within.degrees], dtype=np.uint32),
        quantised_head,
        head_scales,
        bias.astype(np.float32),
    )


def refitted(anchor: MomentsAnchor, means: np.ndarray, head: LinearScores) -> MomentsAnchor:
    """Replace the class means and the head of an anchor, and keep its covariance.

    Args:
        anchor: moments of a task.
        means: (C, D) float64 class means in the metric's space.
        head: linear head with scores of about 1 for the right class, otherwise about 0.
    """
    within = Covariance(anchor.roots(), int(anchor.degrees[0]), rest=float(anchor.rest[0]))
    packed = pack_moments(means, within, head)
    kept = {name: getattr(anchor, name) for name in ("directions", "variances", "rest", "degrees")}
    return dataclasses.replace(packed, **kept)


def fused_head(
    means: np.ndarray, within: WithinCovariance, head: LinearScores
) -> tuple[np.ndarray, np.ndarray]:
    """Add a linear head and the discriminant of the task's covariance.

    Args:
        means: (C, D) float64 class means in the metric's space.
        within: within-class covariance of the task.
        head: linear head with scores of about 1 for the right class, otherwise about 0.

    Returns:
        (C, D) weights and (C,) biases of a head whose scores are log posteriors up to a constant.
    """
    centre = means.mean(axis=0)
    share = own_share(within.degrees, HEAD_SHARE)
    rows = within.times_precision(means - centre, share)  # (C, D)
    factor = DENSITY_SHARE * reliability(means, within) ** 2
    weights = head.weights / HEAD_TEMPERATURE + factor * rows
    bias = (head.values - head.weights @ head.centre) / HEAD_TEMPERATURE
    bias = bias - factor * (rows * (means + centre)).sum(axis=1) / 2
    return weights, bias


def reliability(means: np.ndarray, within: WithinCovariance) -> float:
    """Return the fraction of the spread of class means that is not due to few images, 0 to 1.

    With few images, class means are far apart by chance, and densities would be overconfident. The
    identity replaces a covariance without degrees of freedom.

    Args:
        means: (C, D) float64 class means in the metric's space.
        within: within-class covariance of the task.
    """
    n_classes, dim = means.shape
    trace = float(dim) if within.degrees == 0 else within.trace
    noise = trace / (within.degrees / n_classes + 1)
    spread = float(((means - means.mean(axis=0)) ** 2).sum()) / max(n_classes - 1, 1)
    between = max(spread - noise, 0.0)
    return float(between / max(between + noise, 1e-12))


def fold_count(n_images: int) -> int:
    """Return the number of folds of the cross-validation.

    >>> [fold_count(n_images) for n_images in (3, 400, 401)]
    [3, 8, 5]
    """
    return min(n_images, FOLDS) if n_images <= MANY_IMAGES else FOLDS_OF_MANY
