"""What each method makes of one task's latents: anchors, a head, a calibration.

- `moments` (default): class moments of the multi-depth latents in closed form; no head, no
  gradient step.
- `gmmc` (paper, Eq. 3-4): Gaussian clusters of the last layer's latents, and a trained head.
- `maha` (paper, Eq. 5): class means and a few sample latents per class, and a trained head.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from teachmesh.biases.bias_head import ridge_head
from teachmesh.errors import DataError
from teachmesh.mapping.fusion import log_softmax
from teachmesh.mapping.gmmc import N_CLUSTERS, fit_gmmc
from teachmesh.mapping.maha import fit_maha
from teachmesh.mapping.moments import MomentsAnchor, MomentsMapper
from teachmesh.mapping.moments_fit import fit_moments
from teachmesh.mapping.typicality import calibrate
from teachmesh.model.head import Head
from teachmesh.model.macs import MacCounter, count_macs
from teachmesh.reuse.transfer import Prior, Transferred, transfer_head, transfer_moments

if TYPE_CHECKING:
    from teachmesh.mapping.anchor import TaskAnchor
    from teachmesh.model.backbone import Latents
    from teachmesh.model.embedding import LabelledLatents
    from teachmesh.model.head import Head
    from teachmesh.packet.parent_card import Parent


WITH_HEAD = ("gmmc", "maha")
"""Methods whose mapper chooses a task and leaves the class to a trained head."""


@dataclass(frozen=True, eq=False)
class Fitted:
    """What learning made of one task.

    Attributes:
        anchors: by kind.
        head: the trained head, for methods that need one.
        validation_accuracy: right class given the task; None without validation images.
        calibration: named numbers for the card.
        cost_macs: multiply-accumulates beyond the backbone pass.
        warnings: remarks for the card.
        parents: old classes whose rows are part of the result.
        borrowed: what class moments took from the bank: "nothing", "covariance" or "classes".
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
        """All arrays under the names that they have in a skill."""
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
    """Fit the anchors of a method (and of further ones) and the head it needs.

    Args:
        method: the one that the card names.
        train: latents and labels of the training images; every class occurs.
        validation: the same of the validation images; may be empty.
        n_classes: C.
        also: further methods whose anchors the skill carries.
        seed: of what is random.
        prior: what the bank offers; None to learn alone.

    Raises:
        DataError: a class without a readable training image.
    """
    count_images(train.labels, n_classes)
    kinds = sorted({method, *also})
    anchors: dict[str, TaskAnchor] = {}
    macs = 0
    warnings: list[str] = []
    for kind in kinds:
        anchors[kind], spent = _fit_anchor(kind, train, n_classes, seed)
        macs += spent
    if "gmmc" in kinds and len(train) < N_CLUSTERS:
        warnings.append(f"only {len(train)} clusters: fewer training images than {N_CLUSTERS}")
    taken = Transferred()
    if prior is not None:
        with MacCounter() as counter:
            anchors = transfer_moments(anchors, train, n_classes, prior, taken)
        macs += int(counter.macs)
    head: Head | None = None
    accuracy: float | None = None
    if any(kind in WITH_HEAD for kind in kinds):
        fitted = transfer_head(train, validation, n_classes, prior, taken, seed)
        head, accuracy = fitted.head, fitted.accuracy
        macs += fitted.macs
        warnings.extend(fitted.warnings)
    warnings.extend(taken.remarks())
    if method == "moments" and len(validation):
        decided = log_within(Fitted(anchors, None, None), method, validation.latents)
        accuracy = float(np.mean(decided.argmax(1) == validation.labels))
    calibration: dict[str, float] = dict(taken.notes)
    for anchor in anchors.values():
        multi = anchor.latent == "multi"
        latents = validation.latents.multi if multi else validation.latents.last
        calibration |= calibrate(anchor, latents)
    parents = taken.sorted_parents()
    return Fitted(anchors, head, accuracy, calibration, macs, tuple(warnings), parents, taken.kind)


def count_images(labels: np.ndarray, n_classes: int) -> np.ndarray:
    """(C,) int64 number of images per class, at least one of each.

    Args:
        labels: (N,) int64 of the training images that could be read.
        n_classes: C.

    Raises:
        DataError: a class without any.
    """
    counts = np.bincount(labels, minlength=n_classes)
    if (counts == 0).any():
        raise DataError(
            f"expected readable training images of every class, found none for "
            f"{int((counts == 0).sum())} of {n_classes}; check the files"
        )
    return counts


def _fit_anchor(
    kind: str, train: LabelledLatents, n_classes: int, seed: int
) -> tuple[TaskAnchor, int]:
    """The anchor of one method, and its multiply-accumulates."""
    if kind == "gmmc":
        return fit_gmmc(train.latents.last, n_classes, seed=seed)
    found: list[TaskAnchor] = []
    if kind == "maha":
        work = lambda: found.append(  # noqa: E731 - one counted call
            fit_maha(train.latents.last, train.labels, n_classes, seed=seed)
        )
    else:
        work = lambda: found.append(  # noqa: E731 - one counted call
            fit_moments(train.latents.multi, train.labels, n_classes)
        )
    macs = count_macs(work)
    return found[0], macs


START_RIDGE = 3.0
"""Penalty of the head that biases begin with. The log loss on the validation images of two tasks
(trash, oracle bones) with biases is then 0.674 and 0.485; with a penalty of 1, 0.697 and 0.475."""


def log_within(fitted: Fitted, method: str, latents: Latents) -> np.ndarray:
    """Log posteriors (N, C) of the classes, by this task's skill alone.

    Args:
        fitted: of the task.
        method: the one that decides.
        latents: of N images, at least one.
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
    """What class moments alone decide inside their task, as one linear head: exactly `log_within`.

    Classes of a task share a covariance, so the squares of an image drop out of its posteriors.

    Args:
        anchor: of the task.
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
    """The linear head that training with biases begins with, in the unit of log posteriors.

    A trained head as it is. With `moments` a closed-form one, more timid than the skill's: where
    the head knows the training images by heart already, biases have nothing to learn from.

    Args:
        fitted: of the task.
        method: of the skill.
        train: latents and labels of the training images.
    """
    if method != "moments" and fitted.head is not None:
        return fitted.head
    n_classes = fitted.anchors[method].n_classes
    return ridge_head(train.latents.multi, train.labels, n_classes, START_RIDGE)
