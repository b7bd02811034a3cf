"""Publish a smaller version of a task that this agent learned."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from teachmesh.agent.known_skills.replace_skill import check_alone
from teachmesh.agent.teaching.grow_task import Author, check_grows, own_skill, skill_of
from teachmesh.agent.teaching.learn_task import LearnOptions
from teachmesh.errors import DataError
from teachmesh.learning.skill_bytes import check_packs, fit_to_bytes, packing_of
from teachmesh.packet.card_rules import now
from teachmesh.packet.skill import Skill
from teachmesh.version import __version__

if TYPE_CHECKING:
    from teachmesh.learning.task_statistics import TaskStatistics


@dataclass(frozen=True)
class Shrunk:
    """Result of making a skill smaller.

    Attributes:
        task: name of the task.
        skill_id: id of the active version.
        before_bytes: size of the version before.
        size_bytes: size of the active version.
        packing: numbers of bits and of directions; None for a skill of full size.
        validation_accuracy: accuracy on validation images; None if none are kept here.
        changed: False if the version before was small enough.
    """

    task: str
    skill_id: str
    before_bytes: int
    size_bytes: int
    packing: str | None
    validation_accuracy: float | None
    changed: bool

    def to_json(self) -> dict[str, Any]:
        """Return the document that `teachmesh skills shrink --json` prints."""
        document = asdict(self)
        document["skill"] = document.pop("skill_id")
        return {"schema": "teachmesh.shrunk/1", **document}


def shrink_task(agent: Author, task: str, max_bytes: int) -> Shrunk:
    """Replace the skill of a task by the most accurate version that fits into some bytes.

    The new version is made from the private statistics of the task. If none are kept, it is made
    from the skill alone; its accuracy is then not measured again.

    Args:
        agent: the agent that learned the task.
        task: name of the task.
        max_bytes: maximum size of the signed file in bytes.

    Raises:
        DataError: there is no such task.
        UsageError: the task has another author or has parts, its method is not `moments` without
            biases, or nothing fits.
        StorageError: the skill cannot be saved.
    """
    started_s = time.perf_counter()
    with agent.statistics.locked():
        old, old_id = own_skill(agent, task)
        check_alone(agent.bank, old.card.author, old.card.task)
        before = agent.find(task).size_bytes
        if before <= max_bytes:
            return _summary(old, old_id, before, before, changed=False)
        check_packs(old)
        try:
            statistics: TaskStatistics | None = agent.statistics.load(old)
        except DataError:
            statistics = None
        new = _smaller(agent, old, old_id, statistics, max_bytes, started_s)
        entry = agent.save(new, statistics, force=True)
    return _summary(new, entry.id, before, entry.size_bytes, changed=True)


def _smaller(
    agent: Author,
    old: Skill,
    old_id: str,
    statistics: TaskStatistics | None,
    max_bytes: int,
    started_s: float,
) -> Skill:
    if statistics is None:
        card = replace(old.card, created=now(), replaces=old_id, version=__version__)
        return fit_to_bytes(Skill(card, old.tensors), max_bytes, None)
    check_grows(old.card, LearnOptions())
    agent.check_backbone(old.card)
    return skill_of(agent, statistics, old, old_id, started_s, max_bytes)


def _summary(skill: Skill, skill_id: str, before: int, after: int, *, changed: bool) -> Shrunk:
    packing = packing_of(skill)
    return Shrunk(
        task=skill.card.task,
        skill_id=skill_id,
        before_bytes=before,
        size_bytes=after,
        packing=None if packing is None else str(packing),
        validation_accuracy=skill.card.validation_accuracy,
        changed=changed,
    )
