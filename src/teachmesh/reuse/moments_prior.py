"""Prior for class moments: a bank's covariance, and old classes that match new classes.

`BankPrior` holds the prior, `Shots` holds the whitened shots of the new task, and
`fit_with_prior` uses both to fit a head and class means.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from teachmesh.mapping.anchor_kinds import MomentsAnchor
from teachmesh.mapping.discriminant import TaskMoments, class_means
from teachmesh.mapping.fusion import tempered_losses
from teachmesh.mapping.metric import Metric
from teachmesh.mapping.moments_fit import DENSITY_SHARE, LinearScores, refitted
from teachmesh.mapping.whitening import (
    RIDGE,
    DenseWhitening,
    LowRankWhitening,
    Whitening,
    ridge_of,
)
from teachmesh.reuse import visual_similarity as visual
from teachmesh.reuse.leave_one_out_ridge import LeaveOneOutRidge, fit_prior_weight

MEAN_SLOPE = 0.7
"""Expected ratio of the distances between class means: new task divided by old task."""
PSEUDO_COUNTS = (1.0, 3.0, 9.0)
"""Candidate weights of the prior for a class mean, as equivalent numbers of images."""
SHARPNESS = tuple(2.0 ** (i / 2) for i in range(-10, 3))
"""Candidate inverse temperatures for scaling scores."""


@dataclass(frozen=True, eq=False)
class MatchedClasses:
    """Classes of one old task that match classes of the new task.

    Attributes:
        classes: (M,) int64 indices of the matched new classes; each occurs once.
        means: (M, D) float64 class means of the matched old classes.
        rows: (M, D) float64 head rows of the matched old classes.
    """

    classes: np.ndarray
    means: np.ndarray
    rows: np.ndarray


@dataclass(frozen=True, eq=False)
class BankPrior:
    """Moments of a bank's tasks, and the old classes that match classes of the new task.

    Attributes:
        tasks: moments of the bank's tasks in canonical order, at least one.
        metric: metric of the backbone's latents.
        matched: matched classes, with one entry for each old task that has any; may be empty.
    """

    tasks: tuple[TaskMoments, ...]
    metric: Metric
    matched: tuple[MatchedClasses, ...] = ()

    @cached_property
    def whitening(self) -> np.ndarray:
        """(D, D) float64 map to the space where the bank's covariance is the identity."""
        identity = torch.eye(self.tasks[0].means.shape[1], dtype=torch.float64)
        ridge = visual.RIDGE - RIDGE  # `pooled_whitening` adds RIDGE itself
        return np.asarray(pooled_whitening(self.tasks, ridge).apply(identity).T.numpy())


def pooled_whitening(tasks: Sequence[TaskMoments], ridge: float) -> Whitening:
    """Return the whitening for the mean covariance of the given tasks.

    If there are few tasks, no (D, D) matrix is computed.

    Args:
        tasks: moments of the tasks, at least one.
        ridge: ridge to add to `mapping.whitening.RIDGE`, as a fraction of the diagonal's mean.
    """
    roots = np.concatenate([task.roots for task in tasks]) / len(tasks) ** 0.5  # (all R, D)
    rest = float(np.mean([task.rest for task in tasks]))
    dim = tasks[0].means.shape[1]
    trace = float((roots * roots).sum()) + dim * rest
    diagonal = np.full(dim, rest + ridge_of(trace, dim) + ridge * trace / dim)
    if 2 * len(roots) < dim:
        return LowRankWhitening(roots, diagonal)
    return DenseWhitening(roots.T @ roots + np.diag(diagonal))


class Shots:
    """The shots of a new task in the metric's space, also whitened by the bank's covariance.

    All class means in this module are weighted sums of shots and old means. Shots and old means are
    therefore whitened once, and the sums are computed in the whitened space.

    Args:
        latents: (N, D) float32 multi-depth latents.
        labels: (N,) int64 class of each shot; every class occurs.
        n_classes: number of classes, C.
        bank: prior with the bank's covariance.
    """

    def __init__(self, latents: np.ndarray, labels: np.ndarray, n_classes: int, bank: BankPrior):
        self.x = bank.metric.apply(latents)
        self.labels = labels
        self.n_classes = n_classes
        self.whitening = bank.whitening  # (D, D)
        self.z = self.x @ self.whitening.T
        self.means = class_means(self.x, labels, n_classes)
        self.centres = class_means(self.z, labels, n_classes)
        self.counts = np.bincount(labels, minlength=n_classes)
        self.one_hot = np.eye(n_classes)[labels]

    def whitened(self, means: np.ndarray) -> np.ndarray:
        """Map (K, D) old means to the whitened space."""
        return np.asarray(means @ self.whitening.T)

    def densities(self, centres: np.ndarray, left_out: np.ndarray) -> np.ndarray:
        """Return (N, C) log densities of the shots, up to a constant per shot.

        Args:
            centres: (C, D) whitened class means.
            left_out: (N, D) whitened class means, one per shot and computed without that shot.
        """
        squares = (centres * centres).sum(1) - 2 * self.z @ centres.T
        rows = np.arange(len(self.labels))
        own_class = (left_out * left_out).sum(1) - 2 * (left_out * self.z).sum(1)
        squares[rows, self.labels] = own_class
        return np.asarray(-0.5 * squares)

    def left_out_centres(self) -> np.ndarray:
        """Return the (N, D) whitened class means of the shots, each computed without its shot.

        For a shot that is the only one of its class, this is the mean of all class means.
        """
        counts = self.counts[self.labels][:, None]
        others = (self.centres[self.labels] * counts - self.z) / np.maximum(counts - 1, 1)
        return np.asarray(np.where(counts > 1, others, self.centres.mean(axis=0)))


