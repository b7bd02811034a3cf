"""Tasks that several agents learn together: invite agents, publish the skill of all parts, compare.

The owner, which learned the task first, invites other agents and signs the skill of all parts. The
skill is a function of the set of parts, so every agent that holds them can make it again.
"""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from teachmesh.agent.teaching.grow_task import Author, check_grows, own_skill, skill_of
from teachmesh.agent.teaching.learn_task import LearnOptions
from teachmesh.data.names import shown
from teachmesh.data.splits import SplitRule
from teachmesh.errors import DataError, StorageError, UsageError
from teachmesh.learning.merge_parts import MergedParts, merge_parts
from teachmesh.learning.statistics_file import read_statistics, write_statistics
from teachmesh.packet.part import PartFacts, sign_part
from teachmesh.packet.roster import MAX_PARTS, Roster, RosterFacts, sign_roster
from teachmesh.packet.signing import agent_id

if TYPE_CHECKING:
    from teachmesh.bank.entry import BankEntry
    from teachmesh.bank.part_shelf import PartEntry
    from teachmesh.bank.store import Bank
    from teachmesh.learning.task_statistics import TaskStatistics
    from teachmesh.packet.card import Card
    from teachmesh.packet.skill import Skill

_log = logging.getLogger(__name__)
_OWN_FIELDS = ("created", "cost_s", "version", "replaces", "author", "alias")
"""Fields of a card that differ between agents and versions that learned the same."""


@dataclass(frozen=True)
class Invitation:
    """Agents that may hold parts of a task.

    Attributes:
        task: name of the task.
        members: agent ids of the invited agents, sorted.
    """

    task: str
    members: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the document that `teachmesh skills invite --json` prints."""
        document = {**dataclasses.asdict(self), "members": list(self.members)}
        return {"schema": "teachmesh.invitation/1", **document}


@dataclass(frozen=True)
class Comparison:
    """Result of making a skill again from its parts.

    Attributes:
        task: name of the task.
        equal: whether the owner's skill equals the one made here, bit for bit.
        left_out: reason, by id, for each part that could not be used.
    """

    task: str
    equal: bool
    left_out: Mapping[str, str]


def next_number(before: int = 0) -> int:
    """Return a number for a new part or roster that is larger than the one before."""
    return max(before + 1, time.time_ns() // 1_000_000)


def roster_of(bank: Bank, card: Card) -> Roster | None:
    """Return the newest roster of a skill's task; None if the task has no parts."""
    task = (card.author, card.task)
    return bank.parts.roster(task) if bank.parts.live(task) else None


def invite_to_task(
    agent: Author, task: str, keys: Sequence[str], removed: Sequence[str] = ()
) -> Invitation:
    """Let other agents contribute parts to a task of this agent, or exclude them again.

    With the first invitation, the images learned so far become the first part.

    Args:
        agent: the agent that learned the task.
        task: name of the task.
        keys: public keys of the agents to invite.
        removed: public keys of members to exclude; their parts do not count any more.

    Raises:
        DataError: there is no such task, or its statistics were not kept.
        UsageError: the task has another author or another method, or is not shared, or an agent is
            not a member.
        SkillRefused: there are too many members, or the first part would be too large.
        StorageError: the roster cannot be saved.
    """
    with agent.statistics.locked():
        skill, skill_id = own_skill(agent, task)
        check_grows(skill.card, LearnOptions())
        if keys and skill_id in agent.withheld.reasons():
            raise UsageError(
                f"expected a task that peers get, but '{shown(task)}' is not shared; share it "
                f"first: teachmesh skills share {shown(task)}"
            )
        old = roster_of(agent.bank, skill.card)
        before = frozenset() if old is None else old.facts.members
        members = (before | set(keys)) - {agent.key.public_key}
        for key in removed:
            if key not in members:
                raise UsageError(
                    f"expected a member of '{shown(task)}', got {agent_id(key)}; list the members "
                    f"with: teachmesh skills parts {shown(task)}"
                )
        members -= set(removed)
        if old is None:
            _begin(agent, skill, skill_id, members)
        elif members != before:
            _sign(agent, old, members=members)
        agent.bank.parts.sweep()
    publish(agent, skill.card.task)
    return Invitation(skill.card.task, tuple(sorted(map(agent_id, members))))


def _begin(agent: Author, skill: Skill, skill_id: str, members: frozenset[str]) -> None:
    """Make the first roster of a task, and its first part of the statistics kept so far."""
    statistics, card = agent.statistics.load(skill), skill.card
    known = agent.bank.parts.roster((card.author, card.task))
    number = next_number(0 if known is None else known.facts.sequence)
    facts = RosterFacts(
        card.task,
        card.backbone_fingerprint,
        statistics.rule or SplitRule(),
        members,
        number,
        parts={},
    )
    roster = sign_roster(facts, agent.key)
    agent.bank.parts.add_roster(roster)
    part = save_part(agent, roster, statistics)
    _sign(agent, roster, parts={part.id: part.author}, skill=skill_id)


