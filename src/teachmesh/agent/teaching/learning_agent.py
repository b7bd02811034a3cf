"""Learning of tasks by an agent, as skills of its bank."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from teachmesh.agent.agent_threads import one_at_a_time
from teachmesh.agent.answers.answering import AnsweringAgent
from teachmesh.agent.answers.synced_agent import named
from teachmesh.agent.argument_checks import checked
from teachmesh.agent.known_skills.replace_skill import (
    check_accuracy,
    check_alone,
    check_classes,
    check_force,
    earlier_versions,
    find_predecessor,
    skill_to_replace,
)
from teachmesh.agent.known_skills.withhold_tasks import save_own
from teachmesh.agent.teaching.learn_part import add_images
from teachmesh.agent.teaching.learn_task import (
    LearnOptions,
    LearnResult,
    TaskSources,
)
from teachmesh.bank.withheld import SharePolicy
from teachmesh.data.loader import Progress
from teachmesh.errors import BackboneError
from teachmesh.learning.embedded_task import EmbeddedTask, embed_task, with_copies
from teachmesh.learning.sample_limits import check_sample_limits
from teachmesh.learning.teacher import Author, Teacher
from teachmesh.reuse.source_skills import SourceSkill, SourceSkills, apart_from, without_copies

if TYPE_CHECKING:
    from teachmesh.bank.entry import BankEntry
    from teachmesh.bank.withheld import Reason
    from teachmesh.biases.bias_choice import BiasStore
    from teachmesh.data.labelled_images import TaskData
    from teachmesh.data.tasks import Task
    from teachmesh.learning.task_statistics import TaskStatistics
    from teachmesh.learning.variants import Variant
    from teachmesh.packet.card import Card
    from teachmesh.packet.skill import Skill


_log = logging.getLogger(__name__)


class LearningAgent(AnsweringAgent):
    """An agent that learns tasks, receives skills and predicts with all of them.

    Args and errors are those of `Agent`.
    """

    @checked
    @one_at_a_time
    def learn(
        self,
        data: TaskData,
        options: LearnOptions | None = None,
        *,
        progress: Progress | None = None,
        on_understood: Callable[[str], None] | None = None,
        **keywords: Any,
    ) -> LearnResult:
        """Learn one task from its images and save it as a skill.

        The same pixels in the same splits give the same skill, whatever their form. A folder is
        split by its files, other images by their pixels. With `split=(0, 0)` all images train.

        Args:
            data: folder, archive or CSV file of the task, or labelled images with a `name`. These
                are (images, labels), a mapping from class names to images, a torch `Dataset` of
                (image, label), or a split of Hugging Face `datasets`.
            options: options for learning; by default `LearnOptions()`.
            progress: called with (images done, images in total).
            on_understood: called with a one-sentence summary of the task, before learning.
            keywords: individual options that override `options`, such as `method="maha"`.

        Returns:
            Summary of the saved skill, which is on disk when this returns.

        Raises:
            DataError: the images or labels cannot be used, or a task to add to cannot grow here.
            UsageError: the task was learned before and `replace` is False, the name is missing, or
                an option is invalid. The new skill would replace a better one, or one with more
                classes, and `force` is False.
            StorageError: the skill cannot be saved; no partly written file is left.
        """
        started_s = time.perf_counter()
        options = LearnOptions.of(options, keywords)
        if options.part_of is not None or options.add_to is not None:
            return add_images(self, data, options, progress, on_understood)
        variant = options.variant(self.variant)  # method and biases, checked first
        task = options.read(data)  # folder or images -> classes, splits
        replaces = self.check_task(task, variant, options)  # None if the task is new
        sources = self.source_skills(task, options.reuse, options.encoder)  # bank -> old classes
        latents = self.embed_task(task, progress, on_understood)  # images -> latents
        match = sources.match(latents.train)  # empty without reuse
        lesson = options.lesson(task, variant, replaces, started_s)
        # latents -> exact sums -> skill
        skill, sums = self.teacher().learn(lesson, latents, match.prior, progress)
        entry, withheld = self.save_learned(skill, sums, options)  # skill -> signed bytes -> disk
        return LearnResult.of(entry, skill, task, latents, match, started_s, withheld)

    def save_learned(
        self, skill: Skill, sums: TaskStatistics | None, options: LearnOptions
    ) -> tuple[BankEntry, Reason | None]:
        """Save a skill as the options say; return the reason if peers do not get it.

        Raises:
            UsageError: the new skill would replace a better one, and `force` is False.
            StorageError: the skill cannot be saved.
        """
        kept = sums if options.statistics and self.in_float32 else None
        entry = self.save(skill, kept, options.policy(self.home.config.share), force=options.force)
        return entry, self.withheld.reasons().get(entry.id)

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
        if old is not None:
            check_alone(self.bank, author, task.name)
        if old is not None and not options.force:
            check_classes(old, task.classes)  # before the images are read
        return None if old is None else old.id

    def save(
        self,
        skill: Skill,
        statistics: TaskStatistics | None = None,
        policy: SharePolicy | None = None,
        *,
        force: bool = False,
    ) -> BankEntry:
        """Sign a skill and save it, unless it is worse than the skill that it replaces.

        Args:
            skill: a skill of this agent.
            statistics: private statistics that the skill was made from; None to keep none.
            policy: wishes about sharing it; by default those of the home.
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
        return save_own(self, skill, policy or SharePolicy(self.home.config.share))

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
        _log.info("learning %s: %s", task.name, task.summary())
        if on_understood is not None:
            on_understood(task.summary())
        embedded = embed_task(self.backbone, task, progress)
        embedded = with_copies(embedded, task, self.backbone.size)
        for failure in (*task.unreadable, *embedded.failed):
            _log.warning("left out: %s", failure)
        return embedded

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
