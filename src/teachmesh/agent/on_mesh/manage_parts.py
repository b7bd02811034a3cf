"""List and withdraw parts of tasks that several agents learn together."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from teachmesh.agent.known_skills.skill_names import MIN_ID_PREFIX
from teachmesh.agent.known_skills.withdraw_skills import bury
from teachmesh.agent.teaching.shared_tasks import publish
from teachmesh.data.names import shown
from teachmesh.errors import DataError, UsageError
from teachmesh.packet.card_rules import time_text
from teachmesh.packet.signed_statement import HEX_64
from teachmesh.packet.signing import agent_id

if TYPE_CHECKING:
    from teachmesh.agent.teaching.grow_task import Author
    from teachmesh.bank.part_shelf import PartEntry
    from teachmesh.bank.store import Bank


@dataclass(frozen=True)
class PartInfo:
    """A part of a task in the bank.

    Attributes:
        id: SHA-256 of the part's bytes, 64 hex digits.
        task: name of the task.
        owner: agent id of the owner, who publishes the skill.
        author: agent id of the author.
        images: number of training and validation images.
        size_bytes: size in bytes.
        created: UTC time of creation, by the author's clock.
        used: whether the owner's newest skill was made from it.
    """

    id: str
    task: str
    owner: str
    author: str
    images: int
    size_bytes: int
    created: str
    used: bool


@dataclass(frozen=True)
class WithdrawnPart:
    """Result of withdrawing a part.

    Attributes:
        task: name of the task.
        part: id of the part.
        skill: id of the new skill without it; None if the owner will publish it.
    """

    task: str
    part: str
    skill: str | None


def list_parts(agent: Author, task: str | None = None) -> list[PartInfo]:
    """Describe the parts that this agent holds, in canonical order of each task.

    Args:
        agent: the agent.
        task: name of one task, such as "screws@alice"; None for all tasks.

    Raises:
        DataError: there is no such task.
    """
    shelf, wanted = agent.bank.parts, None
    if task is not None:
        card = agent.bank.load(agent.find(task).id).skill.card
        wanted = (card.author, card.task)
    return [
        PartInfo(
            entry.id,
            entry.facts.task,
            agent_id(entry.facts.owner),
            agent_id(entry.author),
            entry.facts.images,
            entry.size_bytes,
            time_text(entry.facts.sequence / 1000),
            entry.id in roster.facts.parts,
        )
        for roster in shelf.rosters()
        if wanted in (None, roster.task)
        for entry in shelf.live(roster.task)
    ]


def withdraw_part(agent: Author, part: str) -> WithdrawnPart:
    """Take a part out of its task, exactly: the skill is that of the other parts.

    Args:
        agent: the author of the part, or the owner of the task.
        part: the id, or its first characters.

    Raises:
        DataError: no part matches, or several do.
        UsageError: the part is another agent's, or the owner's last one.
        StorageError: the withdrawal cannot be saved.
    """
    entry, own = _find_part(agent.bank, part), agent.key.public_key
    name = entry.facts.task
    if own not in (entry.author, entry.facts.owner):
        raise UsageError(
            f"expected a part by this agent or of its own task, part {entry.id[:12]} of "
            f"'{shown(name)}' is by {agent_id(entry.author)}; its author and the owner of the task "
            "can withdraw it"
        )
    owned = [one for one in agent.bank.parts.live(entry.task) if one.author == entry.facts.owner]
    if [one.id for one in owned] == [entry.id]:
        raise UsageError(
            f"expected another part of '{shown(name)}' by its owner, got the last one; withdraw "
            f"the task instead: teachmesh skills withdraw {shown(name)}"
        )
    bury(agent.bank, agent.key, entry.id)
    agent.bank.parts.sweep()
    made = publish(agent, name) if entry.facts.owner == own else []
    return WithdrawnPart(name, entry.id, made[0].id if made else None)


def agent_keys(agent: Author, names: Sequence[str]) -> list[str]:
    """Return the public keys of agents.

    Args:
        agent: the agent whose bank is searched.
        names: public keys, or agent ids or aliases of authors of skills in the bank.

    Raises:
        DataError: a name is unknown, or several agents have it.
    """
    known = {(entry.author, entry.alias) for entry in agent.bank.entries()}
    return [name if HEX_64.fullmatch(name) else _key_of(name, known) for name in names]


def _key_of(name: str, known: Collection[tuple[str, str]]) -> str:
    found = {key for key, alias in known if name in (alias, agent_id(key), agent_id(key).lower())}
    if len(found) != 1:
        reason = "an unknown one" if not found else f"one that {len(found)} agents have"
        raise DataError(
            f"expected the name of an agent whose skill is here, or its public key of 64 hex "
            f"digits, got '{shown(name)}', {reason}; the other agent shows its key with: "
            "teachmesh status"
        )
    return found.pop()


def _find_part(bank: Bank, prefix: str) -> PartEntry:
    found = [entry for entry in bank.parts.entries() if entry.id.startswith(prefix.lower())]
    if len(prefix) < MIN_ID_PREFIX or len(found) != 1:
        raise DataError(
            f"expected the id of a part, or at least {MIN_ID_PREFIX} characters that only one id "
            f"begins with, got '{shown(prefix)}'; list them with: teachmesh skills parts"
        )
    return found[0]
