"""Learn a photo that was answered wrongly, as the class that it has."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from teachmesh.agent.teaching.correct_part import correct_parts
from teachmesh.agent.teaching.grow_task import (
    Author,
    check_float32,
    check_grows,
    own_skill,
    skill_of,
)
from teachmesh.agent.teaching.learn_task import LearnOptions
from teachmesh.agent.teaching.shared_tasks import roster_of
from teachmesh.data.images import ImageRef
from teachmesh.data.names import did_you_mean, shown
from teachmesh.errors import DataError
from teachmesh.learning.correct_image import correct_image, one_image
from teachmesh.model.embedding import embed_images

if TYPE_CHECKING:
    from teachmesh.packet.card import Card
    from teachmesh.packet.roster import Roster


@dataclass(frozen=True)
class Correction:
    """A corrected task that is saved on disk.

    Attributes:
        task: name of the task.
        class_name: class as which the photo was learned.
        left: classes as which it had been learned before.
        known: whether it had been learned as this class before.
        skill_id: id of the new skill; empty if the owner of the task makes it, from a part.
        part: id of the new part with the photo, of a task that several agents learn; else None.
    """

    task: str
    class_name: str
    left: tuple[str, ...]
    known: bool
    skill_id: str
    part: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the document that `teachmesh correct --json` prints."""
        document = asdict(self)
        document["class"] = document.pop("class_name")
        document["skill"] = document.pop("skill_id")
        return {"schema": "teachmesh.correct/1", **document}


def correct_answer(agent: Author, image: str | Path, task: str, class_name: str) -> Correction:
    """Learn one photo as a class of a task; if it was learned as another, it leaves that first.

    Args:
        agent: the agent that learned the task.
        image: path of the photo.
        task: name of the task.
        class_name: a class of the task.

    Raises:
        DataError: the photo or the class cannot be used, or no statistics of the task are kept.
        UsageError: the task has another author who has not invited this agent, its method needs
            all images, or the photo is in another agent's part.
        StorageError: the statistics are damaged, or the skill cannot be saved.
    """
    started_s = time.perf_counter()
    check_float32(agent)
    card, roster = _task(agent, task)
    check_grows(card, LearnOptions())
    if class_name not in card.classes:
        raise DataError(
            f"expected a class of '{shown(task)}', got '{shown(class_name)}'"
            f"{did_you_mean(class_name, card.classes)}; add a new class with learn --add-to"
        )
    agent.check_backbone(card)
    found = embed_images(agent.backbone, [ImageRef(Path(image).expanduser())], full_batches=True)
    if found.failed:
        raise DataError(found.failed[0][1])
    row = one_image(class_name, found.latents.multi, found.digests)
    if roster is not None:
        done = correct_parts(agent, roster, row)
        skill_id = agent.find(task).id if card.author == agent.key.public_key else ""
        return Correction(card.task, class_name, done.left, done.known, skill_id, done.part)
    with agent.statistics.locked():
        skill, replaces = own_skill(agent, task)
        before = agent.statistics.load(skill)
        corrected = correct_image(before, row)
        new = skill_of(agent, corrected.statistics, skill, replaces, started_s)
        entry = agent.save(new, corrected.statistics, force=True)
    known = bool(before.repeats(row))
    return Correction(skill.card.task, class_name, corrected.left, known, entry.id)


def _task(agent: Author, name: str) -> tuple[Card, Roster | None]:
    """Return the card of a task that this agent may correct, and its roster if it has parts.

    Raises:
        UsageError: another agent learned it, and has not invited this one.
    """
    card = agent.bank.load(agent.find(name).id).skill.card
    roster = roster_of(agent.bank, card)
    if roster is None or not roster.admits(agent.key.public_key):
        return own_skill(agent, name)[0].card, roster
    return card, roster
