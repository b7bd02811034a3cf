"""Class moments of a new task, helped by what a bank knows of its classes (Sec. 7.2.2).

Three things are borrowed, each in closed form:

- the metric: the within-class covariance of the bank, which a few shots cannot estimate;
- rows: the head rows and the mean differences of the matched old classes are a prior for the new
  head's rows. Regression explains only what they leave;
- means: class means are drawn toward the old ones (moved to where the new task lies), or where
  nothing matches toward the task's own centre.

How much of each is decided by leave-one-out on the shots. Whether anything is borrowed at all is
decided by a gate: both ways of learning are tried on a part of the shots and answer for the rest,
each shot once. Without a clear gain the result is the very anchor that learning alone gives. Test
and validation images are no argument.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from skillmesh.mapping.discriminant import Discriminant, TaskMoments
from skillmesh.mapping.moments import (
    DENSITY_SHARE,
    HEAD_TEMPERATURE,
    OWN_SHARE,
    MomentsAnchor,
    fit_moments,
)
from skillmesh.mapping.quantise import dequantise_rows, quantise_rows
from skillmesh.mapping.scatter import class_means
from skillmesh.mapping.whitening import (
    RIDGE,
    DenseWhitening,
    LowRankWhitening,
    Whitening,
    ridge_of,
)
from skillmesh.reuse import visual
from skillmesh.training.loo_ridge import LooRidge

PRIOR_SLOPE = 0.3
"""What the slope on old rows is drawn to; as much as leave-one-out says of it (validation)."""
MEAN_SLOPE = 0.7
"""How far apart old class means are believed to lie in the new task."""
PSEUDO_COUNTS = (1.0, 3.0, 9.0)
"""Images that the prior of a mean may count for."""
TEMPERATURES = tuple(2.0 ** (i / 2) for i in range(-10, 3))
MOST_SHOTS = 20
"""Images per class from which a task is left alone: its own say more than anybody's."""
LEAST_TASKS = 5
"""Tasks that make a covariance worth borrowing where no class matches."""
FOLDS = 3
GATE_GAIN = 0.5
"""Standard errors by which held-out shots have to be likelier with what is borrowed."""


@dataclass(frozen=True, eq=False)
class Group:
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
class Relatives:
    """What a bank knows that may help a new task.

    Attributes:
        tasks: moments of the bank's tasks, in canonical order; at least one.
        groups: one per old task with matched classes; may be empty.
    """

    tasks: tuple[TaskMoments, ...]
    groups: tuple[Group, ...] = ()

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


@dataclass(frozen=True, eq=False)
class Borrowed:
    """What came of asking the relatives.

    Attributes:
        anchor: of the new task; the one of learning alone where nothing was borrowed.
        kind: "nothing", "covariance", or "classes" where old rows are part of it.
        gain: by how many standard errors held-out shots are likelier; 0 where none were asked.
        right: how many more held-out shots are named right, as a fraction of all shots.
        slope: how much of the old rows went into the new ones.
    """

    anchor: MomentsAnchor
    kind: str
    gain: float = 0.0
    right: float = 0.0
    slope: float = 0.0


@dataclass(frozen=True, eq=False)
class _Offer:
    """A borrowed head and borrowed means."""

    weights: np.ndarray
    values: np.ndarray
    means: np.ndarray
    slope: float


class _Shots:
    """The shots, whitened by the bank's covariance, and what all offers share.

    Every mean in question is a weighted sum of shots and old means, so each of these is whitened
    once and sums are taken there.
    """

    def __init__(self, latents: np.ndarray, labels: np.ndarray, n_classes: int, bank: Relatives):
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


def borrow(
    alone: MomentsAnchor,
    latents: np.ndarray,
    labels: np.ndarray,
    n_classes: int,
    relatives: Relatives,
) -> Borrowed:
    """Improve the moments of a task by what its relatives know, or leave them as they are.

    Args:
        alone: the moments that the shots give by themselves.
        latents: (N, D) float32 multi-depth latents of the shots.
        labels: (N,) int64; every class occurs.
        n_classes: C.
        relatives: from the bank.
    """
    counts = np.bincount(labels, minlength=n_classes)
    worth_it = bool(relatives.groups) or len(relatives.tasks) >= LEAST_TASKS
    if n_classes < 2 or counts.min() < 2 or np.median(counts) > MOST_SHOTS or not worth_it:
        return Borrowed(alone, "nothing")
    gain, right = held_out_gain(latents, labels, n_classes, relatives)
    if gain <= GATE_GAIN or right < 0:
        return Borrowed(alone, "nothing", gain, right)
    offer = _offer(_Shots(latents, labels, n_classes, relatives), relatives.groups)
    kind = "classes" if relatives.groups else "covariance"
    return Borrowed(_rebuilt(alone, offer), kind, gain, right, offer.slope)


