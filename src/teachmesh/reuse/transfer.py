"""Transfer from matched old classes to a new task, for class moments and for trained heads.

`transfer_moments` and `transfer_head` are called while a task is learned. Each uses the prior only
if it helps on held-out shots. `preview_transfer` runs the same trials for `teachmesh match`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from teachmesh.mapping.anchor_kinds import MomentsAnchor
from teachmesh.mapping.fusion import in_errors
from teachmesh.mapping.moments_fit import fit_moments
from teachmesh.model.head_training import FittedHead, HeadStart, fit_head
from teachmesh.packet.parent_card import MAX_PARENTS, Parent
from teachmesh.reuse.head_prior import fit_start
from teachmesh.reuse.moments_prior import BankPrior
from teachmesh.reuse.moments_transfer import gate_moments, should_try_prior

if TYPE_CHECKING:
    from teachmesh.mapping.anchor import TaskAnchor
    from teachmesh.model.embedding import LabelledLatents


TRIAL_EPOCHS = 20
"""Number of training epochs in the trial that selects how a head starts."""
START_GAIN = 0.5
"""Minimum accuracy gain on held-out shots for using old head rows, in standard errors.

Chosen on validation images."""


@dataclass(frozen=True, eq=False)
class Prior:
    """Priors for a new task from the matched classes of a bank.

    Attributes:
        bank: prior for class moments; None if no skill has moments.
        start: old head rows for a trained head; None if no matched class has a head row.
        moments_parents: matched old classes whose moments are in `bank`.
        head_parents: matched old classes whose head rows are in `start`.
    """

    bank: BankPrior | None = None
    start: HeadStart | None = None
    moments_parents: tuple[Parent, ...] = ()
    head_parents: tuple[Parent, ...] = ()


@dataclass
class Transferred:
    """Record of a transfer.

    Attributes:
        parents: old classes that contributed to the result.
        notes: numbers for the card, by name.
        kind: part transferred to the class moments: "nothing", "covariance" or "classes".
    """

    parents: set[Parent] = field(default_factory=set)
    notes: dict[str, float] = field(default_factory=dict)
    kind: str = "nothing"

    def sorted_parents(self) -> tuple[Parent, ...]:
        """Return the parents in the order of the card, at most `MAX_PARENTS`."""
        key = lambda parent: (parent.class_name, parent.skill, parent.parent_class)  # noqa: E731
        return tuple(sorted(self.parents, key=key)[:MAX_PARENTS])

    def remarks(self) -> tuple[str, ...]:
        """Return a warning for the card if the card cannot list all parents."""
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
    transferred: Transferred,
) -> dict[str, TaskAnchor]:
    """Improve the class moments in `anchors` if the prior helps on held-out shots.

    Args:
        anchors: anchors that were fitted without a prior, keyed by kind.
        train: latents and labels of the shots.
        n_classes: number of classes, C.
        prior: prior from the bank.
        transferred: record to update.
    """
    improved = dict(anchors)
    alone = improved.get(MomentsAnchor.kind)
    if isinstance(alone, MomentsAnchor) and prior.bank is not None:
        found = gate_moments(alone, train.latents.multi, train.labels, n_classes, prior.bank)
        improved[MomentsAnchor.kind] = found.anchor
        transferred.kind = found.kind
        if found.kind != "nothing" and found.trial is not None:
            transferred.notes["reuse_gain"] = found.trial.gain
        if found.kind == "classes":
            transferred.notes["reuse_slope"] = found.prior_weight
            transferred.parents |= set(prior.moments_parents)
    return improved


def transfer_head(
    train: LabelledLatents,
    validation: LabelledLatents,
    n_classes: int,
    prior: Prior | None,
    transferred: Transferred,
    seed: int,
) -> FittedHead:
    """Train a head, starting from old head rows if they help on held-out shots.

    Otherwise the head is identical to one trained without a prior.

    Args:
        train: latents and labels of the shots.
        validation: latents and labels of the images for early stopping; may be empty.
        n_classes: number of classes, C.
        prior: prior from the bank; None to train without one.
        transferred: record to update.
        seed: seed for the random start and the order of batches.
    """
    start, reuse_macs = None, 0
    if prior is not None and prior.start is not None:
        shots = train.latents.last, train.labels, n_classes
        trial = try_start(*shots, prior.start)
        reuse_macs = trial.macs
        if trial.passes:
            fitted_start = fit_start(prior.start, *shots)
            start, reuse_macs = fitted_start.start, reuse_macs + fitted_start.macs
            transferred.notes["reuse_start_gain"] = trial.gain
            transferred.parents |= set(prior.head_parents)
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
    """Accuracy of a head on held-out shots, for three ways to start its training.

    Attributes:
        gain: accuracy gain of old head rows over a random start, in standard errors.
        right: accuracy when starting from old head rows, 0 to 1.
        right_alone: accuracy when starting from random parameters.
        right_closed: accuracy when starting from the closed form without old head rows.
        macs: number of multiply-accumulates in the trial.
    """

    gain: float
    right: float
    right_alone: float
    right_closed: float
    macs: int

    @property
    def passes(self) -> bool:
        """True if old rows clearly beat a random start and also beat the closed-form start."""
        return self.gain > START_GAIN and self.right > self.right_closed


def try_start(
    latents: np.ndarray, labels: np.ndarray, n_classes: int, start: HeadStart, *, seed: int = 0
) -> StartTrial:
    """Train briefly from each start on half of the shots, test on the rest, and swap the halves.

    There is no trial if a class has only one shot, because this shot cannot be held out. There is
    also no trial with more than `moments_transfer.MOST_SHOTS` images per class: old rows would not
    help, and the trial would cost more than learning.

    Args:
        latents: (N, D) float32 latents of the shots.
        labels: (N,) int64 class of each shot; every class occurs.
        n_classes: number of classes, C.
        start: old head rows to try.
        seed: seed for the split into halves, the random start and the order of batches.
    """
    if not should_try_prior(labels, n_classes):
        return StartTrial(0.0, 0.0, 0.0, 0.0, 0)
    order = np.random.default_rng(seed).permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    # The shots are sorted by class, so taking every second one gives balanced halves.
    right, macs = np.zeros((3, len(labels))), 0
    for half in (0, 1):
        fit, held = order[half::2], order[1 - half :: 2]
        fitted_starts = [
            fit_start(old, latents[fit], labels[fit], n_classes) for old in (None, start)
        ]
        macs += sum(fitted.macs for fitted in fitted_starts)
        for row, begun in enumerate((None, *(fitted.start for fitted in fitted_starts))):
            trained = fit_head(
                latents[fit],
                labels[fit],
                latents[:0],
                labels[:0],
                n_classes,
                seed=seed,
                max_epochs=TRIAL_EPOCHS,
                start=begun,
            )
            answers = trained.head.logits(latents[held]).argmax(axis=1)
            right[row, held] = answers == labels[held]
            macs += trained.macs + trained.head.weight.size * len(held)
    alone, closed, with_rows = right
    gain = in_errors(with_rows - alone)
    return StartTrial(gain, with_rows.mean(), alone.mean(), closed.mean(), macs)


@dataclass(frozen=True)
class TransferPreview:
    """Parts that `learn --reuse` would transfer, and the accuracy on held-out training images.

    Attributes:
        takes: part to transfer: "nothing", "covariance", "classes" (covariance, rows and means) or
            "rows" (rows of a trained head).
        right_alone: accuracy without the transfer, 0 to 1; None if nothing was tried.
        right_with: accuracy with the transfer; equal to `right_alone` if nothing is transferred.
    """

    takes: str
    right_alone: float | None = None
    right_with: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the preview in the format of `teachmesh match --json`."""
        return {"takes": self.takes, "right_alone": self.right_alone, "right_with": self.right_with}


