"""Correct a photo of a task that several agents learn together, in the parts of one agent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from teachmesh.agent.known_skills.withdraw_skills import bury
from teachmesh.agent.teaching.shared_tasks import merge, part_statistics, publish, save_part
from teachmesh.data.names import shown
from teachmesh.errors import UsageError
from teachmesh.learning.correct_image import correct_image
from teachmesh.learning.task_rows import TRAIN, TaskRows
from teachmesh.learning.task_statistics import TaskStatistics
from teachmesh.mapping.latent_sample import MAX_ROWS
from teachmesh.packet.signing import agent_id

if TYPE_CHECKING:
    from teachmesh.agent.teaching.grow_task import Author
    from teachmesh.bank.part_shelf import PartEntry
    from teachmesh.packet.roster import Roster

_NO_COUNTS: Mapping[str, int] = {}


@dataclass(frozen=True)
class CorrectedParts:
    """Result of a correction.

    Attributes:
        left: classes as which the photo had been learned.
        known: whether it had been learned as its class before.
        part: id of the new part with the photo; None if nothing had to be changed.
    """

    left: tuple[str, ...]
    known: bool
    part: str | None


def correct_parts(agent: Author, roster: Roster, image: TaskRows) -> CorrectedParts:
    """Learn a photo as its class, and take it out of other classes of this agent's parts.

    A new part takes the place of each part that changes, and the old one is withdrawn.

    Args:
        agent: the owner of the task, or an invited agent.
        roster: roster of the task.
        image: the photo, from `correct_image.one_image`.

    Raises:
        DataError: the photo was learned with other latents, or is the only one of its class.
        UsageError: the photo is in a part of another agent, as another class.
        StorageError: a part is damaged, or a new one cannot be saved.
    """
    with agent.statistics.locked():
        parts = [_Held.of(agent, entry, image) for entry in agent.bank.parts.live(roster.task)]
        wrong = [part for part in parts if part.wrong]
        for part in wrong:
            part.check_author(agent.key.public_key)
        known = any(part.has_it for part in parts)
        if wrong:
            counts = _counts(agent, [part.entry.id for part in parts])
            saved = [_replace(agent, roster, part, image, counts) for part in wrong]
        else:
            saved = [] if known else [_add(agent, roster, _smallest(agent, parts), image)]
    if roster.owner == agent.key.public_key:
        publish(agent, roster.facts.task)
    left = sorted({name for part in wrong for name in part.wrong})
    return CorrectedParts(tuple(left), known, saved[-1].id if saved else None)


@dataclass(frozen=True)
class _Held:
    """A part, and the classes as which it has a photo: another class, or the right one."""

    entry: PartEntry
    statistics: TaskStatistics
    wrong: tuple[str, ...]
    has_it: bool

    @classmethod
    def of(cls, agent: Author, entry: PartEntry, image: TaskRows) -> _Held:
        statistics = part_statistics(agent.bank, entry.id)
        index = statistics.index
        same = (index.digests == image.images.digests[0]) & (index.natural == TRAIN)
        found = {statistics.classes[label] for label in index.labels[same]}
        wrong = tuple(sorted(found - set(image.classes)))
        return cls(entry, statistics, wrong, bool(found & set(image.classes)))

    def check_author(self, own: str) -> None:
        if self.entry.author != own:
            raise UsageError(
                f"expected a photo of this agent, but {agent_id(self.entry.author)} learned it as "
                f"'{shown(self.wrong[0])}' in part {self.entry.id[:12]}; correct it there, or the "
                f"part is withdrawn: teachmesh skills withdraw-part {self.entry.id[:12]}"
            )


def _counts(agent: Author, parts: list[str]) -> dict[str, int]:
    """Return the number of training images of each class in all parts."""
    merged = merge(agent.bank, parts).statistics
    counts = merged.index.counts(len(merged.classes))
    return dict(zip(merged.classes, counts.tolist(), strict=True))


def _smallest(agent: Author, parts: list[_Held]) -> _Held | None:
    """Return this agent's part that a photo can be added to; None if there is none.

    A part with sums stays as it is, because it may be large.
    """
    own = [part for part in parts if part.entry.author == agent.key.public_key]
    small = [
        part for part in own if part.statistics.sums is None and part.entry.facts.images < MAX_ROWS
    ]
    return min(small, key=lambda part: part.entry.facts.images, default=None)


def _add(agent: Author, roster: Roster, part: _Held | None, image: TaskRows) -> PartEntry:
    """Save a new part with the photo alone, or one that takes the place of a given part."""
    if part is None:
        return save_part(agent, roster, TaskStatistics.of(roster.facts.fingerprint, image))
    return _replace(agent, roster, part, image)


def _replace(
    agent: Author,
    roster: Roster,
    part: _Held,
    image: TaskRows,
    counts: Mapping[str, int] = _NO_COUNTS,
) -> PartEntry:
    """Save a part with the photo as its class, which takes the place of another part.

    Args:
        agent: the author of the part.
        roster: roster of the task.
        part: the part to replace.
        image: the photo.
        counts: numbers of training images of the task by class; needed if the photo leaves one.
    """
    classes = sorted({*part.statistics.classes, *image.classes})
    before = part.statistics.with_classes(classes)
    numbers = np.array([counts.get(name, 0) for name in classes])
    corrected = correct_image(before, image, numbers).statistics
    saved = save_part(agent, roster, corrected, part.entry.id)
    bury(agent.bank, agent.key, part.entry.id)
    agent.bank.parts.sweep()
    return saved