@dataclass(frozen=True, eq=False)
class PriorFit:
    """Head and class means, fitted to the shots with a prior.

    Attributes:
        weights: (C, D) float64 head rows.
        values: (C,) float64 scores of the head at the origin of the latent space.
        means: (C, D) float64 class means.
        prior_weight: weight of the old rows in the new head; 0 if no class matches.
    """

    weights: np.ndarray
    values: np.ndarray
    means: np.ndarray
    prior_weight: float


def fit_with_prior(shots: Shots, matched: tuple[MatchedClasses, ...]) -> PriorFit:
    """Fit a head and class means to the shots, with the bank as a prior.

    Args:
        shots: whitened shots of the new task.
        matched: matched classes; if empty, only the bank's covariance is used.
    """
    ridge = LeaveOneOutRidge(shots.z, shots.labels, shots.n_classes)
    rows = _prior_rows(shots, matched)
    target, weight = shots.one_hot, 0.0
    if matched:
        prior = shots.x @ rows.T  # (N, C)
        weight = fit_prior_weight(ridge, target, prior)
        target = target - weight * prior
    weights = ridge.weights(target) @ shots.whitening + weight * rows
    share = ridge.share.numpy()
    values = share @ shots.one_hot - weights @ (share @ shots.x)
    return PriorFit(weights, values, _shrunk_means(shots, matched), weight)


def _prior_rows(shots: Shots, matched: tuple[MatchedClasses, ...]) -> np.ndarray:
    """Compute (C, D) prior head rows from old heads and class means, scaled to one-hot targets."""
    total = np.zeros((shots.n_classes, shots.x.shape[1]))
    for part in ("rows", "means"):
        rows = np.zeros_like(total)
        for task in matched:
            old = task.rows
            if part == "means":
                differences = shots.whitened(task.means - task.means.mean(axis=0))
                old = differences @ shots.whitening
            rows[task.classes] += _unit_spread(old, shots.x)
        total += _unit_spread(rows, shots.x)
    rate = 1 / shots.n_classes
    return np.asarray(total * (0.5 * (rate * (1 - rate)) ** 0.5))


def _unit_spread(rows: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Scale (K, D) rows so that the scores on x have standard deviation 1; keep zero rows."""
    spread = (x @ rows.T).std(axis=0)
    return np.asarray(rows / np.where(spread > 1e-12, spread, np.inf)[:, None])


def _shrunk_means(shots: Shots, matched: tuple[MatchedClasses, ...]) -> np.ndarray:
    """Return (C, D) class means, shrunk toward the prior with the best leave-one-out weight."""
    prior = _prior_means(shots.means, matched, [task.means for task in matched])
    whitened = _prior_means(shots.centres, matched, [shots.whitened(t.means) for t in matched])
    left_out = shots.left_out_centres()
    losses = []
    for count in PSEUDO_COUNTS:
        centres = _shrink(shots.centres, whitened, shots.counts, count)
        own_counts = shots.counts[shots.labels] - 1
        own = _shrink(left_out, whitened[shots.labels], own_counts, count)
        densities = shots.densities(centres, own)
        losses.append(float(shot_losses(DENSITY_SHARE * densities, shots.labels).mean()))
    best = PSEUDO_COUNTS[int(np.argmin(losses))]
    return _shrink(shots.means, prior, shots.counts, best)


def _shrink(means: np.ndarray, prior: np.ndarray, counts: np.ndarray, count: float) -> np.ndarray:
    own = (counts / (counts + count))[:, None]
    return np.asarray(own * means + (1 - own) * prior)


def _prior_means(
    own: np.ndarray, matched: tuple[MatchedClasses, ...], old_means: list[np.ndarray]
) -> np.ndarray:
    """Return (C, D) old class means, shifted to the new task and averaged over the old tasks.

    For a class without an old mean, this is the centre of the new task.
    """
    sums = np.zeros_like(own)
    counts = np.zeros(len(own))
    for task, old in zip(matched, old_means, strict=True):
        if len(task.classes) < 2:
            continue  # a single class has no position relative to other classes
        sums[task.classes] += own[task.classes].mean(axis=0)
        sums[task.classes] += MEAN_SLOPE * (old - old.mean(axis=0))
        counts[task.classes] += 1
    has_prior = counts > 0
    sums[has_prior] /= counts[has_prior, None]
    sums[~has_prior] = own.mean(axis=0)
    return sums


def with_fit(alone: MomentsAnchor, fit: PriorFit) -> MomentsAnchor:
    """Replace the head and the class means of an anchor, and keep its covariance."""
    origin = np.zeros(fit.means.shape[1])
    return refitted(alone, fit.means, LinearScores(fit.weights, origin, fit.values))


def shot_losses(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return N log losses in nats, after temperature scaling to remove overconfidence."""
    return tempered_losses(scores, labels, SHARPNESS)
