"""Add images to a task that this agent learned, without its earlier images."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Protocol

from teachmesh.agent.teaching.learn_task import (
    LearnOptions,
    LearnResult,
    TaskMatch,
    sources_remarks,
    taken_by,
)
from teachmesh.data.image_splits import Growth
from teachmesh.data.names import comparison_key, shown
from teachmesh.data.read_labelled import read_labelled
from teachmesh.data.source_files import counted
from teachmesh.errors import DataError, UsageError
from teachmesh.learning.skill_bytes import packing_of
from teachmesh.learning.teacher import Lesson
from teachmesh.learning.variants import find_variant
from teachmesh.packet.card_rules import now
from teachmesh.trust.policy import known_as

if TYPE_CHECKING:
    from teachmesh.agent.known_skills.catalogue import SkillInfo
    from teachmesh.agent.known_skills.kept_statistics import KeptStatistics
    from teachmesh.bank.entry import BankEntry
    from teachmesh.bank.store import Bank
    from teachmesh.bank.withheld import Withheld
    from teachmesh.data.labelled_images import TaskData
    from teachmesh.data.loader import Progress
    from teachmesh.data.splits import SplitRule
    from teachmesh.data.tasks import Task
    from teachmesh.learning.embedded_task import EmbeddedTask
    from teachmesh.learning.task_statistics import TaskStatistics
    from teachmesh.learning.teacher import Teacher
    from teachmesh.model.backbone import Backbone
    from teachmesh.packet.card import Card
    from teachmesh.packet.signing import AgentKey
    from teachmesh.packet.skill import Skill
    from teachmesh.trust.trust_book import TrustBook

_KEPT = ("layout", "method", "seed")
"""Options that have a meaning when images are added; `method` and `seed` are checked."""


class Author(Protocol):
    """The agent that learned a task: an `Agent`."""

    bank: Bank
    statistics: KeptStatistics
    withheld: Withheld
    trust: TrustBook

    @property
    def key(self) -> AgentKey:
        """The agent's signing key."""

    @property
    def backbone(self) -> Backbone:
        """The frozen network."""

    @property
    def in_float32(self) -> bool:
        """Whether latents are computed in float32, as exact sums need them."""

    def find(self, selector: str) -> SkillInfo:
        """Return the skill with a name."""

    def check_backbone(self, card: Card) -> None:
        """Check that a skill was learned with the backbone in use."""

    def embed_task(
        self,
        task: Task,
        progress: Progress | None = None,
        on_understood: Callable[[str], None] | None = None,
    ) -> EmbeddedTask:
        """Run the images of a task through the backbone."""

    def teacher(self) -> Teacher:
        """Return a teacher that makes skills for this agent."""

    def save(
        self, skill: Skill, statistics: TaskStatistics | None = None, *, force: bool = False
    ) -> BankEntry:
        """Sign and save a skill, after its private statistics."""


def grow_task(
    agent: Author,
    data: TaskData,
    options: LearnOptions,
    progress: Progress | None = None,
    on_understood: Callable[[str], None] | None = None,
) -> LearnResult:
    """Learn more images of a task: of known classes, of new ones, or both.

    The skill equals the one that learning all images at once would have made.

    Args:
        agent: the agent that learned the task.
        data: labelled images, as for `Agent.learn`; one class is enough.
        options: options with `add_to`.
        progress: called with (images done, images in total).
        on_understood: called with a one-sentence summary of the images, before learning.

    Raises:
        DataError: the images cannot be used, or no statistics of the task are kept here.
        UsageError: the task has another author or another method, or an option does not apply.
        StorageError: the statistics are damaged, or the skill cannot be saved.
    """
    started_s = time.perf_counter()
    check_options(options, "add_to")
    kept = agent.statistics
    name = options.add_to or ""
    skill, _ = own_skill(agent, name)
    check_grows(skill.card, options)
    statistics = kept.load(skill)
    task = read_more(data, options, skill.card, statistics.rule)
    agent.check_backbone(skill.card)
    latents = agent.embed_task(task, progress, on_understood)
    with kept.locked():
        skill, replaces = own_skill(agent, name)  # again, because another process may have grown it
        grown = Grown.of(kept.load(skill), task, latents)
        new = skill_of(agent, grown.statistics, skill, replaces, started_s)
        entry = agent.save(new, grown.statistics, force=True)
    withheld = agent.withheld.reasons().get(entry.id)
    result = LearnResult.of(entry, new, task, latents, TaskMatch(), started_s, withheld)
    return replace(result, warnings=(*grown.remarks, *result.warnings))


def check_options(options: LearnOptions, chosen: str) -> None:
    """Check that all options apply when images are added to a task.

    Args:
        options: the options.
        chosen: the option that names the task: "add_to" or "part_of".

    Raises:
        UsageError: one does not.
    """
    default = LearnOptions()
    for field in fields(options):
        value = getattr(options, field.name)
        if field.name not in (*_KEPT, chosen) and value != getattr(default, field.name):
            option = "no-statistics" if field.name == "statistics" else field.name
            given, other = (f"--{name.replace('_', '-')}" for name in (chosen, option))
            raise UsageError(
                f"expected {given} without {other}, because a task keeps the settings with which "
                "it was learned; leave it out"
            )


