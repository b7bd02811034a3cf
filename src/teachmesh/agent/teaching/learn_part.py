"""Learn images as a part of a task that several agents learn together."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from teachmesh.agent.teaching.grow_task import (
    Author,
    check_float32,
    check_grows,
    check_options,
    grow_task,
    own_skill,
    read_more,
)
from teachmesh.agent.teaching.learn_task import (
    LearnOptions,
    LearnResult,
    TaskMatch,
    sources_remarks,
)
from teachmesh.agent.teaching.shared_tasks import publish, roster_of, save_part
from teachmesh.data.names import shown
from teachmesh.data.source_files import counted
from teachmesh.errors import BackboneError, UsageError
from teachmesh.learning.merge_parts import divided
from teachmesh.learning.statistics_file import read_statistics
from teachmesh.learning.task_statistics import TaskStatistics

if TYPE_CHECKING:
    from teachmesh.bank.part_shelf import PartEntry
    from teachmesh.bank.store import Bank
    from teachmesh.data.labelled_images import TaskData
    from teachmesh.data.loader import Progress
    from teachmesh.data.tasks import Task
    from teachmesh.learning.embedded_task import EmbeddedTask
    from teachmesh.learning.task_rows import TaskRows
    from teachmesh.packet.card import Card
    from teachmesh.packet.roster import Roster


def add_images(
    agent: Author,
    data: TaskData,
    options: LearnOptions,
    progress: Progress | None = None,
    on_understood: Callable[[str], None] | None = None,
) -> LearnResult:
    """Learn images of a task that exists: of another agent, of several, or of this agent alone.

    Args:
        agent: the agent that has the images.
        data: labelled images, as for `Agent.learn`; one class is enough.
        options: options with `part_of` or `add_to`.
        progress: called with (images done, images in total).
        on_understood: called with a one-sentence summary of the images, before learning.

    Raises:
        DataError: the images cannot be used, or no statistics of the task are kept here.
        UsageError: the task has another author or method, this agent is not invited, or an option
            does not apply.
        BackboneError: the task was learned with another backbone.
        SkillRefused: the part would be too large.
        StorageError: the result cannot be saved.
    """
    chosen = "part_of" if options.part_of is not None else "add_to"
    check_options(options, chosen)
    check_float32(agent)
    if options.part_of is not None:
        card = _foreign_card(agent, options.part_of)
        roster = _invitation(agent, card)
    else:
        card = own_skill(agent, options.add_to or "")[0].card
        found = roster_of(agent.bank, card)
        if found is None:
            return grow_task(agent, data, options, progress, on_understood)
        roster = found
    check_grows(card, options)
    return _learn_part(agent, data, options, card, roster, progress, on_understood)


def _foreign_card(agent: Author, selector: str) -> Card:
    """Return the card of a task of another agent."""
    card = agent.bank.load(agent.find(selector).id).skill.card
    if card.author == agent.key.public_key:
        raise UsageError(
            f"expected a task of another agent, but this agent learned '{shown(card.task)}'; add "
            "the images with --add-to"
        )
    return card


def _invitation(agent: Author, card: Card) -> Roster:
    """Return the roster that invites this agent to a task."""
    roster = agent.bank.parts.roster((card.author, card.task))
    if roster is None or not roster.admits(agent.key.public_key):
        raise UsageError(
            f"expected an invitation by {shown(card.alias)}, got none that has arrived here; "
            f"{shown(card.alias)} runs: teachmesh skills invite {shown(card.task)} "
            f"{agent.key.public_key}"
        )
    return roster


def _learn_part(
    agent: Author,
    data: TaskData,
    options: LearnOptions,
    card: Card,
    roster: Roster,
    progress: Progress | None,
    on_understood: Callable[[str], None] | None,
) -> LearnResult:
    started_s = time.perf_counter()
    before = _Known.of(agent.bank, agent.bank.parts.live(roster.task))
    card = replace(card, classes=tuple(sorted({*card.classes, *before.classes})))
    task = read_more(data, options, card, roster.facts.rule)
    if agent.backbone.fingerprint != roster.facts.fingerprint:
        agent.check_backbone(card)
        raise BackboneError("expected the backbone of the task's other parts; choose --backbone")
    latents = agent.embed_task(task, progress, on_understood)
    rows = latents.rows(task.classes, sources_remarks(task))
    with agent.statistics.locked():
        entries = _save(agent, roster, rows)
    published = publish(agent, card.task) if roster.owner == agent.key.public_key else []
    remarks = before.remarks(rows)
    if published:
        skill = agent.bank.load(published[0].id).skill
        result = LearnResult.of(published[0], skill, task, latents, TaskMatch(), started_s)
    else:
        result = _summary(agent, card, entries, task, latents, started_s)
    parts = tuple(entry.id for entry in entries)
    return replace(result, parts=parts, warnings=(*remarks, *result.warnings))


def _save(agent: Author, roster: Roster, rows: TaskRows) -> list[PartEntry]:
    """Save images as one part, or as several if other parts have some of them."""
    known = _Known.of(agent.bank, agent.bank.parts.live(roster.task)).digests
    fingerprint = roster.facts.fingerprint
    pieces = [TaskStatistics.of(fingerprint, piece) for piece in divided(rows, known)]
    return [save_part(agent, roster, piece) for piece in pieces]


@dataclass(frozen=True)
class _Known:
    """Content of the parts of a task that an agent holds.

    Attributes:
        classes: names of their classes.
        digests: hashes of their images.
    """

    classes: frozenset[str]
    digests: frozenset[bytes]

    @classmethod
    def of(cls, bank: Bank, entries: list[PartEntry]) -> _Known:
        classes: set[str] = set()
        digests: set[bytes] = set()
        for entry in entries:
            part = bank.parts.load(entry.id)
            if part is not None:
                statistics = read_statistics(part.payload)
                classes.update(statistics.classes)
                digests.update(statistics.index.digests.tolist())
        return cls(frozenset(classes), frozenset(digests))

    def remarks(self, rows: TaskRows) -> tuple[str, ...]:
        """Return remarks about images that other parts have."""
        found = sum(digest in self.digests for digest in rows.images.digests.tolist())
        return () if not found else (f"{counted(found, 'image')} known already: counted once",)


def _summary(
    agent: Author,
    card: Card,
    entries: list[PartEntry],
    task: Task,
    latents: EmbeddedTask,
    started_s: float,
) -> LearnResult:
    """Summarise parts of a task whose owner will publish the skill."""
    return LearnResult(
        task=card.task,
        skill_id="",
        method=card.method,
        classes=task.classes,
        n_images=sum(entry.facts.images for entry in entries),
        skipped=task.skipped + len(latents.failed),
        skipped_reasons=(*task.unreadable, *latents.failed),
        validation_accuracy=None,
        privacy="sums",
        size_bytes=sum(entry.size_bytes for entry in entries),
        cost_macs=agent.backbone.macs_per_image * latents.passes,
        wall_s=round(time.perf_counter() - started_s, 3),
        warnings=task.warnings,
    )
