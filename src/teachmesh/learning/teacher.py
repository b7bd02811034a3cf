"""The teacher, which makes an unsigned skill from one task."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from teachmesh.bank.withheld import MIN_IMAGES_PER_MEAN
from teachmesh.data.tasks import NO_VALIDATION
from teachmesh.learning.fit_method import Fitted, fit_grown, fit_method, log_within, start_head
from teachmesh.learning.skill_bytes import TaskLatents, fit_to_bytes, packed
from teachmesh.learning.task_statistics import TaskStatistics
from teachmesh.learning.variants import NO_CONSTANTS, MapperConstants
from teachmesh.mapping.own_mapper import privacy_of
from teachmesh.packet.card import Card
from teachmesh.packet.skill import Skill
from teachmesh.version import __version__

if TYPE_CHECKING:
    from teachmesh.biases.bias_choice import BiasStore
    from teachmesh.biases.bias_learning import LearnedBiases
    from teachmesh.biases.bias_options import BiasOptions
    from teachmesh.data.loader import Progress
    from teachmesh.learning.embedded_task import EmbeddedTask
    from teachmesh.learning.settled_task import SettledTask
    from teachmesh.learning.variants import Variant
    from teachmesh.mapping.packed_moments import Packing
    from teachmesh.model.backbone import Backbone
    from teachmesh.reuse.transfer import Prior

MAX_REMARKS = 8
"""Maximum number of remarks about sources on a card, which has room for 16 warnings."""


class NamedClasses(Protocol):
    """A task with a name and classes, such as `data.tasks.Task`."""

    @property
    def name(self) -> str:
        """Name of the task."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the C classes, in label order."""


@dataclass(frozen=True)
class Author:
    """The agent that will sign the skill, as named on its card.

    Attributes:
        public_key: Ed25519 public key, 64 hex digits.
        alias: display name of the author.
    """

    public_key: str
    alias: str


@dataclass(frozen=True)
class Lesson:
    """A task and the settings for learning it; built by `Lesson.of`.

    Attributes:
        task: name of the task.
        classes: names of the C classes, in label order.
        method: task mapper that the skill is for: `moments`, `gmmc` or `maha`.
        biases: options and budget of beneficial biases; None to learn none.
        created: UTC time for the card, such as "2026-11-23T11:00:00Z".
        started_s: value of `time.perf_counter()` when learning began.
        also: further methods whose anchors are added to the skill.
        seed: seed for clusters, samples and batch order.
        replaces: id of the skill that the new one replaces, or None.
        warnings: warnings for the card that are known before learning.
        constants: constants of the task mappers.
        max_bytes: maximum size of the skill in bytes; None for no limit.
        packing: way to write class moments in fewer bytes; None to choose one by `max_bytes`.
    """

    task: str
    classes: tuple[str, ...]
    method: str
    biases: BiasOptions | None
    created: str
    started_s: float
    also: tuple[str, ...] = ()
    seed: int = 0
    replaces: str | None = None
    warnings: tuple[str, ...] = ()
    constants: MapperConstants = NO_CONSTANTS
    max_bytes: int | None = None
    packing: Packing | None = None

    @property
    def grows(self) -> bool:
        """Whether the skill can be made from statistics alone, unless a prior is used."""
        return self.method == "moments" and set(self.also) <= {self.method} and not self.biases

    @classmethod
    def of(
        cls,
        task: NamedClasses,
        variant: Variant,
        *,
        created: str,
        started_s: float | None = None,
        also: Sequence[str] = (),
        seed: int = 0,
        replaces: str | None = None,
        warnings: Sequence[str] = (),
        constants: MapperConstants = NO_CONSTANTS,
        max_bytes: int | None = None,
        packing: Packing | None = None,
    ) -> Lesson:
        """Build the lesson for a task.

        Args:
            task: the task, from which the name and the classes are taken.
            variant: the variant, from which the method and the biases are taken.
            created: UTC time for the card.
            started_s: value of `time.perf_counter()` when learning began; by default now.
            also: further methods whose anchors are added to the skill.
            seed: seed for clusters, samples and batch order.
            replaces: id of the skill that the new one replaces, or None.
            warnings: warnings for the card.
            constants: constants of the task mappers.
            max_bytes: maximum size of the skill in bytes; None for no limit.
            packing: way to write class moments in fewer bytes.
        """
        return cls(
            task=task.name,
            classes=task.classes,
            method=variant.method,
            biases=variant.biases,
            created=created,
            started_s=time.perf_counter() if started_s is None else started_s,
            also=tuple(also),
            seed=seed,
            replaces=replaces,
            warnings=tuple(warnings),
            constants=constants,
            max_bytes=max_bytes,
            packing=packing,
        )


