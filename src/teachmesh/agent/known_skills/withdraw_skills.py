"""Withdraw the agent's own skills everywhere, and delete files that no answer needs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from teachmesh.bank.entry import BankEntry, oldest_first
from teachmesh.bank.withdrawals import MAX_PER_AUTHOR
from teachmesh.data.names import shown
from teachmesh.errors import DataError, SkillRefused, UsageError
from teachmesh.packet.tombstone import read_tombstone, sign_tombstone
from teachmesh.trust.policy import known_as

if TYPE_CHECKING:
    from teachmesh.bank.store import Bank
    from teachmesh.packet.signing import AgentKey

RETIRED_AT_MOST = MAX_PER_AUTHOR // 2
"""Number of tombstones after which replaced versions get none; the others are for `withdraw`."""


@dataclass(frozen=True)
class Withdrawal:
    """Result of `withdraw`.

    Attributes:
        task: name of the task.
        skills: ids of the withdrawn skills, oldest version first.
    """

    task: str
    skills: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the result as a JSON object."""
        return {"task": self.task, "skills": list(self.skills)}


@dataclass(frozen=True)
class Pruned:
    """Result of `prune`.

    Attributes:
        deleted: entries of the skills whose files were deleted.
        kept: number of replaced versions of other agents, kept until their authors confirm.
    """

    deleted: tuple[BankEntry, ...]
    kept: int

    @property
    def size_bytes(self) -> int:
        """Size of the deleted files in bytes."""
        return sum(entry.size_bytes for entry in self.deleted)

    def to_json(self) -> dict[str, Any]:
        """Return the result as a JSON object."""
        skills = [
            {"id": entry.id, "task": entry.task, "size_bytes": entry.size_bytes}
            for entry in self.deleted
        ]
        return {"skills": skills, "size_bytes": self.size_bytes, "kept": self.kept}


def withdraw(bank: Bank, key: AgentKey, chosen: Sequence[BankEntry]) -> Withdrawal:
    """Sign a tombstone for every chosen version of a task, oldest first.

    Versions that were replaced stay replaced, also if only the newest version is withdrawn.

    Args:
        bank: bank of the author.
        key: key of the author.
        chosen: the versions, from `choose_own`.

    Raises:
        UsageError: the agent withdrew too many skills.
        StorageError: a tombstone cannot be saved. Older versions may be withdrawn then.
    """
    retire_replaced(bank, key)
    withdrawn = set(bank.withdrawals.skills())
    versions = oldest_first(chosen)
    for entry in versions:
        if entry.id not in withdrawn:
            bury(bank, key, entry.id)
    _bury_parts(bank, key, versions[0].task)
    return Withdrawal(versions[0].task, tuple(entry.id for entry in versions))


def choose_own(
    bank: Bank, key: AgentKey | None, selector: str, find: Callable[[str], BankEntry]
) -> list[BankEntry]:
    """Return the entries of this agent that a name or id selects and that are not withdrawn.

    Args:
        bank: bank of the agent.
        key: key of the agent; None if it has none yet.
        selector: name of a task for all its versions; an id, or its beginning, for one version.
        find: function that returns the entry of any skill by a name or id.

    Raises:
        DataError: no skill matches, or it was withdrawn before.
        UsageError: another agent is the author.
    """
    own = _own(bank, key)
    withdrawn = set(bank.withdrawals.skills())
    live = [entry for entry in own if entry.id not in withdrawn]
    if chosen := [entry for entry in live if entry.task == selector]:
        return chosen
    if any(entry.task == selector for entry in own):
        raise DataError(f"expected a task that is not withdrawn, '{shown(selector)}' was before")
    found = find(selector)
    if found.id not in {entry.id for entry in own}:
        raise UsageError(
            f"expected a task of this agent, '{shown(found.task)}' was learned by "
            f"{known_as(found.alias, found.author)}; only its author can withdraw it, and "
            "`teachmesh skills remove` removes it here"
        )
    if found.id in withdrawn:
        raise DataError(f"expected a skill that is not withdrawn, {found.id[:12]} was before")
    is_version = found.id.startswith(selector.lower().rpartition("@")[2])
    return [e for e in live if e.id == found.id or (not is_version and e.task == found.task)]


