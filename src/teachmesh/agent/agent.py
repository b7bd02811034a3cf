"""The class `Agent`, which learns and predicts with the skills of one home folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from teachmesh.agent.bank_view import BankView, answered_again
from teachmesh.agent.catalogue import Catalogue
from teachmesh.agent.correct_answer import Correction, correct_answer
from teachmesh.agent.grow_task import grow_task
from teachmesh.agent.learn_task import (
    LearnOptions,
    LearnResult,
    TaskSources,
)
from teachmesh.agent.prediction import Answers, AnswerWriter, Prediction
from teachmesh.agent.replace_skill import (
    check_accuracy,
    check_classes,
    check_force,
    earlier_versions,
    find_predecessor,
    skill_to_replace,
)
from teachmesh.agent.skill_faults import SkillFault
from teachmesh.agent.skill_versions import Restored, SkillVersion, restore_version, skill_history
from teachmesh.agent.student import FirstPass, FirstPasses, Student, refine_with
from teachmesh.data.image_inputs import AskedImages, ImageInput, find_images
from teachmesh.data.loader import Progress
from teachmesh.errors import BackboneError, DataError
from teachmesh.learning.embedded_task import EmbeddedTask, embed_task
from teachmesh.learning.sample_limits import check_sample_limits
from teachmesh.learning.teacher import Author, Teacher
from teachmesh.mapping.typicality import FALSE_ALARMS, check_rate
from teachmesh.model.backbone_registry import load_backbone
from teachmesh.model.build_backbone import choose_device
from teachmesh.packet.signing import agent_id, sign
from teachmesh.reuse.source_skills import SourceSkill, SourceSkills, apart_from, without_copies

if TYPE_CHECKING:
    from teachmesh.bank.entry import BankEntry
    from teachmesh.bank.folder import ArrayFiles
    from teachmesh.biases.bias_choice import BiasStore
    from teachmesh.biases.second_pass import SecondPass
    from teachmesh.data.tasks import Task
    from teachmesh.learning.task_statistics import TaskStatistics
    from teachmesh.learning.variants import Variant
    from teachmesh.mapping.decisions import Decisions
    from teachmesh.mapping.metric import Metric
    from teachmesh.model.backbone import Backbone
    from teachmesh.packet.card import Card
    from teachmesh.packet.skill import Skill


class Agent(BankView):
    """An agent that learns tasks, receives skills and predicts with all of them.

    Args:
        home: folder of the agent; by default `TEACHMESH_HOME`, otherwise the user's data folder.
        backbone: alias of the backbone; by default that of the settings, initially `embedded`.
        mapper: task mapper to predict with (`moments`, `gmmc`, `maha`), or variant to learn with
            (such as `maha+bb`, see `learning.variants`), whose mapper then predicts; by default
            from the home's settings.
        device: `auto`, `cpu`, `cuda`, `cuda:1` or `mps`; an unavailable device is an error.
        bank: folder of a bank to use instead of the home's, for experiments.
        ridge: ridge of the task mapper `maha`, for experiments; None for the default.
        reading: True to create nothing if the home is missing, and to write nothing if it is
            read-only.

    Raises:
        UsageError: the mapper is unknown.
        BackboneError: the backbone is unknown (raised on its first use).
        StorageError: the home cannot be used.

    Examples:
        >>> import tempfile
        >>> agent = Agent(tempfile.mkdtemp())
        >>> agent.skills()
        []
    """

    def __init__(
        self,
        home: str | Path | None = None,
        *,
        backbone: str | None = None,
        mapper: str | None = None,
        device: str = "auto",
        bank: Path | None = None,
        ridge: float | None = None,
        reading: bool = False,
    ) -> None:
        super().__init__(home, backbone=backbone, mapper=mapper, bank=bank, reading=reading)
        self._device = device
        self._ridge = ridge
        self._second: SecondPass | None = None
        self._student_version: int | None = None
        self._writer = AnswerWriter(())

    @cached_property
    def backbone(self) -> Backbone:
        """The frozen network, loaded on first use."""
        return load_backbone(self.home.backbones, self.backbone_name, choose_device(self._device))

    @cached_property
    def _student(self) -> Student:
        return Student(self.method, self.metric(), self._store_of, self._ridge)

    def _store_of(self, part: str, origin: str) -> ArrayFiles:
        """Return the files for densities that were derived from skills of this backbone."""
        return self.bank.derived(f"{self.backbone.fingerprint[:16]}/{part}", origin)

    # Teacher

    def learn(
        self,
        path: str | Path,
        options: LearnOptions | None = None,
        *,
        progress: Progress | None = None,
        on_understood: Callable[[str], None] | None = None,
        **keywords: Any,
    ) -> LearnResult:
        """Learn one task from its images and save it as a skill.

        Args:
            path: folder, archive or CSV file of the task.
            options: options for learning; by default `LearnOptions()`.
            progress: called with (images done, images in total).
            on_understood: called with a one-sentence summary of the task, before learning.
            keywords: individual options that override `options`, such as `method="maha"`.

        Returns:
            Summary of the saved skill, which is on disk when this returns.

        Raises:
            DataError: the images or labels cannot be used, or a task to add to cannot grow here.
            UsageError: the task was learned before and `replace` is False, or an option is invalid.
                The new skill would replace a better one, or one with more classes, and `force` is
                False.
            StorageError: the skill cannot be saved; no partly written file is left.
        """
        started_s = time.perf_counter()
        options = LearnOptions.of(options, keywords)
        if options.add_to is not None:
            return grow_task(self, path, options, progress, on_understood)
        variant = options.variant(self.variant)  # method and biases, checked first
        task = options.read(path)  # folder -> classes, splits
        replaces = self.check_task(task, variant, options)  # None if the task is new
        sources = self.source_skills(task, options.reuse, options.encoder)  # bank -> old classes
        latents = self.embed_task(task, progress, on_understood)  # images -> latents
        match = sources.match(latents.train)  # empty without reuse
        lesson = options.lesson(task, variant, replaces, started_s)
        # latents -> exact sums -> skill
        skill, sums = self.teacher().learn(lesson, latents, match.prior, progress)
        # skill -> signed bytes -> disk
        entry = self.save(skill, sums if options.statistics else None, force=options.force)
        return LearnResult.of(entry, skill, task, latents, match, started_s)

    def correct(self, image: str | Path, *, task: str, class_name: str) -> Correction:
        """Learn a photo as a class of a task that this agent learned.

        Args:
            image: path of the photo.
            task: name of the task.
            class_name: a class of the task. If the photo was learned as another one, it leaves that
                first.

        Raises:
            DataError: the photo, the class or the task cannot be used.
            UsageError: another agent learned the task, or its method needs all images.
            StorageError: the skill cannot be saved.
        """
        return correct_answer(self, image, task, class_name)

    def check_backbone(self, card: Card) -> None:
        """Check that a skill was learned with the backbone in use.

        Raises:
            BackboneError: it was learned with another one.
        """
        if card.backbone_fingerprint != self.backbone.fingerprint:
            raise BackboneError(
                f"expected the backbone of {card.task!r}, which is {card.backbone_name!r}, got "
                f"{self.backbone_name!r}; choose it with --backbone"
            )

    def check_task(self, task: Task, variant: Variant, options: LearnOptions) -> str | None:
        """Check that a task may be learned; return the id of the skill that it replaces, or None.

        Raises:
            UsageError: a skill exists, and the options do not allow replacing it; or the samples of
                `maha` do not fit into a skill.
        """
        methods, constants = {variant.method, *options.also}, options.constants()
        if "maha" in methods:
            check_sample_limits(task, methods, constants, self.latent_sizes().get("last"))
        check_force(replace=options.replace, force=options.force)
        author = self.key.public_key
        old = skill_to_replace(self.bank, author, task.name, replace=options.replace)
        if old is not None and not options.force:
            check_classes(old, task.classes)  # before the images are read
        return None if old is None else old.id

    def save(
        self, skill: Skill, statistics: TaskStatistics | None = None, *, force: bool = False
    ) -> BankEntry:
        """Sign a skill and save it, unless it is worse than the skill that it replaces.

        Args:
            skill: a skill of this agent.
            statistics: private statistics that the skill was made from; None to keep none.
            force: whether to save it even if it is worse or lacks a class.

        Raises:
            UsageError: it is worse or lacks a class, and `force` is False; or another process saved
                a version of this task meanwhile.
            StorageError: the skill cannot be saved.
        """
        old = find_predecessor(self.bank, skill.card)
        if old is not None and not force:
            check_classes(old, skill.card.classes)
            check_accuracy(self.bank.load(old.id).skill.card, skill.card)
        self.statistics.keep(skill, statistics, self.bank)
        return self.bank.put(sign(skill, self.key))

    def history(self, task: str) -> list[SkillVersion]:
        """Return all held versions of a task, newest first; see `skill_versions.skill_history`."""
        return skill_history(self, task)

    def restore(self, task: str, version: str | int | None = None) -> Restored:
        """Make an earlier version active on all agents; see `skill_versions.restore_version`."""
        return restore_version(self, task, version)

    def source_skills(self, task: Task, mode: str, encoder: str) -> TaskSources:
        """Return the skills that a task may be matched with.

        Args:
            task: the task to learn.
            mode: one of `reuse.matching.MODES`, or "none" to match nothing.
            encoder: name of a text encoder, see `reuse.text_encoders.choose_encoder`.

        Raises:
            UsageError: the mode or the encoder is unknown.
        """
        return TaskSources(
            task,
            SourceSkills.of(lambda: self.sources_for(task.name), self.metric, mode, encoder),
        )

    def embed_task(
        self,
        task: Task,
        progress: Progress | None = None,
        on_understood: Callable[[str], None] | None = None,
    ) -> EmbeddedTask:
        """Run the training and validation images of a task through the backbone.

        Args:
            task: the task to learn.
            progress: called with (images done, images in total).
            on_understood: called with a one-sentence summary of the task, before the first image.

        Raises:
            DataError: too many images, or all training images of a class, are unreadable.
        """
        if on_understood is not None:
            on_understood(task.summary())
        return embed_task(self.backbone, task, progress)

    def latent_sizes(self) -> dict[str, int]:
        """Return the sizes of the backbone's latents by kind."""
        if stated := super().latent_sizes():
            return stated
        return {"last": self.backbone.last_dim, "multi": self.backbone.dim}  # loads the network

    def metric(self) -> Metric:
        """Return the fixed metric of the backbone's latents."""
        return self.backbone.reference.metric

    def teacher(self, bias_store: BiasStore | None = None) -> Teacher:
        """Return a teacher that makes skills for this agent.

        Args:
            bias_store: biases trained in earlier runs, for experiments.
        """
        return Teacher(self.backbone, Author(self.key.public_key, self.alias), bias_store)

    def sources(self) -> tuple[SourceSkill, ...]:
        """Return the active skills of this backbone in canonical order, with display names.

        Skills of every method are included, because class names and rows do not depend on the
        mapper in use.
        """
        catalogue = self.catalogue()
        skills = cache(lambda skill_id: self.bank.load(skill_id).skill)
        return named(catalogue, catalogue.matchable(), skills)

    def sources_for(self, task: str) -> tuple[SourceSkill, ...]:
        """Return the source skills for transfer to a task.

        Earlier versions of the task and copies of other skills are excluded.
        """
        own = earlier_versions(self.bank, self.key.public_key, task)
        return without_copies(apart_from(self.sources(), own))

    # Student

    def sync(self) -> Student:
        """Return the student after updating it with all changes of the bank."""
        version = self.bank.version()
        if version != self._student_version:
            catalogue = self.catalogue()
            usable = {entry.id: entry for entry in catalogue.usable()}
            self._student.sync(usable, lambda skill_id: self.bank.load(skill_id).skill)
            for skill_id, reason in self._student.unusable.items():
                super().set_aside(SkillFault(skill_id, reason))
            used = [usable[skill_id] for skill_id in self._student.skill_ids]
            self._writer = AnswerWriter(named(catalogue, used, self._student.skill))
            self._second = None
            self._student_version = version
        return self._student

    def set_aside(self, fault: SkillFault) -> None:
        """Let other skills answer from the next `sync` on, and show the reason in `skills`."""
        super().set_aside(fault)
        self._student_version = None

    def second_pass(self) -> SecondPass | None:
        """Return the second pass for the skills with biases; None if no skill has biases."""
        self.sync()
        return self._second_pass()

    def _second_pass(self) -> SecondPass | None:
        biased = self._student.biased()
        if self._second is None and biased:
            # Imported here because the module is slow to load and only needed with biases.
            from teachmesh.biases.second_pass import SecondPass

            self._second = SecondPass(self.backbone, biased)
        return self._second

    # Answers

    def predict(
        self,
        asked: AskedImages | Sequence[AskedImages],
        *,
        task: str | None = None,
        alternatives: int = 3,
        false_alarms: float = FALSE_ALARMS,
    ) -> Prediction | list[Prediction]:
        """Predict the task and the class of images.

        Args:
            asked: a path to an image or folder, file contents, a Pillow image or an
                (H, W, 3) array; or a list of such values.
            task: the task if it is known; then only its classes are candidates.
            alternatives: number of runners-up to list.
            false_alarms: fraction of known images that may be called unknown, up to 0.25.

        Returns:
            One prediction for a single image, otherwise a list.

        Raises:
            DataError: an image cannot be read, or there is no skill.
            UsageError: the rate of false alarms is not possible.
        """
        answers = self.predict_many(
            asked, task=task, alternatives=alternatives, false_alarms=false_alarms
        )
        if answers.failed:
            raise DataError(answers.failed[0])
        one = not isinstance(asked, list | tuple) and len(answers.predictions) == 1
        return answers.predictions[0] if one else list(answers.predictions)

    @answered_again
    def predict_many(
        self,
        asked: AskedImages | Sequence[AskedImages],
        *,
        task: str | None = None,
        alternatives: int = 3,
        false_alarms: float = FALSE_ALARMS,
        progress: Progress | None = None,
    ) -> Answers:
        """Predict the task and the class of images, and list the unreadable images.

        Args:
            asked: images as for `predict`.
            task: the task if it is known.
            alternatives: number of runners-up to list.
            false_alarms: fraction of known images that may be called unknown, up to 0.25.
            progress: called with (images done, images in total).

        Raises:
            DataError: no image can be read, or there is no skill.
            UsageError: the rate of false alarms is not possible.
        """
        check_rate(false_alarms)
        images = find_images(asked)  # paths, bytes, pictures -> images
        skills = self.sync()  # bank -> consolidated task mapper
        given = self.skill_given(task)  # None if the task is not known
        passes = self.embed(images, given, progress)  # images -> portions of latents
        predictions: list[Prediction] = []
        for seen in passes:
            decisions = skills.decide(seen.latents, given)  # latents -> task, class, unknown
            decisions = self.refine(decisions, seen)  # second pass if a skill has biases
            # decisions -> names, authors, equivalent classes
            predictions += self.describe(decisions, seen, alternatives, false_alarms)
        return Answers(tuple(predictions), tuple(passes.failed), self.method, self.backbone.name)

    def skill_given(self, task: str | None) -> str | None:
        """Return the id of the usable skill for a task; None if no task is given.

        Raises:
            DataError: the task has no skill, or the skill cannot be used.
        """
        if task is None:
            return None
        info = self.find(task)
        if info.id not in self.sync().skill_ids:
            raise DataError(f"the skill of {task!r} cannot be used: {info.reason}")
        return info.id

    def embed(
        self,
        images: Sequence[ImageInput],
        given: str | None = None,
        progress: Progress | None = None,
    ) -> FirstPasses:
        """Return the first pass over images, which runs when the result is iterated over.

        Args:
            images: images as returned by `find_images`.
            given: id of the skill whose task is given; None if no task is given.
            progress: called with (images done, images in total).
        """
        second = self.second_pass()
        biased = frozenset[str]() if second is None else second.skill_ids
        needed = bool(biased) if given is None else given in biased
        return FirstPasses(self.backbone, images, second if needed else None, progress)

    def refine(self, decisions: Decisions, seen: FirstPass) -> Decisions:
        """Run the second pass; return the decisions unchanged if no skill has biases.

        Args:
            decisions: decisions of the first pass.
            seen: the images after the first pass.
        """
        second = self._second_pass() if seen.needs_second_pass() else None
        return decisions if second is None else refine_with(second, decisions, seen)

    def describe(
        self,
        decisions: Decisions,
        seen: FirstPass,
        alternatives: int = 3,
        false_alarms: float = FALSE_ALARMS,
    ) -> list[Prediction]:
        """Return predictions with names, probabilities, authors and equivalent classes.

        Args:
            decisions: decisions about the images.
            seen: the images after the first pass.
            alternatives: number of runners-up to list.
            false_alarms: fraction of known images that may be called unknown.
        """
        return self._writer.describe(decisions, seen.names, alternatives, false_alarms)


def named(
    catalogue: Catalogue, entries: Iterable[BankEntry], load: Callable[[str], Skill]
) -> tuple[SourceSkill, ...]:
    """Return skills with their display names.

    Args:
        catalogue: catalogue of the bank.
        entries: entries of the skills.
        load: function that returns the skill with a given id.
    """
    names = catalogue.display_names()
    return tuple(
        SourceSkill(e.id, names[e.id], e.alias, agent_id(e.author), e.classes, load)
        for e in entries
    )
