"""Fit anchors, a head and a calibration to the latents of one task.

- `moments` (default): class moments of the multi-depth latents in closed form, without a head
  or gradient steps.
- `gmmc` (paper, Eq. 3-4): Gaussian clusters of the last layer's latents, and a trained head.
- `maha` (paper, Eq. 5): class means and a few sample latents per class, and a trained head.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from teachmesh.biases.bias_head import ridge_head
from teachmesh.errors import DataError, UsageError
from teachmesh.mapping.anchor_kinds import MomentsAnchor
from teachmesh.mapping.fusion import log_softmax
from teachmesh.mapping.gmmc import N_CLUSTERS, fit_gmmc
from teachmesh.mapping.maha import fit_maha
from teachmesh.mapping.moments import MomentsMapper
from teachmesh.mapping.moments_fit import fit_moments
from teachmesh.mapping.typicality import calibrate
from teachmesh.model.head import Head
from teachmesh.model.macs import MacCounter, count_macs
from teachmesh.reuse.transfer import Prior, Transferred, transfer_head, transfer_moments

if TYPE_CHECKING:
    from teachmesh.mapping.anchor import TaskAnchor
    from teachmesh.model.backbone import Latents
    from teachmesh.model.embedding import LabelledLatents
    from teachmesh.model.head_training import FittedHead
    from teachmesh.packet.parent_card import Parent


WITH_HEAD = ("gmmc", "maha")
"""Methods whose mapper chooses only the task; a trained head chooses the class."""


@dataclass(frozen=True, eq=False)
class Fitted:
    """Result of fitting one task.

    Attributes:
        anchors: anchors of the task, by kind.
        head: the trained head; None if no method needs one.
        validation_accuracy: accuracy with the task given; None without validation images.
        calibration: calibration values for the card, by name.
        cost_macs: number of multiply-accumulates, excluding the backbone pass.
        warnings: warnings for the card.
        parents: known classes that contributed to the result.
        borrowed: transferred part of class moments: "nothing", "covariance" or "classes".
    """

    anchors: Mapping[str, TaskAnchor]
    head: Head | None
    validation_accuracy: float | None
    calibration: Mapping[str, float] = field(default_factory=dict)
    cost_macs: int = 0
    warnings: tuple[str, ...] = ()
    parents: tuple[Parent, ...] = ()
    borrowed: str = "nothing"

    def tensors(self) -> dict[str, np.ndarray]:
        """Return all arrays, by their names in a skill."""
        named = {
            f"{kind}.{name}": array
            for kind, anchor in self.anchors.items()
            for name, array in anchor.tensors().items()
        }
        if self.head is not None:
            named |= {"head.weight": self.head.weight, "head.bias": self.head.bias}
        return named


def fit_method(
    method: str,
    train: LabelledLatents,
    validation: LabelledLatents,
    n_classes: int,
    *,
    also: Sequence[str] = (),
    seed: int = 0,
    prior: Prior | None = None,
) -> Fitted:
    """Fit the anchors of one or more methods, and a head if one of the methods needs it.

    Args:
        method: the main method, which the card names.
        train: latents and labels of the training images; every class must occur.
        validation: latents and labels of the validation images; may be empty.
        n_classes: number of classes, C.
        also: further methods whose anchors are added to the skill.
        seed: seed for clusters, samples and batch order.
        prior: prior from the skills of the bank; None to learn without them.

    Raises:
        DataError: a class has no readable training image.
    """
    count_images(train.labels, n_classes)
    kinds = sorted({method, *also})
    alone, anchor_macs, warnings = _fit_anchors(kinds, train, n_classes, seed)
    transferred = Transferred()
    anchors, prior_macs = _use_prior(alone, train, n_classes, prior, transferred)
    fitted = _fit_head(kinds, train, validation, n_classes, prior, transferred, seed)
    accuracy = None if fitted is None else fitted.accuracy
    if method == "moments" and len(validation):
        accuracy = _accuracy(Fitted(anchors, None, None), method, validation)
    head_warnings = () if fitted is None else fitted.warnings
    return Fitted(
        anchors=anchors,
        head=None if fitted is None else fitted.head,
        validation_accuracy=accuracy,
        calibration={**transferred.notes, **_calibrations(anchors, validation)},
        cost_macs=anchor_macs + prior_macs + (0 if fitted is None else fitted.macs),
        warnings=(*warnings, *head_warnings, *transferred.remarks()),
        parents=transferred.sorted_parents(),
        borrowed=transferred.kind,
    )


def count_images(labels: np.ndarray, n_classes: int) -> np.ndarray:
    """Return the number of images of each class as a (C,) int64 array without zeros.

    Args:
        labels: labels of the N readable training images, as an (N,) int64 array.
        n_classes: number of classes, C.

    Raises:
        DataError: a class has no image.
    """
    counts = np.bincount(labels, minlength=n_classes)
    if (counts == 0).any():
        raise DataError(
            f"expected readable training images of every class, found none for "
            f"{int((counts == 0).sum())} of {n_classes}; check the files"
        )
    return counts


def _fit_anchors(
    kinds: Sequence[str], train: LabelledLatents, n_classes: int, seed: int
) -> tuple[dict[str, TaskAnchor], int, tuple[str, ...]]:
    """Return the anchors by kind, the number of multiply-accumulates, and warnings."""
    fits = {kind: _fit_anchor(kind, train, n_classes, seed) for kind in kinds}
    warnings: tuple[str, ...] = ()
    if "gmmc" in kinds and len(train) < N_CLUSTERS:
        warnings = (f"only {len(train)} clusters: fewer training images than {N_CLUSTERS}",)
    anchors = {kind: anchor for kind, (anchor, _) in fits.items()}
    return anchors, sum(macs for _, macs in fits.values()), warnings


def _fit_anchor(
    kind: str, train: LabelledLatents, n_classes: int, seed: int
) -> tuple[TaskAnchor, int]:
    """Return the anchor of one method, and the number of multiply-accumulates."""
    if kind == "gmmc":
        return fit_gmmc(train.latents.last, n_classes, seed=seed)
    found: list[TaskAnchor] = []
    if kind == "maha":
        work = lambda: found.append(  # noqa: E731 - one counted call
            fit_maha(train.latents.last, train.labels, n_classes, seed=seed)
        )
    elif kind == "moments":
        work = lambda: found.append(  # noqa: E731 - one counted call
            fit_moments(train.latents.multi, train.labels, n_classes)
        )
    else:
        raise UsageError(f"expected a method that can be fitted, got {kind!r}")
    macs = count_macs(work)
    return found[0], macs


def _use_prior(
    alone: Mapping[str, TaskAnchor],
    train: LabelledLatents,
    n_classes: int,
    prior: Prior | None,
    transferred: Transferred,
) -> tuple[Mapping[str, TaskAnchor], int]:
    """Return anchors that use the prior, if any, and the number of multiply-accumulates."""
    if prior is None:
        return alone, 0
    with MacCounter() as counter:
        anchors = transfer_moments(alone, train, n_classes, prior, transferred)
    return anchors, int(counter.macs)


def _fit_head(
    kinds: Sequence[str],
    train: LabelledLatents,
    validation: LabelledLatents,
    n_classes: int,
    prior: Prior | None,
    transferred: Transferred,
    seed: int,
) -> FittedHead | None:
    """Train the head; return None if no method needs one."""
    if not any(kind in WITH_HEAD for kind in kinds):
        return None
    return transfer_head(train, validation, n_classes, prior, transferred, seed)


def _accuracy(fitted: Fitted, method: str, validation: LabelledLatents) -> float:
    decided = log_within(fitted, method, validation.latents)
    return float(np.mean(decided.argmax(1) == validation.labels))


def _calibrations(
    anchors: Mapping[str, TaskAnchor], validation: LabelledLatents
) -> dict[str, float]:
    named: dict[str, float] = {}
    for anchor in anchors.values():
        multi = anchor.latent == "multi"
        named |= calibrate(anchor, validation.latents.multi if multi else validation.latents.last)
    return named


START_RIDGE = 3.0
"""Ridge penalty of the head from which the training of biases starts.
With 3, the validation log loss with biases on two tasks (trash, oracle bones) is 0.674 and 0.485;
with 1, it is 0.697 and 0.475."""


def log_within(fitted: Fitted, method: str, latents: Latents) -> np.ndarray:
    """Return an (N, C) array with the log posterior of each class within the task.

    Args:
        fitted: the fitted task.
        method: the method to classify with.
        latents: latents of N images, N at least 1.
    """
    if method == "moments":
        mapper = MomentsMapper()
        mapper.add("task", fitted.anchors[method])
        scores = mapper.score(latents.multi)
        assert scores.classes is not None
        return log_softmax(scores.classes[0])
    assert fitted.head is not None
    return log_softmax(fitted.head.logits(latents.last))


def linear_within(anchor: MomentsAnchor) -> Head:
    """Return the classifier of class moments within their task as a linear head.

    Its posteriors equal those of `log_within`: the classes of a task share a covariance, so the
    quadratic term of an image cancels.

    Args:
        anchor: class moments of the task.
    """
    mapper = MomentsMapper()
    mapper.add("task", anchor)
    origin = np.zeros((1, anchor.dim), dtype=np.float32)
    units = np.eye(anchor.dim, dtype=np.float32)
    scores = mapper.score(np.concatenate([origin, units])).classes
    assert scores is not None
    centred = scores[0] - scores[0].mean(axis=1, keepdims=True)  # (1 + D, C)
    weight = (centred[1:] - centred[0]).T
    return Head(weight.astype(np.float32), centred[0].astype(np.float32))


def start_head(fitted: Fitted, method: str, train: LabelledLatents) -> Head:
    """Return the linear head that bias training starts from; its outputs are log posteriors.

    A trained head is returned unchanged. With `moments`, the head is fitted in closed form with a
    larger penalty than in the skill. If the head fitted the training images perfectly, the biases
    would have nothing left to learn.

    Args:
        fitted: the fitted task.
        method: the method of the skill.
        train: latents and labels of the training images.
    """
    if method != "moments" and fitted.head is not None:
        return fitted.head
    n_classes = fitted.anchors[method].n_classes
    return ridge_head(train.latents.multi, train.labels, n_classes, START_RIDGE)