@dataclass(frozen=True, eq=False)
class Teacher:
    """Makes skills with one backbone for one author.

    Attributes:
        backbone: the frozen network; its fingerprint goes on every card.
        author: the agent that will sign the skills.
        bias_store: biases trained in earlier runs, for experiments; None to train them every time.
    """

    backbone: Backbone
    author: Author
    bias_store: BiasStore | None = None

    def teach(
        self,
        lesson: Lesson,
        latents: EmbeddedTask,
        prior: Prior | None = None,
        progress: Progress | None = None,
        statistics: TaskStatistics | None = None,
    ) -> Skill:
        """Make the skill of one task; validation images are used for choices.

        Args:
            lesson: the task and the settings for learning it.
            latents: training and validation images after the backbone pass.
            prior: prior from the bank's skills; None to learn without these skills.
            progress: called with (images processed, images planned) while biases are trained.
            statistics: result of `summarise`; by default, it is made if it is needed.

        Raises:
            DataError: a class has no readable training image.
            UsageError: the method is unknown, the budget is too small for any biases, or the skill
                does not fit into the lesson's number of bytes.
        """
        if statistics is None:
            statistics = self.summarise(lesson, latents)
        if prior is None and statistics is not None:
            return self.teach_grown(lesson, statistics)
        fitted = fit_method(
            lesson.method,
            latents.train,
            latents.validation,
            len(lesson.classes),
            self.backbone.reference.metric,
            also=lesson.also,
            seed=lesson.seed,
            prior=prior,
            constants=lesson.constants,
            last_variance=self.backbone.last_variance,
            statistics=statistics,
        )
        learned, remarks = self._learn_biases(lesson, latents, fitted, progress)
        card = self._card(lesson, fitted, _Counts.of(latents, lesson), learned, remarks)
        tensors = fitted.tensors()
        if learned is not None and learned.biases is not None:
            tensors |= learned.biases.tensors()
        metric, held = self.backbone.reference.metric, latents.validation
        known = TaskLatents(metric, latents.train.latents.multi, held.latents.multi, held.labels)
        return self._in_size(lesson, Skill(card, tensors), known)

    def learn(
        self,
        lesson: Lesson,
        latents: EmbeddedTask,
        prior: Prior | None = None,
        progress: Progress | None = None,
    ) -> tuple[Skill, TaskStatistics | None]:
        """Make the skill of one task, and the statistics from which the task can grow.

        Arguments and errors are those of `teach`. The statistics are None if the method needs
        images.
        """
        statistics = self.summarise(lesson, latents)
        return self.teach(lesson, latents, prior, progress, statistics), statistics

    def summarise(self, lesson: Lesson, latents: EmbeddedTask) -> TaskStatistics | None:
        """Return the statistics of a task; None if its method needs images.

        Args:
            lesson: the task and the settings for learning it.
            latents: training and validation images after the backbone pass.
        """
        if not lesson.grows:
            return None
        rows = latents.rows(lesson.classes, lesson.warnings)
        found = TaskStatistics.of(self.backbone.fingerprint, rows)
        return found.with_classes(lesson.classes)

    def teach_grown(self, lesson: Lesson, statistics: TaskStatistics) -> Skill:
        """Make the skill of a task from its statistics alone.

        Args:
            lesson: the task and the settings for learning it, with the classes of the statistics.
            statistics: statistics of the task.
        """
        fitted = fit_grown(statistics, self.backbone.reference.metric)
        counts = _Counts.fitted(fitted.fitted_task)
        lesson = replace(lesson, warnings=statistics.remarks)
        skill = Skill(self._card(lesson, fitted, counts, None, ()), fitted.tensors())
        assert fitted.fitted_task is not None
        train, held = fitted.fitted_task.sample, fitted.fitted_task.validation
        metric = self.backbone.reference.metric
        known = TaskLatents(metric, train.latents(), held.latents(), held.labels)
        return self._in_size(lesson, skill, known)

    def _in_size(self, lesson: Lesson, skill: Skill, latents: TaskLatents) -> Skill:
        """Return the skill in the size that the lesson asks for."""
        if lesson.packing is not None:
            return packed(skill, lesson.packing, latents)
        if lesson.max_bytes is not None:
            return fit_to_bytes(skill, lesson.max_bytes, latents)
        return skill

    def _learn_biases(
        self,
        lesson: Lesson,
        latents: EmbeddedTask,
        fitted: Fitted,
        progress: Progress | None,
    ) -> tuple[LearnedBiases | None, tuple[str, ...]]:
        """Return the biases, if the lesson includes any, and warnings for the card."""
        if lesson.biases is None:
            return None, ()
        if latents.images is None:
            raise ValueError("expected the task's images to learn biases from, got latents only")
        if not len(latents.validation):
            return None, ("no validation images to say whether biases help: none were learned",)
        # Imported here because these modules are slow to load and rarely needed.
        from teachmesh.biases.bias_learning import learn_biases
        from teachmesh.biases.bias_task import BiasTask

        task = BiasTask(
            backbone=self.backbone,
            method=lesson.method,
            images=latents.images,
            train_labels=latents.train.labels,
            validation_labels=latents.validation.labels,
            start=start_head(fitted, lesson.method, latents.train),
            without=log_within(
                fitted,
                lesson.method,
                latents.validation.latents,
                self.backbone.reference.metric,
            ),
            before_macs=self._macs(latents.passes) + fitted.cost_macs,
            seed=lesson.seed,
        )
        learned = learn_biases(task, lesson.biases, store=self.bias_store, progress=progress)
        return learned, _remarks(learned)

    def _card(
        self,
        lesson: Lesson,
        fitted: Fitted,
        counts: _Counts,
        learned: LearnedBiases | None,
        remarks: tuple[str, ...],
    ) -> Card:
        """Build the card: names, cost, validation accuracy, warnings and parents."""
        accuracy, bias_macs = fitted.validation_accuracy, 0
        if learned is not None:
            bias_macs = learned.card.cost_macs
            accuracy = learned.card.accuracy_with if learned.biases else accuracy
        warnings = [w for w in lesson.warnings if w != NO_VALIDATION or not counts.validation]
        few_images = _warnings(lesson.classes, counts.train)
        return Card(
            task=lesson.task,
            classes=lesson.classes,
            images_per_class=tuple(int(count) for count in counts.train),
            validation_images=counts.validation,
            method=lesson.method,
            anchors=tuple(sorted(fitted.anchors)),
            backbone_name=self.backbone.name,
            backbone_fingerprint=self.backbone.fingerprint,
            reference_id=self.backbone.reference_id,
            validation_accuracy=accuracy,
            cost_macs=self._macs(counts.passes) + fitted.cost_macs + bias_macs,
            cost_s=round(time.perf_counter() - lesson.started_s, 3),
            author=self.author.public_key,
            alias=self.author.alias,
            created=lesson.created,
            privacy=privacy_of(fitted.anchors),
            version=__version__,
            replaces=lesson.replaces,
            warnings=(*warnings[:MAX_REMARKS], *few_images, *fitted.warnings, *remarks),
            calibration=fitted.notes,
            parents=fitted.parents,
            biases=None if learned is None else learned.card,
        )

    def _macs(self, passes: int) -> int:
        """Return the number of multiply-accumulates of the backbone passes of some images."""
        return self.backbone.macs_per_image * passes


