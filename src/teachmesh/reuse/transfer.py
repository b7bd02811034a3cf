"""What is borrowed from old tasks when a new one is learned, and the gate before it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from teachmesh.mapping.fusion import in_errors
from teachmesh.mapping.moments import MomentsAnchor
from teachmesh.mapping.moments_fit import fit_moments
from teachmesh.model.head_training import FittedHead, HeadStart, fit_head
from teachmesh.packet.parent_card import MAX_PARENTS, Parent
from teachmesh.reuse.head_prior import lean
from teachmesh.reuse.moments_prior import BankPrior
from teachmesh.reuse.moments_transfer import borrow, can_be_helped

if TYPE_CHECKING:
    from teachmesh.mapping.anchor import TaskAnchor
    from teachmesh.model.embedding import LabelledLatents


TRIAL_EPOCHS = 20
"""Epochs of the trial that decides between two starts of a head."""
START_GAIN = 0.5
"""Standard errors by which more held-out shots have to be named right; chosen on validation."""


@dataclass(frozen=True, eq=False)
class Prior:
    """What the bank offers to a new task; whether it is taken is decided by the shots.

    Attributes:
        relatives: for class moments; None where no skill has them.
        start: for a trained head; None where no old head's row matches.
        moments_parents: the old classes behind `relatives`.
        head_parents: the old classes behind `start`.
    """

    relatives: BankPrior | None = None
    start: HeadStart | None = None
    moments_parents: tuple[Parent, ...] = ()
    head_parents: tuple[Parent, ...] = ()


@dataclass
class Transferred:
    """What was taken of what was offered.

    Attributes:
        parents: old classes whose rows are part of the result.
        notes: named numbers for the card.
        kind: "nothing", "covariance" or "classes" for class moments.
    """

    parents: set[Parent] = field(default_factory=set)
    notes: dict[str, float] = field(default_factory=dict)
    kind: str = "nothing"

    def sorted_parents(self) -> tuple[Parent, ...]:
        """In the order of the card."""
        key = lambda parent: (parent.class_name, parent.skill, parent.parent_class)  # noqa: E731
        return tuple(sorted(self.parents, key=key)[:MAX_PARENTS])

    def remarks(self) -> tuple[str, ...]:
        """For the card, where it has no room for all parents."""
        if len(self.parents) <= MAX_PARENTS:
            return ()
        return (
            f"the card names {MAX_PARENTS} of the {len(self.parents)} old classes that rows were "
            "learned from: it has no room for more",
        )


def transfer_moments(
    anchors: Mapping[str, TaskAnchor],
    train: LabelledLatents,
    n_classes: int,
    prior: Prior,
    taken: Transferred,
) -> dict[str, TaskAnchor]:
    """The anchors, with class moments improved by the relatives if the shots say so."""
    improved = dict(anchors)
    alone = improved.get(MomentsAnchor.kind)
    if isinstance(alone, MomentsAnchor) and prior.relatives is not None:
        found = borrow(alone, train.latents.multi, train.labels, n_classes, prior.relatives)
        improved[MomentsAnchor.kind] = found.anchor
        taken.kind = found.kind
        if found.kind != "nothing" and found.trial is not None:
            taken.notes["reuse_gain"] = found.trial.gain
        if found.kind == "classes":
            taken.notes["reuse_slope"] = found.slope
            taken.parents |= set(prior.moments_parents)
    return improved


def transfer_head(
    train: LabelledLatents,
    validation: LabelledLatents,
    n_classes: int,
    prior: Prior | None,
    taken: Transferred,
    seed: int,
) -> FittedHead:
    """The trained head, its start leaning on old rows if a trial on held-out shots says so.

    Without prior, or where the trial says no, exactly the head that learning alone gives.
    """
    start, reuse_macs = None, 0
    if prior is not None and prior.start is not None:
        shots = train.latents.last, train.labels, n_classes
        trial = trial_of_start(*shots, prior.start)
        reuse_macs = trial.macs
        if trial.passes:
            leaning = lean(prior.start, *shots)
            start, reuse_macs = leaning.start, reuse_macs + leaning.macs
            taken.notes["reuse_start_gain"] = trial.gain
            taken.parents |= set(prior.head_parents)
    fitted = fit_head(
        train.latents.last,
        train.labels,
        validation.latents.last,
        validation.labels,
        n_classes,
        seed=seed,
        start=start,
    )
    return dataclasses.replace(fitted, macs=fitted.macs + reuse_macs)


@dataclass(frozen=True)
class StartTrial:
    """What held-out shots say of a start that leans on old rows.

    Attributes:
        gain: by how many standard errors more of them are named right.
        right: fraction of them named right.
        right_alone: the same from a random start.
        right_closed: the same from a start in closed form that knows no old row.
        macs: multiply-accumulates that the trial cost.
    """

    gain: float
    right: float
    right_alone: float
    right_closed: float
    macs: int

    @property
    def passes(self) -> bool:
        """More right answers by a margin, and not for the closed form alone."""
        return self.gain > START_GAIN and self.right > self.right_closed


def trial_of_start(
    latents: np.ndarray, labels: np.ndarray, n_classes: int, start: HeadStart, *, seed: int = 0
) -> StartTrial:
    """Train briefly on one half of the shots from each start and compare on the other half.

    Both halves take their turn. Nothing is tried where a class has one shot, which cannot be held
    out, nor with more than `borrow.MOST_SHOTS` images per class: there old rows won nothing, and a
    trial of 20 epochs would cost more than learning.

    Args:
        latents: (N, D) float32 of the shots.
        labels: (N,) int64; every class occurs.
        n_classes: C.
        start: the old rows.
        seed: of the halves and of what is random in training.
    """
    if not can_be_helped(labels, n_classes):
        return StartTrial(0.0, 0.0, 0.0, 0.0, 0)
    order = np.random.default_rng(seed).permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    # Neighbours in this order are of one class: every other one keeps the classes balanced.
    right, macs = np.zeros((3, len(labels))), 0
    for half in (0, 1):
        fit, held = order[half::2], order[1 - half :: 2]
        leanings = [lean(old, latents[fit], labels[fit], n_classes) for old in (None, start)]
        macs += sum(leaning.macs for leaning in leanings)
        for row, begun in enumerate((None, *(leaning.start for leaning in leanings))):
            fitted = fit_head(
                latents[fit],
                labels[fit],
                latents[:0],
                labels[:0],
                n_classes,
                seed=seed,
                max_epochs=TRIAL_EPOCHS,
                start=begun,
            )
            answers = fitted.head.logits(latents[held]).argmax(axis=1)
            right[row, held] = answers == labels[held]
            macs += fitted.macs + fitted.head.weight.size * len(held)
    alone, closed, leaning = right
    gain = in_errors(leaning - alone)
    return StartTrial(gain, leaning.mean(), alone.mean(), closed.mean(), macs)


@dataclass(frozen=True)
class Saving:
    """What `learn --reuse` would take of what is known, and what held-out training images say.

    Attributes:
        takes: "nothing"; "covariance" (the bank's metric); "classes" (it, and old rows and means);
            "rows" (the start of a trained head).
        right_alone: fraction of held-out images that learning alone names right; None where
            there was nothing to try.
        right_with: the same with what would be taken; no other where that is nothing.
    """

    takes: str
    right_alone: float | None = None
    right_with: float | None = None

    def to_json(self) -> dict[str, Any]:
        """As `teachmesh match --json` gives it."""
        return {"takes": self.takes, "right_alone": self.right_alone, "right_with": self.right_with}


def saving(method: str, train: LabelledLatents, n_classes: int, prior: Prior) -> Saving:
    """Try what learning would try; nothing is kept of it.

    Args:
        method: `moments`, `gmmc` or `maha`; the latter two reuse rows of trained heads only.
        train: latents and labels of the shots; every class occurs.
        n_classes: C.
        prior: what the bank offers.
    """
    if method == MomentsAnchor.kind:
        if prior.relatives is None:
            return Saving("nothing")
        latents, labels = train.latents.multi, train.labels
        alone = fit_moments(latents, labels, n_classes)
        found = borrow(alone, latents, labels, n_classes, prior.relatives)
        if found.trial is None:
            return Saving(found.kind)
        alone_right, taken = found.trial.right_alone, found.kind != "nothing"
        return Saving(found.kind, alone_right, found.trial.right if taken else alone_right)
    if prior.start is None or not can_be_helped(train.labels, n_classes):
        return Saving("nothing")
    trial = trial_of_start(train.latents.last, train.labels, n_classes, prior.start)
    if not trial.passes:
        return Saving("nothing", trial.right_alone, trial.right_alone)
    return Saving("rows", trial.right_alone, trial.right)
