"""Withdraw the agent's own skills everywhere, and delete files that no answer needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from teachmesh.bank.withdrawals import MAX_PER_AUTHOR
from teachmesh.errors import DataError, SkillRefused, UsageError
from teachmesh.packet.tombstone import Tombstone, read_tombstone, sign_tombstone

if TYPE_CHECKING:
    from teachmesh.agent.bank_view import BankView
    from teachmesh.bank.entry import BankEntry

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


def withdraw(view: BankView, selector: str) -> Withdrawal:
    """Sign a tombstone for every version of a task of this agent, or for the version of an id.

    Versions that were replaced stay replaced, also if only the newest version is withdrawn.

    Args:
        view: the agent.
        selector: name of a task for all its versions; an id, or its beginning, for one version.

    Raises:
        DataError: no skill matches, or it was withdrawn before.
        UsageError: another agent is the author, or the agent withdrew too many skills.
        StorageError: a tombstone cannot be saved. Versions before it are withdrawn, the others are
            not; the newest one comes last.
    """
    chosen = choose_own(view, selector)
    retire_replaced(view)
    withdrawn = set(view.bank.withdrawals.skills())
    for entry in _oldest_first(chosen):
        if entry.id not in withdrawn:
            _bury(view, entry)
    return Withdrawal(chosen[0].task, tuple(entry.id for entry in _oldest_first(chosen)))


def choose_own(view: BankView, selector: str) -> list[BankEntry]:
    """Return the entries of this agent that a name or id selects and that are not withdrawn.

    Raises:
        DataError: no skill matches, or it was withdrawn before.
        UsageError: another agent is the author.
    """
    author = _author(view)
    own = [entry for entry in view.bank.entries() if entry.author == author]
    withdrawn = set(view.bank.withdrawals.skills())
    live = [entry for entry in own if entry.id not in withdrawn]
    if chosen := [entry for entry in live if entry.task == selector]:
        return chosen
    if any(entry.task == selector for entry in own):
        raise DataError(f"expected a task that is not withdrawn, {selector!r} was withdrawn before")
    found = view.find(selector)
    if found.id not in {entry.id for entry in own}:
        raise UsageError(
            f"expected a task of this agent, {found.display_name!r} was learned by {found.alias}; "
            "only its author can withdraw it, and `teachmesh skills remove` removes it here"
        )
    if found.id in withdrawn:
        raise DataError(f"expected a skill that is not withdrawn, {found.id[:12]} was before")
    is_id = found.id.startswith(selector.lower())
    return [e for e in live if e.id == found.id or (not is_id and e.task == found.task)]


def retire_replaced(view: BankView) -> None:
    """Sign tombstones for this agent's replaced versions, so that peers need not keep them.

    Raises:
        StorageError: a tombstone cannot be saved.
    """
    author = _author(view)
    active = {entry.id for entry in view.bank.active()}
    live = set(view.bank.ids()) - active
    replaced = [e for e in view.bank.entries() if e.id in live and e.author == author]
    free = RETIRED_AT_MOST - len(view.bank.withdrawals.of_author(author)) if replaced else 0
    for entry in _oldest_first(replaced)[: max(0, free)]:
        _bury(view, entry)


def receive_tombstone(view: BankView, data: bytes, expected_id: str) -> Tombstone:
    """Check a tombstone from a peer and save it.

    Args:
        view: the agent.
        data: the signed bytes.
        expected_id: the id that was requested.

    Raises:
        SkillRefused: a check failed; `reason` is the code of the first failed check.
        StorageError: the tombstone cannot be saved.
    """
    tombstone = read_tombstone(data)
    if tombstone.id != expected_id:
        raise SkillRefused("HASH", f"expected the tombstone {expected_id[:12]}, got another")
    is_own = tombstone.author == view.key.public_key
    view.bank.withdrawals.add(tombstone, keep_file=is_own)
    return tombstone


def prune(view: BankView) -> Pruned:
    """Delete the files of withdrawn skills, and of replaced versions that their authors retired.

    Raises:
        StorageError: a file cannot be deleted.
    """
    retire_replaced(view)
    deleted = view.bank.withdrawals.prune()
    kept = len(view.bank.ids()) - len(view.bank.active())
    return Pruned(tuple(deleted), kept)


def _author(view: BankView) -> str:
    """Return the public key of the agent; an empty text if it has no key, and so no skills."""
    return view.key.public_key if view.home.key_file.exists() else ""


def _bury(view: BankView, entry: BankEntry) -> None:
    known = view.bank.withdrawals.of_author(entry.author)
    if len(known) >= MAX_PER_AUTHOR:
        raise UsageError(
            f"this agent withdrew {len(known)} skills, the most that peers accept from one agent; "
            "`teachmesh identity new` makes a new one for further tasks"
        )
    view.bank.withdrawals.add(sign_tombstone(entry.id, view.key), keep_file=True)


def _oldest_first(entries: Sequence[BankEntry]) -> list[BankEntry]:
    """Sort versions, so that a version comes after those that it replaces."""
    known = {entry.id: entry for entry in entries}

    def age(entry: BankEntry) -> int:
        steps, older = 0, known.get(entry.replaces or "")
        while older is not None:
            steps, older = steps + 1, known.get(older.replaces or "")
        return steps

    return sorted(entries, key=lambda entry: (age(entry), entry.id))