def preview_transfer(
    method: str, train: LabelledLatents, n_classes: int, prior: Prior
) -> TransferPreview:
    """Run the trials that learning would run, and return only their results.

    Args:
        method: `moments`, `gmmc` or `maha`; `gmmc` and `maha` reuse only rows of trained heads.
        train: latents and labels of the shots; every class occurs.
        n_classes: number of classes, C.
        prior: prior from the bank.
    """
    if method == MomentsAnchor.kind:
        return _preview_moments(train, n_classes, prior)
    if prior.start is None or not should_try_prior(train.labels, n_classes):
        return TransferPreview("nothing")
    trial = try_start(train.latents.last, train.labels, n_classes, prior.start)
    if not trial.passes:
        return TransferPreview("nothing", trial.right_alone, trial.right_alone)
    return TransferPreview("rows", trial.right_alone, trial.right)


def _preview_moments(train: LabelledLatents, n_classes: int, prior: Prior) -> TransferPreview:
    if prior.bank is None:
        return TransferPreview("nothing")
    latents, labels = train.latents.multi, train.labels
    alone = fit_moments(latents, labels, n_classes, prior.bank.metric)
    found = gate_moments(alone, latents, labels, n_classes, prior.bank)
    if found.trial is None:
        return TransferPreview(found.kind)
    right_alone = found.trial.right_alone
    right_with = right_alone if found.kind == "nothing" else found.trial.right
    return TransferPreview(found.kind, right_alone, right_with)
