"""What a bank knows that may help a new task: its covariances, and classes that match."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from teachmesh.mapping.discriminant import TaskMoments
from teachmesh.mapping.fusion import tempered_losses
from teachmesh.mapping.moments import DENSITY_SHARE, MomentsAnchor
from teachmesh.mapping.moments_fit import class_means
from teachmesh.mapping.quantise import dequantise_rows, quantise_rows
from teachmesh.mapping.whitening import (
    RIDGE,
    DenseWhitening,
    LowRankWhitening,
    Whitening,
    ridge_of,
)
from teachmesh.reuse import visual_similarity as visual
from teachmesh.reuse.leave_one_out_ridge import LooRidge, slope_on


@dataclass(frozen=True, eq=False)
class MatchedClasses:
    """Matched classes of one old task.

    Attributes:
        classes: (M,) int64 classes of the new task, each once.
        means: (M, D) float64 means of their old counterparts.
        rows: (M, D) float64 head rows of these.
    """

    classes: np.ndarray
    means: np.ndarray
    rows: np.ndarray


@dataclass(frozen=True, eq=False)
class BankPrior:
    """What a bank knows that may help a new task.

    Attributes:
        tasks: moments of the bank's tasks, in canonical order; at least one.
        groups: one per old task with matched classes; may be empty.
    """

    tasks: tuple[TaskMoments, ...]
    groups: tuple[MatchedClasses, ...] = ()

    @cached_property
    def whitening(self) -> np.ndarray:
        """(D, D) float64 map to the space where the bank's covariance is the identity."""
        identity = torch.eye(self.tasks[0].means.shape[1], dtype=torch.float64)
        ridge = visual.RIDGE - RIDGE  # the rest is what every whitening adds
        return np.asarray(pooled(self.tasks, ridge).apply(identity).T.numpy())


def pooled(tasks: Sequence[TaskMoments], ridge: float) -> Whitening:
    """Whitening by the mean covariance of tasks; without a (D, D) matrix where they are few.

    Args:
        tasks: at least one.
        ridge: added to the diagonal beyond `mapping.whitening.RIDGE`, as a share of its mean.
    """
    roots = np.concatenate([task.roots for task in tasks]) / len(tasks) ** 0.5  # (all R, D)
    residual = np.mean([task.residual for task in tasks], axis=0)
    trace, dim = float((roots * roots).sum() + residual.sum()), len(residual)
    diagonal = residual + ridge_of(trace, dim) + ridge * trace / dim
    if 2 * len(roots) < dim:
        return LowRankWhitening(roots, diagonal)
    return DenseWhitening(roots.T @ roots + np.diag(diagonal))


MEAN_SLOPE = 0.7
"""How far apart old class means are believed to lie in the new task."""
PSEUDO_COUNTS = (1.0, 3.0, 9.0)
"""Images that the prior of a mean may count for."""
SHARPNESS = tuple(2.0 ** (i / 2) for i in range(-10, 3))
"""Inverse temperatures of scores."""


@dataclass(frozen=True, eq=False)
class PriorFit:
    """A borrowed head and borrowed means."""

    weights: np.ndarray
    values: np.ndarray
    means: np.ndarray
    slope: float


class Shots:
    """The shots, whitened by the bank's covariance, and what all offers share.

    Every mean in question is a weighted sum of shots and old means, so each of these is whitened
    once and sums are taken there.
    """

    def __init__(self, latents: np.ndarray, labels: np.ndarray, n_classes: int, bank: BankPrior):
        self.x = latents.astype(np.float64)
        self.labels = labels
        self.n_classes = n_classes
        self.whitening = bank.whitening  # (D, D)
        self.z = self.x @ self.whitening.T
        self.means = class_means(self.x, labels, n_classes)
        self.centres = class_means(self.z, labels, n_classes)
        self.counts = np.bincount(labels, minlength=n_classes)
        self.one_hot = np.eye(n_classes)[labels]

    def densities(self, centres: np.ndarray, own: np.ndarray) -> np.ndarray:
        """(N, C) log densities of whitened means; `own` (N, D): each shot's class without it."""
        squares = (centres * centres).sum(1) - 2 * self.z @ centres.T
        rows = np.arange(len(self.labels))
        squares[rows, self.labels] = (own * own).sum(1) - 2 * (own * self.z).sum(1)
        return np.asarray(-0.5 * squares)

    def whitened(self, means: np.ndarray) -> np.ndarray:
        """(K, D) old means in the whitened space."""
        return np.asarray(means @ self.whitening.T)

    def left_out_centres(self) -> np.ndarray:
        """(N, D) whitened mean of each shot's class without it; the task's where it is alone."""
        counts = self.counts[self.labels][:, None]
        others = (self.centres[self.labels] * counts - self.z) / np.maximum(counts - 1, 1)
        return np.asarray(np.where(counts > 1, others, self.centres.mean(axis=0)))


