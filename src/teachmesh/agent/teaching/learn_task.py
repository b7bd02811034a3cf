"""Data classes and helpers of `Agent.learn`: options, match with the bank, result."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from teachmesh.agent.argument_checks import check_value
from teachmesh.bank.withheld import SharePolicy
from teachmesh.data.layouts import Layout
from teachmesh.data.names import did_you_mean
from teachmesh.data.read_labelled import read_labelled
from teachmesh.errors import UsageError
from teachmesh.learning.skill_bytes import packing_of
from teachmesh.learning.teacher import Lesson
from teachmesh.learning.variants import (
    MapperConstants,
    check_method,
    check_small,
    find_variant,
    layers_of,
)
from teachmesh.packet.card_rules import now

if TYPE_CHECKING:
    from teachmesh.bank.entry import BankEntry
    from teachmesh.bank.withheld import Reason
    from teachmesh.data.labelled_images import TaskData
    from teachmesh.data.tasks import Task
    from teachmesh.learning.embedded_task import EmbeddedTask
    from teachmesh.learning.variants import Variant
    from teachmesh.model.embedding import LabelledLatents
    from teachmesh.packet.bias_card import BiasCard
    from teachmesh.packet.card import Card
    from teachmesh.packet.skill import Skill
    from teachmesh.reuse.source_skills import MatchReport, SourceSkills
    from teachmesh.reuse.transfer import Prior


@dataclass(frozen=True)
class LearnOptions:
    """Options for learning one task; `Agent.learn` also accepts them as keywords.

    Attributes:
        name: name of the task; by default the folder's name, needed without a folder.
        method: variant to learn with (`maha`, `moments+bb`, ...); by default the agent's.
        also: further methods whose anchors are added to the skill.
        quality: preset, `fast` (without biases) or `best` (with biases where they help); None for
            the biases of `method` and `bb`.
        bb: layers that get beneficial biases: `auto`, `all`, `half`, `last:N` or `none`.
        bb_passes: total budget for learning, in forward passes over the images.
        replace: whether to replace this agent's skill of the same name.
        force: whether to replace it even if the new skill is worse or lacks a class.
        seed: seed for training, and for the split if the folder does not define a split.
        reuse: mode of matching with known classes ("auto", "text", "vision"), or "none". A match
            is used only if it helps on held-out images.
        encoder: text encoder that compares class names, see `reuse.text_encoders.choose_encoder`.
        clusters: number of clusters of `gmmc`; None for the default.
        samples: number of samples per class of `maha`, or "all"; None for the default.
        variance_floor: variance floor of `gmmc`; None for the default.
        layout: meaning of the top folders: `auto`, `classes` or `splits`.
        split: fractions for validation and test, see `data.tasks.read_task`; None for a tenth each.
        add_to: task of this agent to which the images are added, see `grow_task`; None for a new
            task.
        part_of: task of another agent, such as "screws@alice", of which the images become a part,
            see `learn_part`; None for a task of this agent.
        statistics: whether to keep private statistics in the home, so that the task can grow.
        private: whether to keep the skill on this machine; `share_task` shares it later.
        allow_few: whether to share classes with fewer than 10 training images, whose means reveal
            much of them.
        max_bytes: maximum size of the skill in bytes, with `moments` without biases; None for no
            limit. Numbers are then written with fewer bits, see `learning.skill_bytes`.
    """

    name: str | None = None
    method: str | None = None
    also: Sequence[str] = ()
    quality: str | None = None
    bb: str | None = None
    bb_passes: float | None = None
    replace: bool = False
    force: bool = False
    seed: int = 0
    reuse: str = "none"
    encoder: str = "auto"
    clusters: int | None = None
    samples: int | str | None = None
    variance_floor: float | None = None
    layout: Layout = "auto"
    split: tuple[float, float] | None = None
    add_to: str | None = None
    part_of: str | None = None
    statistics: bool = True
    private: bool = False
    allow_few: bool = False
    max_bytes: int | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            check_value(field.name, getattr(self, field.name), str(field.type))

    @classmethod
    def of(cls, options: LearnOptions | None, keywords: Mapping[str, Any]) -> LearnOptions:
        """Return the options, updated with the keywords.

        Raises:
            UsageError: an option is unknown.

        Examples:
            >>> LearnOptions.of(LearnOptions(seed=1), {"method": "maha"}).method
            'maha'
        """
        if not isinstance(options, LearnOptions | None):
            raise UsageError(f"expected LearnOptions, got {type(options).__name__}")
        known = [field.name for field in fields(cls)]
        for name in keywords:
            if name not in known:
                raise UsageError(
                    f"expected an option out of {', '.join(known)}, got {name!r}"
                    f"{did_you_mean(name, known)}"
                )
        return replace(options or cls(), **keywords)

    def variant(self, default: Variant) -> Variant:
        """Return the variant to learn with, after checking the methods.

        Args:
            default: the agent's variant, used if the options name no method.

        Raises:
            UsageError: a method is unknown, or it does not allow these biases, this budget, these
                constants or a maximum size.
        """
        chosen = find_variant(self.method) if self.method else default
        chosen = chosen.with_biases(layers_of(self.quality, self.bb), self.bb_passes)
        for other in self.also:
            check_method(other)
        self.constants().check_used({chosen.method, *self.also})
        if self.max_bytes is not None:
            check_small(chosen, self.also)
        return chosen

    def read(self, data: TaskData) -> Task:
        """Read a task from a path or from memory, with the name and splits of the options."""
        return read_labelled(
            data, name=self.name, seed=self.seed, layout=self.layout, split=self.split
        )

    def constants(self) -> MapperConstants:
        """Return the constants of the task mappers."""
        return MapperConstants(self.clusters, self.variance_floor, self.samples)

    def policy(self, share: str) -> SharePolicy:
        """Return the wishes about sharing the skill.

        Args:
            share: the home's setting: `all`, `ask` or `none`.
        """
        return SharePolicy(share, self.private, self.allow_few)

    def lesson(
        self, task: Task, variant: Variant, replaces: str | None, started_s: float
    ) -> Lesson:
        """Build the lesson for a task.

        Args:
            task: the task to learn.
            variant: the variant to learn with, from `LearnOptions.variant`.
            replaces: id of the skill to replace, or None.
            started_s: value of `time.perf_counter()` when learning began.
        """
        return Lesson.of(
            task,
            variant,
            created=now(),
            started_s=started_s,
            also=self.also,
            seed=self.seed,
            replaces=replaces,
            warnings=sources_remarks(task),
            constants=self.constants(),
            max_bytes=self.max_bytes,
        )


@dataclass(frozen=True, eq=False)
class TaskMatch:
    """Result of matching a task with the source skills; empty if nothing is reused.

    Attributes:
        report: the matched classes; None if nothing was compared.
        prior: the prior from these classes; None if nothing was compared.
    """

    report: MatchReport | None = None
    prior: Prior | None = None


@dataclass(frozen=True, eq=False)
class TaskSources:
    """Skills that a task may be matched with.

    Attributes:
        task: the task to match.
        skills: the source skills; None to match nothing.
    """

    task: Task
    skills: SourceSkills | None

    def match(self, train: LabelledLatents) -> TaskMatch:
        """Match the classes of the task, and build the prior from the matches.

        Args:
            train: latents and labels of the training images, at least one image per class.
        """
        if self.skills is None:
            return TaskMatch()
        report = self.skills.match(self.task.name, self.task.classes, train)
        return TaskMatch(report, self.skills.prior_of(report, train))


@dataclass(frozen=True)
class Reuse:
    """Summary of reuse: classes matched with the bank, and the part that was transferred.

    Attributes:
        encoder: text encoder, or "names" if none was used; None if only images were compared.
        tasks: number of known tasks that were compared.
        known: number of classes of the new task that have a match.
        takes: transferred part: "classes" (means of known classes, and the bank's covariance),
            "covariance" (the covariance only), "rows" (initial head rows) or "nothing".
    """

    encoder: str | None
    tasks: int
    known: int
    takes: str

    @classmethod
    def of(cls, report: MatchReport, card: Card) -> Reuse:
        """Summarise a match, and what was transferred according to the learned skill's card."""
        return cls(report.encoder, report.n_known, report.n_matched, taken_by(card))


def taken_by(card: Card) -> str:
    """Return the transferred part (see `Reuse.takes`); the skill's own method has priority."""
    moments = "classes" if "reuse_slope" in card.calibration else "covariance"
    found = {
        "moments": moments if "reuse_gain" in card.calibration else "nothing",
        "head": "rows" if "reuse_start_gain" in card.calibration else "nothing",
    }
    order = ("moments", "head") if card.method == "moments" else ("head", "moments")
    return next((found[part] for part in order if found[part] != "nothing"), "nothing")


@dataclass(frozen=True)
class LearnResult:
    """Summary of a learned skill that is saved on disk.

    Attributes:
        task: name of the task.
        skill_id: id of the skill.
        method: the task mapper of the skill.
        classes: names of the classes.
        n_images: number of training and validation images that were read.
        skipped: number of unreadable images.
        skipped_reasons: one sentence per unreadable image.
        validation_accuracy: accuracy with the task given; None without validation images.
        privacy: image data in the skill: "statistics" or "samples" (single latents).
        size_bytes: size of the skill in bytes.
        cost_macs: number of multiply-accumulates, counted while learning.
        wall_s: seconds from reading the folder until the skill was saved on disk.
        warnings: remarks about equal images, and the warnings on the skill's card.
        reused: number of known classes that the card lists as parents.
        reuse: summary of matches with the bank and their use; None if nothing was compared.
        biases: gain and cost of beneficial biases; None if none were learned.
        withheld: reason why peers do not get the skill, see `bank.withheld.Reason`; None if they
            get it.
        parts: ids of the new parts; if another agent owns the task, `skill_id` is empty.
        packing: numbers of bits and of directions of a skill made small; None for a skill of full
            size.
    """

    task: str
    skill_id: str
    method: str
    classes: tuple[str, ...]
    n_images: int
    skipped: int
    skipped_reasons: tuple[str, ...]
    validation_accuracy: float | None
    privacy: str
    size_bytes: int
    cost_macs: int
    wall_s: float
    warnings: tuple[str, ...]
    reused: int = 0
    reuse: Reuse | None = None
    biases: BiasCard | None = None
    withheld: Reason | None = None
    parts: tuple[str, ...] = ()
    packing: str | None = None

    @classmethod
    def of(
        cls,
        entry: BankEntry,
        skill: Skill,
        task: Task,
        latents: EmbeddedTask,
        match: TaskMatch,
        started_s: float,
        withheld: Reason | None = None,
    ) -> LearnResult:
        """Summarise a saved skill.

        Args:
            entry: the skill's entry in the bank.
            skill: the saved skill.
            task: the learned task.
            latents: latents and labels of the task's images.
            match: match of the task with the bank.
            started_s: value of `time.perf_counter()` when learning began.
            withheld: reason why peers do not get the skill; None if they get it.
        """
        card = skill.card
        return cls(
            task=card.task,
            skill_id=entry.id,
            method=card.method,
            classes=card.classes,
            n_images=sum(card.images_per_class) + card.validation_images,
            skipped=task.skipped + len(latents.failed),
            skipped_reasons=(*task.unreadable, *latents.failed),
            validation_accuracy=card.validation_accuracy,
            privacy=card.privacy,
            size_bytes=entry.size_bytes,
            cost_macs=card.cost_macs,
            wall_s=round(time.perf_counter() - started_s, 3),
            warnings=(*task.copies, *latents.copies, *card.warnings),
            reused=len(card.parents),
            reuse=None if match.report is None else Reuse.of(match.report, card),
            biases=card.biases,
            withheld=withheld,
            packing=None if (found := packing_of(skill)) is None else str(found),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the document that `teachmesh learn --json` prints."""
        document = asdict(self)
        document["skill"] = document.pop("skill_id")
        return {"schema": "teachmesh.learn/1", **document}


def sources_remarks(task: Task) -> tuple[str, ...]:
    """Return the remarks about a source that belong on the card.

    Remarks about equal images do not: a photo counts once, whenever it comes.
    """
    return tuple(remark for remark in task.warnings if remark not in task.copies)
