"""The teacher: one task -> one unsigned skill."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from teachmesh.learning.fit_method import Fitted, fit_method, log_within, start_head
from teachmesh.packet.card import Card
from teachmesh.packet.skill import Skill
from teachmesh.version import __version__

if TYPE_CHECKING:
    from teachmesh.biases.bias_learning import LearnedBiases
    from teachmesh.biases.bias_options import BiasOptions
    from teachmesh.biases.bias_store import BiasStore
    from teachmesh.biases.bias_task import TaskImages
    from teachmesh.data.loader import Progress
    from teachmesh.model.backbone import Backbone
    from teachmesh.model.embedding import LabelledLatents
    from teachmesh.reuse.transfer import Prior

MIN_IMAGES_PER_MEAN = 10
"""Below this a class mean says much about single images (a privacy remark on the card)."""


@dataclass(frozen=True)
class Author:
    """Who signs the skill.

    Attributes:
        public_key: Ed25519 public key, 64 hex digits.
        alias: name for people.
    """

    public_key: str
    alias: str


@dataclass(frozen=True)
class Lesson:
    """What is to be learned and how.

    Attributes:
        task: name of the task.
        classes: names of the C classes.
        method: `moments`, `gmmc` or `maha`.
        also: further methods whose anchors the skill carries.
        seed: of what is random (clusters, samples, order of batches).
        replaces: id of the skill whose place the new one takes.
        created: UTC time, "2026-11-23T11:00:00Z".
        cost_macs: multiply-accumulates spent before: the backbone pass.
        started_s: `time.perf_counter()` when learning began.
        biases: which beneficial biases to learn and what they may cost; None for none.
        warnings: remarks that are already known, for the card.
    """

    task: str
    classes: tuple[str, ...]
    method: str
    created: str
    started_s: float
    also: tuple[str, ...] = ()
    seed: int = 0
    replaces: str | None = None
    cost_macs: int = 0
    biases: BiasOptions | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class BiasInputs:
    """What learning beneficial biases needs beside latents.

    Attributes:
        images: of the task, row by row as their latents.
        progress: called with (images stepped over, images planned).
        store: trained biases of earlier runs, for experiments.
    """

    images: TaskImages
    progress: Progress | None = None
    store: BiasStore | None = None


def teach(
    lesson: Lesson,
    train: LabelledLatents,
    validation: LabelledLatents,
    backbone: Backbone,
    author: Author,
    lab: BiasInputs | None = None,
    prior: Prior | None = None,
) -> Skill:
    """Make the skill of one task from the latents of its training and validation images.

    Validation images choose and calibrate; test images are not an argument.

    Args:
        lesson: what and how.
        train: latents and labels of the training images.
        validation: the same of the validation images; may be empty.
        backbone: the network that made the latents; its fingerprint goes into the card.
        author: who will sign.
        lab: the images, where the lesson asks for biases.
        prior: what the bank offers to this task; None to learn alone.

    Raises:
        DataError: a class without a readable training image.
        UsageError: an unknown method, or a budget that pays for no biases.
    """
    n_classes = len(lesson.classes)
    counts = np.bincount(train.labels, minlength=n_classes)
    fitted = fit_method(
        lesson.method, train, validation, n_classes, also=lesson.also, seed=lesson.seed, prior=prior
    )
    learned, remarks = _learn_biases(lesson, fitted, train, validation, backbone, lab)
    accuracy, bias_macs = fitted.validation_accuracy, 0
    if learned is not None:
        bias_macs = learned.card.cost_macs
        accuracy = learned.card.accuracy_with if learned.biases else accuracy
    card = Card(
        task=lesson.task,
        classes=lesson.classes,
        images_per_class=tuple(int(count) for count in counts),
        validation_images=len(validation),
        method=lesson.method,
        anchors=tuple(sorted(fitted.anchors)),
        backbone_name=backbone.name,
        backbone_fingerprint=backbone.fingerprint,
        reference_id=backbone.reference_id,
        validation_accuracy=accuracy,
        cost_macs=lesson.cost_macs + fitted.cost_macs + bias_macs,
        cost_s=round(time.perf_counter() - lesson.started_s, 3),
        author=author.public_key,
        alias=author.alias,
        created=lesson.created,
        privacy="samples" if "maha" in fitted.anchors else "statistics",
        version=__version__,
        replaces=lesson.replaces,
        warnings=(
            *lesson.warnings,
            *_warnings(lesson.classes, counts),
            *fitted.warnings,
            *remarks,
        ),
        calibration=fitted.calibration,
        parents=fitted.parents,
        biases=None if learned is None else learned.card,
    )
    tensors = fitted.tensors()
    if learned is not None and learned.biases is not None:
        tensors |= learned.biases.tensors()
    return Skill(card, tensors)


def _learn_biases(
    lesson: Lesson,
    fitted: Fitted,
    train: LabelledLatents,
    validation: LabelledLatents,
    backbone: Backbone,
    lab: BiasInputs | None,
) -> tuple[LearnedBiases | None, tuple[str, ...]]:
    """Biases, if the lesson asks for them, and remarks for the card."""
    if lesson.biases is None:
        return None, ()
    if lab is None:
        raise ValueError("expected the task's images to learn biases from, got latents only")
    if not len(validation):
        return None, ("no validation images to say whether biases help: none were learned",)
    # Only who learns biases pays for what these modules load.
    from teachmesh.biases.bias_learning import learn_biases
    from teachmesh.biases.bias_task import BiasTask

    task = BiasTask(
        backbone=backbone,
        method=lesson.method,
        images=lab.images,
        train_labels=train.labels,
        validation_labels=validation.labels,
        start=start_head(fitted, lesson.method, train),
        without=log_within(fitted, lesson.method, validation.latents),
        before_macs=lesson.cost_macs + fitted.cost_macs,
        seed=lesson.seed,
    )
    learned = learn_biases(task, lesson.biases, store=lab.store, progress=lab.progress)
    if learned.card.cost_macs == 0:
        return learned, ("no biases were learned: hardly a validation image is wrong without them",)
    if learned.biases is None:
        return learned, ("biases were learned and dropped: no gain on validation images",)
    return learned, ()


def _warnings(classes: Sequence[str], counts: np.ndarray) -> tuple[str, ...]:
    few = [name for name, count in zip(classes, counts, strict=True) if count < MIN_IMAGES_PER_MEAN]
    if not few:
        return ()
    return (
        f"{len(few)} of {len(classes)} classes have fewer than {MIN_IMAGES_PER_MEAN} training "
        f"images: their means say much about single images",
    )
