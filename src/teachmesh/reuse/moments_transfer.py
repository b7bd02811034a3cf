"""Improve the class moments of a new task with a prior from the bank, if it helps (Sec. 7.2.2).

The prior has three parts, all used in closed form:

- covariance: the bank's within-class covariance, because a few shots do not determine a covariance;
- rows: a prior for the new head rows, from the head rows and the mean differences of matched old
  classes; regression fits the residual;
- means: class means are shrunk toward the matched old means, which are first shifted to the new
  task. Class means without a match are shrunk toward the centre of the new task.

Leave-one-out errors on the shots determine the weights of rows and means. A gate decides whether
the prior is used at all: cross-validation on the shots compares the moments with and without it.
Without a clear gain, the result is exactly the anchor fitted without a prior. Validation and test
images are not used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from teachmesh.mapping.anchor_kinds import MomentsAnchor
from teachmesh.mapping.fusion import in_errors
from teachmesh.mapping.metric import Metric
from teachmesh.mapping.moments_fit import fit_moments
from teachmesh.reuse.moments_prior import (
    BankPrior,
    MatchedClasses,
    Shots,
    fit_with_prior,
    shot_losses,
    with_fit,
)

MOST_SHOTS = 20
"""Maximum median number of images per class at which a prior is tried."""
LEAST_TASKS = 5
"""If no class matches, the covariance is used only with at least this many old tasks."""
FOLDS = 3
GATE_GAIN = 0.5
"""Minimum loss reduction on held-out shots for using a prior, in standard errors."""
SMALL_LOSS = 1e-3
"""Mean loss reduction in nats that is too small to matter, whatever its standard error."""


@dataclass(frozen=True)
class Trial:
    """Loss and accuracy on held-out shots, with and without a prior.

    Attributes:
        loss: mean loss with the prior, in nats.
        gain: loss reduction by the prior, in standard errors; 0 below `SMALL_LOSS`.
        right: fraction of shots classified correctly with the prior.
        right_alone: fraction of shots classified correctly without the prior.
    """

    loss: float
    gain: float
    right: float
    right_alone: float

    @property
    def passes(self) -> bool:
        """True if the prior clearly lowers the loss and does not lower the accuracy."""
        return self.gain > GATE_GAIN and self.right >= self.right_alone


@dataclass(frozen=True, eq=False)
class GatedMoments:
    """Class moments after the gate.

    Attributes:
        anchor: moments of the new task, with or without the prior.
        kind: transferred part: "nothing", "covariance", or "classes" (covariance, rows and means).
        trial: trial of the transferred part. If nothing was transferred, this is the trial with the
            lowest loss, or None if nothing was tried.
        prior_weight: weight of the old head rows in the new head.
    """

    anchor: MomentsAnchor
    kind: str
    trial: Trial | None = None
    prior_weight: float = 0.0


def gate_moments(
    alone: MomentsAnchor,
    latents: np.ndarray,
    labels: np.ndarray,
    n_classes: int,
    bank: BankPrior,
) -> GatedMoments:
    """Fit moments with the bank's prior if it helps on held-out shots; otherwise keep `alone`.

    Args:
        alone: moments fitted without a prior.
        latents: (N, D) float32 multi-depth latents of the shots.
        labels: (N,) int64 class of each shot; every class occurs.
        n_classes: number of classes, C.
        bank: prior from the bank.
    """
    enough = bool(bank.matched) or len(bank.tasks) >= LEAST_TASKS
    if n_classes < 2 or not enough or not should_try_prior(labels, n_classes):
        return GatedMoments(alone, "nothing")
    trials = run_trials(latents, labels, n_classes, bank)
    kind = _choose_kind(trials, bank)
    if kind == "nothing":
        return GatedMoments(alone, kind, min(trials.values(), key=lambda trial: trial.loss))
    shots = Shots(latents, labels, n_classes, bank)
    fit = fit_with_prior(shots, bank.matched if kind == "classes" else ())
    return GatedMoments(with_fit(alone, fit), kind, trials[kind], fit.prior_weight)


def should_try_prior(labels: np.ndarray, n_classes: int) -> bool:
    """Return whether the shots are few enough to need a prior, but enough to hold some out.

    Args:
        labels: (N,) int64 class of each shot.
        n_classes: number of classes, C.
    """
    counts = np.bincount(labels, minlength=n_classes)
    return bool(counts.min() >= 2 and np.median(counts) <= MOST_SHOTS)


def _choose_kind(trials: dict[str, Trial], bank: BankPrior) -> str:
    """Return the kind of transfer that passes the gate.

    Matched classes must also beat the covariance alone; otherwise the matches are probably wrong.
    """
    covariance, classes = trials["covariance"], trials.get("classes")
    if classes is not None and classes.passes and classes.loss < covariance.loss:
        return "classes"
    if covariance.passes and len(bank.tasks) >= LEAST_TASKS:
        return "covariance"
    return "nothing"


def run_trials(
    latents: np.ndarray, labels: np.ndarray, n_classes: int, bank: BankPrior
) -> dict[str, Trial]:
    """Compare each kind of transfer with learning alone, by cross-validation on the shots.

    Returns:
        One trial for "covariance", and one for "classes" if any class matches.
    """
    kinds: dict[str, tuple[MatchedClasses, ...]] = {"covariance": ()}
    if bank.matched:
        kinds["classes"] = bank.matched
    folds = min(FOLDS, int(np.bincount(labels, minlength=n_classes).min()))
    fold = _fold_of(labels, folds)
    scores = np.zeros((1 + len(kinds), len(labels), n_classes))
    for held in range(folds):
        out, kept = fold == held, fold != held
        alone = fit_moments(latents[kept], labels[kept], n_classes, bank.metric)
        shots = Shots(latents[kept], labels[kept], n_classes, bank)
        fits = [fit_with_prior(shots, matched) for matched in kinds.values()]
        anchors = [alone, *(with_fit(alone, fit) for fit in fits)]
        scores[:, out] = scores_within_task(anchors, latents[out], bank.metric)
    losses = [shot_losses(answers, labels) for answers in scores]
    right = [float((answers.argmax(1) == labels).mean()) for answers in scores]
    return {
        kind: Trial(float(losses[i].mean()), _gain(losses[0] - losses[i]), right[i], right[0])
        for i, kind in enumerate(kinds, start=1)
    }


def _gain(saved: np.ndarray) -> float:
    """Return a loss reduction in standard errors; 0 if it is too small to matter."""
    return in_errors(saved) if abs(float(saved.mean())) >= SMALL_LOSS else 0.0


def _fold_of(labels: np.ndarray, folds: int) -> np.ndarray:
    """Assign each of N shots to a fold, with every class spread evenly over the folds."""
    fold = np.zeros(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        fold[members] = np.arange(len(members)) % folds
    return fold


def scores_within_task(
    anchors: Sequence[MomentsAnchor], latents: np.ndarray, metric: Metric
) -> list[np.ndarray]:
    """Return one (N, C) array of within-task scores per anchor, as in `MomentsMapper`.

    Args:
        anchors: moments of tasks.
        latents: (N, D) float32 latents.
        metric: metric of the backbone's latents.
    """
    z = torch.from_numpy(metric.apply(latents))
    heads = [torch.from_numpy(anchor.head_rows()) for anchor in anchors]
    return [
        np.asarray((z @ head.T).numpy() + anchor.head_bias)
        for anchor, head in zip(anchors, heads, strict=True)
    ]