def save_part(
    agent: Author, roster: Roster, statistics: TaskStatistics, replaces: str | None = None
) -> PartEntry:
    """Sign and save statistics as a part of a task.

    Args:
        agent: the author of the part.
        roster: roster of the task.
        statistics: statistics of the images.
        replaces: id of the part by the same author that this one takes the place of, or None.

    Raises:
        SkillRefused: the part is too large, or the roster does not admit this agent.
        StorageError: the part cannot be saved.
    """
    author, facts = agent.key.public_key, roster.facts
    own = [e.facts.sequence for e in agent.bank.parts.entries() if e.author == author]
    part = sign_part(
        PartFacts(
            task=facts.task,
            owner=roster.owner,
            fingerprint=facts.fingerprint,
            images=len(statistics.index),
            sequence=next_number(max(own, default=0)),
            replaces=replaces,
        ),
        write_statistics(statistics),
        agent.key,
    )
    return agent.bank.parts.add(part)


def _sign(agent: Author, roster: Roster, **changes: Any) -> None:
    """Save the next roster of a task."""
    sequence = next_number(roster.facts.sequence)
    facts = dataclasses.replace(roster.facts, sequence=sequence, **changes)
    agent.bank.parts.add_roster(sign_roster(facts, agent.key))


def publish(agent: Author, only: str | None = None) -> list[BankEntry]:
    """Make new versions of own tasks whose parts have changed; return their entries.

    Nothing is made if the task was withdrawn. A version with the content of the one before is not
    saved.

    Args:
        agent: the owner of the tasks.
        only: name of one task; None for all.

    Raises:
        DataError: a class has no training image in any part.
        StorageError: a part or the skill cannot be read or saved.
    """
    made = []
    for roster in agent.bank.parts.rosters():
        if roster.owner == agent.key.public_key and only in (None, roster.facts.task):
            with agent.statistics.locked():
                made += _publish_one(agent, roster.task)
    return made


def _publish_one(agent: Author, task: tuple[str, str]) -> list[BankEntry]:
    active = [e for e in agent.bank.active() if (e.author, e.task) == task]
    roster = agent.bank.parts.roster(task)
    live = agent.bank.parts.live(task)
    parts = [one for one in live if agent.trust.standing(one.author) != "blocked"][:MAX_PARTS]
    if len(active) != 1 or roster is None or not parts:
        return []
    authors = {entry.id: entry.author for entry in parts}
    if authors == roster.facts.parts and roster.facts.skill == active[0].id:
        return []
    old = agent.bank.load(active[0].id).skill
    started_s = time.perf_counter()
    merged = merge(agent.bank, [entry.id for entry in parts])
    for name, reason in merged.left_out.items():
        _log.warning("part %s of %s is left out: %s", name[:12], task[1], reason)
    new = skill_of(agent, merged.statistics, old, active[0].id, started_s)
    same = are_equal(new, old)
    entry = active[0] if same else agent.save(new, force=True)
    _sign(agent, roster, parts=authors, skill=entry.id)
    return [] if same else [entry]


def merge(bank: Bank, ids: Sequence[str]) -> MergedParts:
    """Join parts of one task, in canonical order.

    Raises:
        DataError: a class has no training image.
        StorageError: a part is missing or damaged.
    """
    return merge_parts(ids, partial(part_statistics, bank))


def part_statistics(bank: Bank, part_id: str) -> TaskStatistics:
    """Return the statistics of a part, by its id.

    Raises:
        StorageError: the part is missing or damaged.
    """
    part = bank.parts.load(part_id)
    if part is None:
        raise StorageError(
            f"part {part_id[:12]} is damaged on the disk and was taken out of the bank; another "
            "agent that holds it will deliver it again"
        )
    return read_statistics(part.payload)


def are_equal(one: Skill, other: Skill) -> bool:
    """Return whether two skills are equal but for author, time, version and predecessor."""
    cards = [{**vars(skill.card), **dict.fromkeys(_OWN_FIELDS)} for skill in (one, other)]
    if cards[0] != cards[1] or set(one.tensors) != set(other.tensors):
        return False
    pairs = ((array, other.tensors[name]) for name, array in one.tensors.items())
    return all(
        a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes() for a, b in pairs
    )


def compare(agent: Author, task: str) -> Comparison:
    """Make the skill of a task again from its parts, and compare it with the owner's.

    Args:
        agent: the owner, or an agent that holds all parts.
        task: name of the task, such as "screws@alice".

    Raises:
        DataError: the task has no parts here, or this agent does not hold all parts of the skill.
        StorageError: a part is damaged.
    """
    entry_id = agent.find(task).id
    published = agent.bank.load(entry_id).skill
    roster = agent.bank.parts.roster((published.card.author, published.card.task))
    if roster is None or roster.facts.skill != entry_id:
        raise DataError(
            f"expected a skill made from parts that this agent knows, got '{shown(task)}'; it is "
            "compared as soon as the owner's list of parts has arrived: teachmesh up"
        )
    held = {entry.id: entry for entry in agent.bank.parts.entries()}
    if missing := sum(name not in held for name in roster.facts.parts):
        raise DataError(
            f"expected all {len(roster.facts.parts)} parts of '{shown(task)}' here, {missing} are "
            "missing; agents that hold them deliver them: teachmesh up"
        )
    parts = sorted((held[name] for name in roster.facts.parts), key=lambda one: one.order)
    merged = merge(agent.bank, [entry.id for entry in parts])
    again = skill_of(agent, merged.statistics, published, entry_id, time.perf_counter())
    return Comparison(published.card.task, are_equal(again, published), merged.left_out)