@dataclass(frozen=True, eq=False)
class _Counts:
    """Numbers of images for the card.

    Attributes:
        train: (C,) number of training images of each class.
        validation: number of validation images.
        passes: number of images that were passed through the backbone.
    """

    train: np.ndarray
    validation: int
    passes: int

    @classmethod
    def of(cls, latents: EmbeddedTask, lesson: Lesson) -> _Counts:
        """Count the images of the splits."""
        counts = np.bincount(latents.train.labels, minlength=len(lesson.classes))
        return cls(counts, len(latents.validation), latents.passes)

    @classmethod
    def fitted(cls, task: SettledTask | None) -> _Counts:
        """Count the images that class moments were fitted to."""
        assert task is not None
        return cls(task.counts, task.n_validation, task.passes)


def _remarks(learned: LearnedBiases) -> tuple[str, ...]:
    if learned.card.cost_macs == 0:
        return ("no biases were learned: hardly a validation image is wrong without them",)
    if learned.biases is None:
        return ("biases were learned and dropped: no gain on validation images",)
    return ()


def _warnings(classes: Sequence[str], counts: np.ndarray) -> tuple[str, ...]:
    few = [name for name, count in zip(classes, counts, strict=True) if count < MIN_IMAGES_PER_MEAN]
    if not few:
        return ()
    return (
        f"{len(few)} of {len(classes)} classes have fewer than {MIN_IMAGES_PER_MEAN} training "
        f"images: their means say much about single images",
    )