def retire_replaced(bank: Bank, key: AgentKey | None, withheld: Collection[str] = ()) -> None:
    """Sign tombstones for an agent's replaced versions, so that peers need not keep them.

    Args:
        bank: bank of the agent.
        key: key of the agent; None if it has none yet, and so no skills.
        withheld: ids of skills that peers do not get. The versions that they replaced are kept,
            because peers would lose the task otherwise.

    Raises:
        StorageError: a tombstone cannot be saved.
    """
    # Not the losers of forks, nor versions before a missing one: a copied home may have made them,
    # and tombstones are for good.
    ids, current = set(bank.ids()), {entry.id for entry in bank.current()}
    own = [entry for entry in _own(bank, key) if entry.id in ids]
    named = {entry.replaces for entry in own}
    kept = {entry.task for entry in own if entry.id in current and entry.id in withheld}
    replaced = [entry for entry in own if entry.id in named and entry.task not in kept]
    if key is None or not replaced:
        return
    free = RETIRED_AT_MOST - len(bank.withdrawals.of_author(key.public_key))
    for entry in oldest_first(replaced)[: max(0, free)]:
        bury(bank, key, entry.id)


def receive_tombstone(bank: Bank, key: AgentKey, data: bytes, expected_id: str) -> None:
    """Check a tombstone from a peer and save it.

    Args:
        bank: bank of the agent.
        key: key of the agent; files of its own skills are kept.
        data: the signed bytes.
        expected_id: the id that was requested.

    Raises:
        SkillRefused: a check failed; `reason` is the code of the first failed check.
        StorageError: the tombstone cannot be saved.
    """
    tombstone = read_tombstone(data)
    if tombstone.id != expected_id:
        raise SkillRefused("HASH", f"expected the tombstone {expected_id[:12]}, got another")
    bank.withdrawals.add(tombstone, keep_file=tombstone.author == key.public_key)


def prune(bank: Bank, key: AgentKey | None, withheld: Collection[str] = ()) -> Pruned:
    """Delete the files of withdrawn skills, and of replaced versions that their authors retired.

    Args:
        bank: bank of the agent.
        key: key of the agent; None if it has none yet.
        withheld: see `retire_replaced`.

    Raises:
        StorageError: a file cannot be deleted.
    """
    retire_replaced(bank, key, withheld)
    deleted = bank.withdrawals.prune()
    kept = len(bank.ids()) - len(bank.active())
    return Pruned(tuple(deleted), kept)


def _own(bank: Bank, key: AgentKey | None) -> list[BankEntry]:
    if key is None:
        return []
    return [entry for entry in bank.entries() if entry.author == key.public_key]


def _bury_parts(bank: Bank, key: AgentKey, task: str) -> None:
    """Withdraw all parts of a task that has no active version any more."""
    if any((entry.author, entry.task) == (key.public_key, task) for entry in bank.active()):
        return
    for part in bank.parts.entries():
        if part.task == (key.public_key, task):
            bury(bank, key, part.id)
    bank.parts.sweep()


def bury(bank: Bank, key: AgentKey, name: str) -> None:
    """Sign and store a tombstone.

    Args:
        bank: bank of the agent.
        key: key of the agent.
        name: id of a skill or part.

    Raises:
        UsageError: the agent withdrew too many skills.
        StorageError: the tombstone cannot be saved.
    """
    known = bank.withdrawals.of_author(key.public_key)
    if len(known) >= MAX_PER_AUTHOR:
        raise UsageError(
            f"this agent withdrew {len(known)} skills, the most that peers accept from one agent; "
            "`teachmesh identity new` makes a new one for further tasks"
        )
    bank.withdrawals.add(sign_tombstone(name, key), keep_file=True)