def held_out_gain(
    latents: np.ndarray, labels: np.ndarray, n_classes: int, relatives: Relatives
) -> tuple[float, float]:
    """What borrowing would bring: both ways learn from a part of the shots and answer for the rest.

    Returns:
        By how many standard errors held-out shots are likelier with it, and how many more of them
        are named right, as a fraction.
    """
    folds = min(FOLDS, int(np.bincount(labels, minlength=n_classes).min()))
    fold = _fold_of(labels, folds)
    scores = [np.zeros((len(labels), n_classes)) for _ in range(2)]
    for held in range(folds):
        out, kept = fold == held, fold != held
        alone = fit_moments(latents[kept], labels[kept], n_classes)
        shots = _Shots(latents[kept], labels[kept], n_classes, relatives)
        borrowed = _rebuilt(alone, _offer(shots, relatives.groups))
        for target, answers in zip(
            scores, answers_inside((alone, borrowed), latents[out], relatives), strict=True
        ):
            target[out] = answers
    gains = _losses(scores[0], labels) - _losses(scores[1], labels)
    right = [(answers.argmax(1) == labels).mean() for answers in scores]
    return _in_errors(gains), float(right[1] - right[0])


def _fold_of(labels: np.ndarray, folds: int) -> np.ndarray:
    """(N,) fold of each shot; the shots of a class are dealt out in turn."""
    fold = np.zeros(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        fold[members] = np.arange(len(members)) % folds
    return fold


def answers_inside(
    anchors: tuple[MomentsAnchor, ...], latents: np.ndarray, relatives: Relatives
) -> list[np.ndarray]:
    """(N, C) scores inside the task, as `MomentsMapper` gives them among the bank's tasks."""
    # Borrowing leaves a task's own scatter as it is, so one covariance serves all.
    whiten = pooled((*relatives.tasks, anchors[0].moments()), 0.0)
    judge = Discriminant(whiten, [anchor.moments() for anchor in anchors], OWN_SHARE)
    densities = judge.scores(torch.from_numpy(latents.astype(np.float64)))
    return [
        anchor.head_logits(latents) / HEAD_TEMPERATURE + DENSITY_SHARE * density.numpy()
        for anchor, density in zip(anchors, densities, strict=True)
    ]


def _offer(shots: _Shots, groups: tuple[Group, ...]) -> _Offer:
    ridge = LooRidge(shots.z, shots.labels, shots.n_classes)
    rows = _prior_rows(shots, groups)
    target, slope = shots.one_hot, 0.0
    if groups:
        prior = shots.x @ rows.T  # (N, C)
        slope = _slope(ridge.left_out_errors(target), ridge.left_out_errors(prior))
        target = target - slope * prior
    weights = ridge.weights(target) @ shots.whitening + slope * rows
    share = ridge.share.numpy()
    values = share @ shots.one_hot - weights @ (share @ shots.x)
    return _Offer(weights, values, _drawn_means(shots, groups), slope)


def _prior_rows(shots: _Shots, groups: tuple[Group, ...]) -> np.ndarray:
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


def _slope(errors: np.ndarray, unseen: np.ndarray) -> float:
    """How much of the prior to take: what leave-one-out says, half drawn to what is usual."""
    power = float(np.vdot(unseen, unseen))
    best = float(np.vdot(unseen, errors)) / power if power > 0 else 0.0
    return max(0.0, 0.5 * (best + PRIOR_SLOPE))


def _drawn_means(shots: _Shots, groups: tuple[Group, ...]) -> np.ndarray:
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
        losses.append(float(_losses(DENSITY_SHARE * densities, shots.labels).mean()))
    best = PSEUDO_COUNTS[int(np.argmin(losses))]
    return _drawn(shots.means, prior, shots.counts, best)


def _drawn(means: np.ndarray, prior: np.ndarray, counts: np.ndarray, count: float) -> np.ndarray:
    own = (counts / (counts + count))[:, None]
    return np.asarray(own * means + (1 - own) * prior)


def _prior_means(
    own: np.ndarray, groups: tuple[Group, ...], old_means: list[np.ndarray]
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


def _in_errors(differences: np.ndarray) -> float:
    """Mean in standard errors; one shot says nothing."""
    if len(differences) < 2:
        return 0.0
    # One more pair of opposite observations: a unanimous handful is not certainty.
    error = (float((differences**2).sum()) + 2 * float(np.abs(differences).max()) ** 2) ** 0.5
    return float(differences.sum()) / error if error > 0 else 0.0


def _losses(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(N,) nats at the temperature that suits the scores best: sure and wrong is not held twice."""
    best = np.full(len(labels), np.inf)
    for temperature in TEMPERATURES:
        scaled = temperature * scores
        scaled = scaled - scaled.max(axis=1, keepdims=True)
        losses = np.log(np.exp(scaled).sum(axis=1)) - scaled[np.arange(len(labels)), labels]
        if losses.mean() < best.mean():
            best = losses
    return best


def _rebuilt(alone: MomentsAnchor, offer: _Offer) -> MomentsAnchor:
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