def own_skill(agent: Author, name: str) -> tuple[Skill, str]:
    """Return the active skill of a task that this agent learned, and its id.

    Raises:
        DataError: there is no skill of this name.
        UsageError: another agent learned it.
    """
    skill_id = agent.find(name).id
    card = agent.bank.load(skill_id).skill.card
    if card.author != agent.key.public_key:
        raise UsageError(
            f"expected a task that this agent learned, but '{shown(name)}' was learned by "
            f"{known_as(card.alias, card.author)}; add the images there, or learn a task of your "
            "own"
        )
    return agent.bank.load(skill_id).skill, skill_id


def check_float32(agent: Author) -> None:
    """Check that this agent may add images to exact sums.

    Raises:
        UsageError: it computes latents in another number type.
    """
    if not agent.in_float32:
        raise UsageError(
            "expected --dtype fp32 to add images to a task, whose exact sums need it, got bf16; "
            "run the command with --dtype fp32"
        )


def check_grows(card: Card, options: LearnOptions) -> None:
    """Check that a skill with this card is a function of statistics.

    Raises:
        UsageError: it was learned in a way that needs all images.
    """
    wanted = card.method if options.method is None else find_variant(options.method).name
    way = "" if card.anchors == ("moments",) else f"with {', '.join(card.anchors)}"
    if not way and card.biases is not None:
        way = "with beneficial biases"
    if not way and taken_by(card) != "nothing":
        way = "with --reuse"
    if not way and wanted != card.method:
        way = f"with {card.method}, not {wanted}"
    if way:
        raise UsageError(
            f"expected a task learned with moments only, but '{shown(card.task)}' was learned "
            f"{way}; learn it again from all images with --replace"
        )


def read_more(data: TaskData, options: LearnOptions, card: Card, rule: SplitRule | None) -> Task:
    """Read the images to add, with the rule of the task's splits.

    Args:
        data: labelled images, as for `Agent.learn`.
        options: options with a layout and a seed.
        card: card of the task's skill, with its name and its classes.
        rule: rule of the task's splits; None if all its sources had splits.

    Raises:
        DataError: the images cannot be used, or a new class looks like a known one.
        UsageError: the seed is not that of the task's splits.
    """
    if rule is not None and options.seed not in (0, rule.seed):
        raise UsageError(
            f"expected the seed {rule.seed} with which '{shown(card.task)}' was split, got "
            f"{options.seed}; leave --seed out"
        )
    task = read_labelled(
        data, name=card.task, seed=options.seed, layout=options.layout, grows=Growth(rule)
    )
    known = {comparison_key(name): name for name in card.classes}
    for name in task.classes:
        if (old := known.get(comparison_key(name), name)) != name:
            raise DataError(
                f"expected class names that differ in more than case or encoding, got "
                f"'{shown(name)}' and the known class '{shown(old)}'; rename the folder"
            )
    return task


@dataclass(frozen=True, eq=False)
class Grown:
    """Statistics with more images.

    Attributes:
        statistics: the statistics.
        remarks: remarks about the images, which do not belong on the card.
    """

    statistics: TaskStatistics
    remarks: tuple[str, ...]

    @classmethod
    def of(cls, before: TaskStatistics, task: Task, latents: EmbeddedTask) -> Grown:
        """Add the images of a task to statistics.

        Raises:
            DataError: no image could be read.
        """
        rows = latents.rows(task.classes, sources_remarks(task))
        known = before.repeats(rows)
        remarks = () if not known else (f"{counted(known, 'image')} known already: counted once",)
        return cls(before.grown(rows), remarks)


@dataclass(frozen=True)
class _Named:
    """Name and classes of a task."""

    name: str
    classes: tuple[str, ...]


def skill_of(
    agent: Author,
    statistics: TaskStatistics,
    before: Skill,
    replaces: str,
    started_s: float,
    max_bytes: int | None = None,
) -> Skill:
    """Make the next version of a skill from statistics, packed like the version before.

    Args:
        agent: the author.
        statistics: statistics of the task.
        before: the version before.
        replaces: id of the version before.
        started_s: value of `time.perf_counter()` when learning began.
        max_bytes: maximum size of the signed skill in bytes, which chooses another packing; or
            None.

    Raises:
        UsageError: the skill does not fit into `max_bytes`.
    """
    lesson = Lesson.of(
        _Named(before.card.task, statistics.classes),
        find_variant("moments"),
        created=now(),
        started_s=started_s,
        replaces=replaces,
        max_bytes=max_bytes,
        packing=packing_of(before) if max_bytes is None else None,
    )
    return agent.teacher().teach_grown(lesson, statistics)