def fit_with_prior(shots: Shots, groups: tuple[MatchedClasses, ...]) -> PriorFit:
    """Head and means of the shots with what the bank knows.

    Args:
        shots: of the new task.
        groups: matched classes; without any, only the bank's covariance is borrowed.
    """
    ridge = LooRidge(shots.z, shots.labels, shots.n_classes)
    rows = _prior_rows(shots, groups)
    target, slope = shots.one_hot, 0.0
    if groups:
        prior = shots.x @ rows.T  # (N, C)
        slope = slope_on(ridge, target, prior)
        target = target - slope * prior
    weights = ridge.weights(target) @ shots.whitening + slope * rows
    share = ridge.share.numpy()
    values = share @ shots.one_hot - weights @ (share @ shots.x)
    return PriorFit(weights, values, _drawn_means(shots, groups), slope)


def _prior_rows(shots: Shots, groups: tuple[MatchedClasses, ...]) -> np.ndarray:
    """(C, D) rows of old heads and of old mean differences, in units of the one-hot targets."""
    total = np.zeros((shots.n_classes, shots.x.shape[1]))
    for part in ("rows", "means"):
        rows = np.zeros_like(total)
        for group in groups:
            old = group.rows
            if part == "means":
                differences = shots.whitened(group.means - group.means.mean(axis=0))
                old = differences @ shots.whitening
            rows[group.classes] += _unit_spread(old, shots.x)
        total += _unit_spread(rows, shots.x)
    rate = 1 / shots.n_classes
    return np.asarray(total * (0.5 * (rate * (1 - rate)) ** 0.5))


def _unit_spread(rows: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Rows (K, D) scaled so that the scores of x have deviation 1; zero rows stay zero."""
    spread = (x @ rows.T).std(axis=0)
    return np.asarray(rows / np.where(spread > 1e-12, spread, np.inf)[:, None])


def _drawn_means(shots: Shots, groups: tuple[MatchedClasses, ...]) -> np.ndarray:
    """(C, D) class means drawn to their prior by the pseudo-count that left-out shots prefer."""
    prior = _prior_means(shots.means, groups, [group.means for group in groups])
    whitened = _prior_means(shots.centres, groups, [shots.whitened(g.means) for g in groups])
    left_out = shots.left_out_centres()
    losses = []
    for count in PSEUDO_COUNTS:
        centres = _drawn(shots.centres, whitened, shots.counts, count)
        own_counts = shots.counts[shots.labels] - 1
        own = _drawn(left_out, whitened[shots.labels], own_counts, count)
        densities = shots.densities(centres, own)
        losses.append(float(losses_of(DENSITY_SHARE * densities, shots.labels).mean()))
    best = PSEUDO_COUNTS[int(np.argmin(losses))]
    return _drawn(shots.means, prior, shots.counts, best)


def _drawn(means: np.ndarray, prior: np.ndarray, counts: np.ndarray, count: float) -> np.ndarray:
    own = (counts / (counts + count))[:, None]
    return np.asarray(own * means + (1 - own) * prior)


def _prior_means(
    own: np.ndarray, groups: tuple[MatchedClasses, ...], old_means: list[np.ndarray]
) -> np.ndarray:
    """(C, D): old means moved to the new task, averaged over old tasks; else the task's centre."""
    sums = np.zeros_like(own)
    counts = np.zeros(len(own))
    for group, old in zip(groups, old_means, strict=True):
        if len(group.classes) < 2:
            continue  # one class alone says nothing about where it lies among others
        sums[group.classes] += own[group.classes].mean(axis=0)
        sums[group.classes] += MEAN_SLOPE * (old - old.mean(axis=0))
        counts[group.classes] += 1
    known = counts > 0
    sums[known] /= counts[known, None]
    sums[~known] = own.mean(axis=0)
    return sums


def rebuilt(alone: MomentsAnchor, offer: PriorFit) -> MomentsAnchor:
    """The anchor with borrowed head and means; its own scatter stays."""
    means, mean_scales = quantise_rows(offer.means)
    head, head_scales = quantise_rows(offer.weights)
    # As in `fit_moments`: the bias belongs to the rounded weights.
    drift = (offer.weights - dequantise_rows(head, head_scales)) @ offer.means.mean(axis=0)
    return dataclasses.replace(
        alone,
        means=means,
        mean_scales=mean_scales,
        head=head,
        head_scales=head_scales,
        head_bias=(offer.values + drift).astype(np.float32),
    )


def losses_of(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(N,) nats at the temperature that suits the scores best: sure and wrong is not held twice."""
    return tempered_losses(scores, labels, SHARPNESS)
