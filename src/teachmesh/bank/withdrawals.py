"""The tombstones of a bank, with which authors withdraw their skills.

    tombstones/<id>.json   one file per tombstone, named by its SHA-256

A tombstone has effect on a skill of its own author only, whichever of the two comes first. The
index compares the authors whenever it is read, so the order of arrival makes no difference.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from teachmesh.bank.atomic import FileOps, storage_errors
from teachmesh.bank.blocked_authors import BlockedAuthors
from teachmesh.bank.entry import BankEntry
from teachmesh.bank.folder import SkillFolder
from teachmesh.bank.hashed_files import HashedFiles
from teachmesh.bank.index import Index
from teachmesh.bank.index_repair import drop_skill
from teachmesh.errors import SkillRefused
from teachmesh.packet.tombstone import Tombstone, read_tombstone

MAX_PER_AUTHOR = 4096
"""Number of tombstones of one author that a bank stores: those with the smallest ids."""


def tombstone_files(root: Path, ops: FileOps) -> HashedFiles:
    """Return the files of tombstones of a bank.

    Args:
        root: the bank's folder.
        ops: disk operations; tests pass their own.
    """
    return HashedFiles(root / "tombstones", ".json", root / "damaged", ops)


class Withdrawals:
    """Tombstones of a bank, and the skills that are withdrawn by them.

    Args:
        files: the files of the tombstones.
        skills: the files of the skills.
        index: function that returns the bank's current index.
        writing: context that holds the bank's lock and yields the index; its argument is the
            beginning of an error message.
        blocked: blocked authors, whose tombstones are not listed.
    """

    def __init__(
        self,
        files: HashedFiles,
        skills: SkillFolder,
        index: Callable[[], Index],
        writing: Callable[[str], AbstractContextManager[Index]],
        blocked: BlockedAuthors,
    ) -> None:
        self._files = files
        self._skills = skills
        self._index = index
        self._writing = writing
        self._blocked = blocked

    def ids(self) -> list[str]:
        """Return the sorted ids of all tombstones, without those of blocked authors.

        Raises:
            StorageError: the bank cannot be read; also raised by the other methods.
        """
        with storage_errors("could not read the tombstones"):
            found = self._index().tombstones()
            hidden = self._blocked.hidden(author for _, author in found)
            return [name for name, author in found if author not in hidden]

    def skills(self) -> list[str]:
        """Return the sorted ids of withdrawn skills whose files are still in this bank."""
        with storage_errors("could not read the tombstones"):
            return self._index().withdrawn_ids()

    def of_author(self, author: str) -> list[str]:
        """Return the sorted ids of skills that the tombstones of an author name."""
        with storage_errors("could not read the tombstones"):
            return sorted(self._index().tombstones_of(author).values())

    def named_by(self, author: str) -> dict[str, str]:
        """Return the skill that each tombstone of an author names, by the tombstone's id."""
        with storage_errors("could not read the tombstones"):
            return dict(self._index().tombstones_of(author))

    def get(self, tombstone: str) -> bytes | None:
        """Return the bytes of a tombstone; None if it is missing or damaged.

        A damaged file is moved to another folder, so that a peer can send the tombstone again.
        """
        with storage_errors(f"could not read tombstone {tombstone[:12]}"):
            data = self._files.read_whole(tombstone)
        if data is None and tombstone in self.ids():
            with self._writing(f"could not set tombstone {tombstone[:12]} aside") as index:
                data = self._files.read_whole(tombstone)  # another writer may have stored it
                if data is None:
                    self._files.quarantine(tombstone)
                    index.update_tombstones(drop=[tombstone])
        return data

    def add(self, tombstone: Tombstone, *, keep_file: bool) -> None:
        """Store a tombstone; it is on the disk when this returns. Adding it twice is harmless.

        Args:
            tombstone: the tombstone, from `sign_tombstone` or `read_tombstone`.
            keep_file: whether to keep the file of the withdrawn skill until `prune`; True for the
                author, who may want to restore it.

        Raises:
            SkillRefused: LIMIT if the author has too many tombstones, BLOCKED if it is blocked.
            StorageError: nothing was stored.
        """
        with self._writing(f"could not withdraw skill {tombstone.skill[:12]}") as index:
            self._blocked.check(tombstone.author, tombstone.id)
            self._store(index, tombstone)
            entry = index.find(tombstone.skill)
            if not keep_file and entry is not None and entry.author == tombstone.author:
                # The skill is withdrawn already; if this fails, `prune` deletes the file.
                with suppress(OSError, sqlite3.Error):
                    drop_skill(index, self._skills, entry.id)

    def _store(self, index: Index, tombstone: Tombstone) -> None:
        known = index.tombstones_of(tombstone.author)
        if tombstone.id in known:
            return
        surplus = _surplus(known, tombstone)
        try:
            self._files.write(tombstone.id, tombstone.data)
            index.update_tombstones(add=[tombstone], drop=surplus)
        except (OSError, sqlite3.Error):
            # The caller gets an error, so the file must not stay in the bank.
            with suppress(OSError):
                self._files.delete(tombstone.id)
            raise
        with suppress(OSError):
            for other in surplus:
                self._files.delete(other)

    def check_put(self, index: Index, entry: BankEntry) -> None:
        """Refuse a skill that its author withdrew, and mark it so that it is not fetched again.

        Args:
            index: the bank's index; the caller holds the bank's lock.
            entry: entry of the skill that is about to be stored.

        Raises:
            SkillRefused: WITHDRAWN.
        """
        if not index.has_tombstone(entry.author, entry.id):
            return
        if index.find(entry.id) is None:  # otherwise the author keeps its file
            with suppress(OSError):
                self._skills.mark_removed(entry.id)
        raise SkillRefused(
            "WITHDRAWN",
            f"skill {entry.id[:12]} ({entry.task!r}) was withdrawn by its author for good; its "
            "author can learn the task again",
        )

    def prune(self) -> list[BankEntry]:
        """Delete the files of all withdrawn skills; return their entries."""
        if not self.skills():
            return []  # also if the bank cannot be written
        with self._writing("could not delete withdrawn skills") as index:
            withdrawn = set(index.withdrawn_ids())
            entries = [entry for entry in index.entries() if entry.id in withdrawn]
            for entry in entries:
                drop_skill(index, self._skills, entry.id)
        return entries


