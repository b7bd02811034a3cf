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

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from teachmesh.mapping.discriminant import Discriminant
from teachmesh.mapping.fusion import in_errors
from teachmesh.mapping.moments import (
    DENSITY_SHARE,
    HEAD_TEMPERATURE,
    OWN_SHARE,
    MomentsAnchor,
)
from teachmesh.mapping.moments_fit import fit_moments
from teachmesh.reuse.moments_prior import (
    BankPrior,
    MatchedClasses,
    Shots,
    fit_with_prior,
    losses_of,
    pooled,
    rebuilt,
)

MOST_SHOTS = 20
"""Images per class from which a task is left alone: its own say more than anybody's."""
LEAST_TASKS = 5
"""Tasks that make a covariance worth borrowing where no class matches."""
FOLDS = 3
GATE_GAIN = 0.5
"""Standard errors by which held-out shots have to be likelier with what is borrowed."""


@dataclass(frozen=True, eq=False)
class Borrowed:
    """What came of asking the relatives.

    Attributes:
        anchor: of the new task; the one of learning alone where nothing was borrowed.
        kind: "nothing", "covariance", or "classes" where old rows are part of it.
        trial: what held-out shots say of that kind; of the one with the least loss where nothing
            was borrowed; None where none were asked.
        slope: how much of the old rows went into the new ones.
    """

    anchor: MomentsAnchor
    kind: str
    trial: Trial | None = None
    slope: float = 0.0


def borrow(
    alone: MomentsAnchor,
    latents: np.ndarray,
    labels: np.ndarray,
    n_classes: int,
    relatives: BankPrior,
) -> Borrowed:
    """Improve the moments of a task by what its relatives know, or leave them as they are.

    Args:
        alone: the moments that the shots give by themselves.
        latents: (N, D) float32 multi-depth latents of the shots.
        labels: (N,) int64; every class occurs.
        n_classes: C.
        relatives: from the bank.
    """
    worth_it = bool(relatives.groups) or len(relatives.tasks) >= LEAST_TASKS
    if n_classes < 2 or not worth_it or not can_be_helped(labels, n_classes):
        return Borrowed(alone, "nothing")
    trials = held_out(latents, labels, n_classes, relatives)
    kind = _decision(trials, relatives)
    if kind == "nothing":
        return Borrowed(alone, kind, min(trials.values(), key=lambda trial: trial.loss))
    shots = Shots(latents, labels, n_classes, relatives)
    offer = fit_with_prior(shots, relatives.groups if kind == "classes" else ())
    return Borrowed(rebuilt(alone, offer), kind, trials[kind], offer.slope)


def can_be_helped(labels: np.ndarray, n_classes: int) -> bool:
    """Whether shots are few enough to need anybody, and enough to hold some out.

    Args:
        labels: (N,) int64.
        n_classes: C.
    """
    counts = np.bincount(labels, minlength=n_classes)
    return bool(counts.min() >= 2 and np.median(counts) <= MOST_SHOTS)


@dataclass(frozen=True)
class Trial:
    """What held-out shots say of one way of learning, against learning alone.

    Attributes:
        loss: nats per shot.
        gain: by how many standard errors the shots are likelier.
        right: fraction of them named right.
        right_alone: the same of learning alone.
    """

    loss: float
    gain: float
    right: float
    right_alone: float

    @property
    def passes(self) -> bool:
        """Likelier by a margin, and no fewer right answers."""
        return self.gain > GATE_GAIN and self.right >= self.right_alone


def _decision(trials: dict[str, Trial], relatives: BankPrior) -> str:
    """Old rows have to beat the bare covariance too: else their classes were matched wrongly."""
    covariance, classes = trials["covariance"], trials.get("classes")
    if classes is not None and classes.passes and classes.loss < covariance.loss:
        return "classes"
    if covariance.passes and len(relatives.tasks) >= LEAST_TASKS:
        return "covariance"
    return "nothing"


def held_out(
    latents: np.ndarray, labels: np.ndarray, n_classes: int, relatives: BankPrior
) -> dict[str, Trial]:
    """Learn from a part of the shots, alone and in each way of borrowing; answer for the rest.

    Returns:
        "covariance", and "classes" where there are matches: against learning alone.
    """
    ways: dict[str, tuple[MatchedClasses, ...]] = {"covariance": ()}
    if relatives.groups:
        ways["classes"] = relatives.groups
    folds = min(FOLDS, int(np.bincount(labels, minlength=n_classes).min()))
    fold = _fold_of(labels, folds)
    scores = np.zeros((1 + len(ways), len(labels), n_classes))
    for held in range(folds):
        out, kept = fold == held, fold != held
        alone = fit_moments(latents[kept], labels[kept], n_classes)
        shots = Shots(latents[kept], labels[kept], n_classes, relatives)
        anchors = [
            alone,
            *(rebuilt(alone, fit_with_prior(shots, groups)) for groups in ways.values()),
        ]
        scores[:, out] = answers_inside(anchors, latents[out], relatives)
    losses = [losses_of(answers, labels) for answers in scores]
    right = [float((answers.argmax(1) == labels).mean()) for answers in scores]
    return {
        way: Trial(float(losses[i].mean()), in_errors(losses[0] - losses[i]), right[i], right[0])
        for i, way in enumerate(ways, start=1)
    }


def _fold_of(labels: np.ndarray, folds: int) -> np.ndarray:
    """(N,) fold of each shot; the shots of a class are dealt out in turn."""
    fold = np.zeros(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        fold[members] = np.arange(len(members)) % folds
    return fold


def answers_inside(
    anchors: Sequence[MomentsAnchor], latents: np.ndarray, relatives: BankPrior
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
