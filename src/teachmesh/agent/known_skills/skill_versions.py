"""The versions of a task, and how its author restores an earlier one."""

from __future__ import annotations

import dataclasses
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from teachmesh.agent.known_skills.replace_skill import check_alone
from teachmesh.agent.known_skills.skill_names import find_by_id
from teachmesh.agent.known_skills.withhold_tasks import save_own
from teachmesh.bank.entry import oldest_first
from teachmesh.bank.withheld import SharePolicy
from teachmesh.data.names import shown
from teachmesh.errors import UsageError
from teachmesh.packet.card_rules import now
from teachmesh.packet.signing import agent_id
from teachmesh.packet.skill import Skill
from teachmesh.trust.policy import known_as
from teachmesh.version import __version__

if TYPE_CHECKING:
    from teachmesh.agent.known_skills.bank_view import BankView
    from teachmesh.bank.entry import BankEntry


@dataclass(frozen=True)
class SkillVersion:
    """One version of a task.

    Attributes:
        version: number of the version, 1 for the oldest one that this agent holds.
        id: id of the skill.
        created: UTC time of creation, by the author's clock.
        author: agent id of the author.
        alias: alias of the author.
        classes: names of the classes.
        validation_accuracy: accuracy on validation images, 0 to 1; None if none were tested.
        active: whether no newer version replaces this one.
        replaces: id of the version that this one replaces, even if it is not held; or None.
    """

    version: int
    id: str
    created: str
    author: str
    alias: str
    classes: tuple[str, ...]
    validation_accuracy: float | None
    active: bool
    replaces: str | None

    def to_json(self) -> dict[str, Any]:
        """Return the version as a JSON object."""
        return {**asdict(self), "classes": list(self.classes)}


@dataclass(frozen=True)
class Restored:
    """Result of restoring a version.

    Attributes:
        task: name of the task.
        version: number of the restored version.
        restored_id: id of the restored version.
        skill_id: id of the active version, which has the same content.
        changed: False if the active version had this content before.
    """

    task: str
    version: int
    restored_id: str
    skill_id: str
    changed: bool

    def to_json(self) -> dict[str, Any]:
        """Return the document that `teachmesh skills restore --json` prints."""
        document = asdict(self)
        document["from"] = document.pop("restored_id")
        document["skill"] = document.pop("skill_id")
        return {"schema": "teachmesh.restored/1", **document}


def skill_history(view: BankView, selector: str) -> list[SkillVersion]:
    """Return all versions of a task that an agent holds, newest first.

    Args:
        view: owner of the bank.
        selector: name or start of the id of any version.

    Raises:
        DataError: no skill matches, or more than one does.
        StorageError: the file of a version is damaged.
    """
    chosen = view.find_entry(selector)
    active = {entry.id for entry in view.bank.active()}
    return [
        SkillVersion(
            version=number,
            id=entry.id,
            created=entry.created,
            author=agent_id(entry.author),
            alias=entry.alias,
            classes=entry.classes,
            validation_accuracy=view.bank.load(entry.id).skill.card.validation_accuracy,
            active=entry.id in active,
            replaces=entry.replaces,
        )
        for number, entry in reversed(_versions(view, chosen).items())
    ]


def restore_version(view: BankView, selector: str, version: str | int | None = None) -> Restored:
    """Make an earlier version of a task active again, on all agents.

    The author signs the old content as a new version, which travels like any new version.

    Args:
        view: the agent, which must be the author.
        selector: name of the task, or start of the id of one of its versions.
        version: number of the version, or start of its id. By default the version that `selector`
            names if it is replaced; otherwise the one before the active version.

    Raises:
        DataError: no skill matches `selector`, or more than one does.
        UsageError: the task is another author's or has parts, or there is no such version.
        StorageError: the version cannot be read, or the new one cannot be saved.
    """
    chosen = view.find_entry(selector)
    if chosen.author != view.own_author():
        raise UsageError(
            f"expected a task of this agent, got '{shown(chosen.task)}' by "
            f"{known_as(chosen.alias, chosen.author)}; only its author can restore a version"
        )
    check_alone(view.bank, chosen.author, chosen.task)
    versions = _versions(view, chosen)
    active = _active(view, versions)
    number = _number(versions, chosen, active, version)
    replaced = active or versions[len(versions)]
    new = _renewed(view, versions[number], replaced, now())
    if active is not None and new == _renewed(view, active, replaced, new.card.created):
        return Restored(chosen.task, number, versions[number].id, active.id, changed=False)
    entry = save_own(view, new, SharePolicy(view.home.config.share))
    return Restored(chosen.task, number, versions[number].id, entry.id, changed=True)


def _versions(view: BankView, chosen: BankEntry) -> dict[int, BankEntry]:
    """Return all versions of a skill's task by its author, by number, oldest first."""
    entries = [
        entry
        for entry in view.bank.entries()
        if (entry.author, entry.task) == (chosen.author, chosen.task)
    ]
    return dict(enumerate(oldest_first(entries), start=1))


def _active(view: BankView, versions: dict[int, BankEntry]) -> BankEntry | None:
    """Return the active version, which is to be replaced; None if no version is active."""
    active_ids = {entry.id for entry in view.bank.active()}
    return next((entry for entry in versions.values() if entry.id in active_ids), None)


def _number(
    versions: dict[int, BankEntry],
    chosen: BankEntry,
    active: BankEntry | None,
    version: str | int | None,
) -> int:
    """Return the number of the version to restore; see `restore_version`."""
    numbers = {entry.id: number for number, entry in versions.items()}
    if version is None:
        return _number_before(numbers, chosen) if chosen == active else numbers[chosen.id]
    text = str(version)
    if text.isascii() and text.isdigit() and int(text) in versions:
        return int(text)
    found = find_by_id(text, versions.values())
    if len(found) != 1:
        raise UsageError(
            f"expected a version of '{shown(chosen.task)}' from 1 to {len(versions)}, or the start "
            f"of its id, got '{shown(text)}'; see: teachmesh skills history"
        )
    return numbers[found[0].id]


def _number_before(numbers: dict[str, int], active: BankEntry) -> int:
    """Return the number of the version that the active one replaced, or of the one before it."""
    before = numbers.get(active.replaces or "", numbers[active.id] - 1)
    if before == 0:
        raise UsageError(
            f"expected an earlier version of '{shown(active.task)}' to restore, this agent holds "
            "none; learn the task again with --replace"
        )
    return before


def _renewed(view: BankView, old: BankEntry, replaced: BankEntry, created: str) -> Skill:
    """Return the content of a version as a new version, which is not signed yet."""
    skill = view.bank.load(old.id).skill
    card = dataclasses.replace(
        skill.card,
        alias=view.alias,
        created=created,
        replaces=replaced.id,
        version=__version__,
    )
    return Skill(card, skill.tensors)