def _surplus(known: Collection[str], tombstone: Tombstone) -> list[str]:
    """Return ids of tombstones of one author that exceed the limit with a new one.

    The smallest ids stay, so that all banks end with the same ones in any order of arrival.

    Raises:
        SkillRefused: LIMIT if the new tombstone exceeds the limit.
    """
    surplus = sorted({*known, tombstone.id})[MAX_PER_AUTHOR:]
    if tombstone.id in surplus:
        raise SkillRefused("LIMIT", f"expected at most {MAX_PER_AUTHOR} tombstones of one author")
    return surplus


def tidy_tombstones(index: Index, files: HashedFiles) -> None:
    """Make the index agree with the files of tombstones; fast if there is nothing to do."""
    files.sweep()
    present, listed = files.ids(), set(index.tombstone_ids())
    add = read_tombstones(files, present - listed)
    if add or listed - present:
        index.update_tombstones(add=add, drop=listed - present)


def read_tombstones(
    files: HashedFiles, ids: Collection[str], *, move_damaged: bool = True
) -> list[Tombstone]:
    """Read tombstones from their files, in the order of their ids.

    Files with a wrong hash are moved to the folder of damaged files. Intact files that fail a
    check, such as those of a newer version of teachmesh, stay in place and are left out.
    """
    found = []
    for data in files.read_intact(ids, move_damaged=move_damaged):
        with suppress(SkillRefused):
            found.append(read_tombstone(data))
    return found


def check_tombstones(index: Index, files: HashedFiles) -> tuple[set[str], set[str], set[str]]:
    """Hash the file of every tombstone; return the damaged, the missing, and names of other files.

    Ids are returned for damaged and missing tombstones. Temporary files are named with the others.
    """
    listed, present = set(index.tombstone_ids()), files.ids()
    damaged = {name for name in listed & present if files.read_whole(name) is None}
    unlisted = {files.path(name).name for name in present - listed}
    return damaged, listed - present, unlisted | files.foreign_names()
