"""The parts and rosters of a bank: tasks that several agents learn together.

    parts/<id>.part     one file per part, named by its SHA-256
    rosters/<id>.json   the newest roster of each task

The files alone decide which parts count, so nothing is lost if a process is killed. A part counts
if the newest roster of its task admits its author, and nobody has withdrawn it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path

from teachmesh.bank.atomic import FileOps, storage_errors
from teachmesh.bank.hashed_files import HashedFiles
from teachmesh.bank.index import Index
from teachmesh.errors import SkillRefused
from teachmesh.packet.part import Part, PartFacts, read_part
from teachmesh.packet.roster import Roster, read_roster

MAX_PER_AUTHOR = 64
"""Maximum number of parts of one author of one task."""
MAX_PER_OWNER = 64
"""Maximum number of tasks of one owner."""
MAX_ROSTERS = 1024
_READINGS = 8


@dataclass(frozen=True)
class PartEntry:
    """A part in the bank, without its statistics.

    Attributes:
        id: SHA-256 of the file, 64 hex digits.
        author: public key of the author.
        facts: the signed facts.
        size_bytes: size of the file in bytes.
    """

    id: str
    author: str
    facts: PartFacts
    size_bytes: int

    @property
    def task(self) -> tuple[str, str]:
        """Owner and name of the task."""
        return self.facts.owner, self.facts.task

    @property
    def order(self) -> tuple[bool, str]:
        """Key of the canonical order: the owner's parts first, then by id."""
        return self.author != self.facts.owner, self.id


class PartShelf:
    """Parts and rosters of a bank; all methods may raise StorageError.

    Args:
        root: the bank's folder.
        ops: disk operations; tests pass their own.
        index: function that returns the bank's current index, which has the tombstones.
        writing: context that holds the bank's lock and yields the index; its argument is the
            beginning of an error message.
    """

    def __init__(
        self,
        root: Path,
        ops: FileOps,
        index: Callable[[], Index],
        writing: Callable[[str], AbstractContextManager[Index]],
    ) -> None:
        self._parts = HashedFiles(root / "parts", ".part", root / "damaged", ops)
        self._rosters = HashedFiles(root / "rosters", ".json", root / "damaged", ops)
        self._index = index
        self._writing = writing
        self._known: dict[str, PartEntry | None] = {}
        self._read_rosters: dict[str, Roster | None] = {}

    def rosters(self) -> list[Roster]:
        """Return the newest roster of each task, sorted by owner and name."""
        newest: dict[tuple[str, str], Roster] = {}
        with storage_errors("could not read the rosters"):
            for roster in self._all_rosters():
                known = newest.get(roster.task, roster)
                newest[roster.task] = max(known, roster, key=lambda one: one.order)
        return [newest[task] for task in sorted(newest)]

    def _all_rosters(self) -> list[Roster]:
        """Read all rosters; again if one was replaced by a newer one meanwhile.

        A listing made during the replacement may have neither file, so two must be equal.
        """
        for _ in range(_READINGS):
            names = self._rosters.ids()
            found = [self._roster_of(name) for name in sorted(names)]
            if names == self._rosters.ids():
                break
        return [roster for roster in found if roster is not None]

    def roster(self, task: tuple[str, str]) -> Roster | None:
        """Return the newest roster of a task, or None.

        Args:
            task: owner and name of the task.
        """
        return next((roster for roster in self.rosters() if roster.task == task), None)

    def add_roster(self, roster: Roster) -> bool:
        """Store a roster, unless a newer one is known; return whether it was stored.

        Raises:
            SkillRefused: LIMIT for too many tasks.
        """
        with self._writing(f"could not save the roster of {roster.facts.task!r}") as index:
            known = {one.task: one for one in self.rosters()}
            old = known.pop(roster.task, None)
            if old is not None and old.order >= roster.order:
                return False
            self._check_room(known, roster)
            self._rosters.create()
            self._rosters.write(roster.id, roster.data)
            if old is not None:
                with suppress(OSError):  # an older roster has no effect
                    self._rosters.delete(old.id)
            index.update()
        return True

    def add(self, part: Part) -> PartEntry:
        """Store a part; it is on the disk when this returns. Storing it twice is harmless.

        Raises:
            SkillRefused: AUTHOR if no roster admits the author, and BACKBONE for another backbone.
                WITHDRAWN if the part was withdrawn, and LIMIT for too many parts of one author.
        """
        entry = PartEntry(part.id, part.author, part.facts, len(part.data))
        with self._writing(f"could not save part {entry.id[:12]}") as index:
            self._check_part(index, entry)
            if self._parts.read_whole(entry.id) is None:
                self._parts.create()
                try:
                    self._parts.write(entry.id, part.data)
                    index.update()
                except (OSError, sqlite3.Error):
                    # The caller gets an error, so the file must not stay in the bank.
                    with suppress(OSError):
                        self._parts.delete(entry.id)
                    raise
            self._known[entry.id] = entry
        return entry

    def entries(self) -> list[PartEntry]:
        """Return the entries of all parts with an intact file, sorted by id."""
        with storage_errors("could not read the parts"):
            found = (self._entry(name) for name in sorted(self._parts.ids()))
            return [entry for entry in found if entry is not None]

    def live(self, task: tuple[str, str]) -> list[PartEntry]:
        """Return the entries of the parts of a task that count, in canonical order.

        Args:
            task: owner and name of the task.
        """
        roster = self.roster(task)
        if roster is None:
            return []
        held = [entry for entry in self.entries() if self._counts(entry, roster)]
        replaced = {(entry.author, entry.facts.replaces) for entry in held}
        kept = [entry for entry in held if (entry.author, entry.id) not in replaced]
        return sorted(kept, key=lambda entry: entry.order)

    def load(self, part: str) -> Part | None:
        """Return a part; None if it is missing or damaged.

        A damaged file is moved to another folder, so that another agent can send the part again.
        """
        with storage_errors(f"could not read part {part[:12]}"):
            data = self._parts.read_whole(part)
            seems_damaged = data is None and part in self._parts.ids()
        if seems_damaged:
            data = self._set_aside(part)
        return None if data is None else read_part(data)

    def _set_aside(self, part: str) -> bytes | None:
        """Move a damaged file away, or return its bytes if another writer stored it meanwhile."""
        with self._writing(f"could not set part {part[:12]} aside") as index:
            data = self._parts.read_whole(part)
            if data is None:
                self._parts.quarantine(part)
                index.update()
                self._known.pop(part, None)
        return data

    def sweep(self) -> None:
        """Delete parts that do not count any more, such as withdrawn ones, and old rosters."""
        rosters = {roster.task: roster for roster in self.rosters()}
        gone = [entry.id for entry in self.entries() if self._is_gone(entry, rosters)]
        old = self._rosters.ids() - {roster.id for roster in rosters.values()}
        old = {name for name in old if self._roster_of(name) is not None}
        if not gone and not old:
            return  # also if the bank cannot be written
        with self._writing("could not delete withdrawn parts") as index:
            for name in gone:
                self._parts.delete(name)
                self._known.pop(name, None)
            for name in old:
                self._rosters.delete(name)
            index.update()

    def check(self) -> tuple[set[str], set[str]]:
        """Hash every file; return the ids of damaged files, and the names of other files."""
        damaged: set[str] = set()
        foreign: set[str] = set()
        for files in (self._parts, self._rosters):
            damaged |= {name for name in files.ids() if files.read_whole(name) is None}
            foreign |= files.foreign_names()
        return damaged, foreign

    def repair(self) -> None:
        """Move damaged files away and delete temporary files; the caller holds the bank's lock."""
        for files in (self._parts, self._rosters):
            files.sweep()
            for name in files.ids():
                if files.read_whole(name) is None:
                    files.quarantine(name)
        self._known.clear()

    def _counts(self, entry: PartEntry, roster: Roster) -> bool:
        if entry.task != roster.task or entry.facts.fingerprint != roster.facts.fingerprint:
            return False
        return roster.admits(entry.author) and not self._is_withdrawn(self._index(), entry)

    def _is_gone(self, entry: PartEntry, rosters: Mapping[tuple[str, str], Roster]) -> bool:
        """Return whether a part is withdrawn or excluded; a roster may be missing for a while."""
        roster = rosters.get(entry.task)
        excluded = roster is not None and not roster.admits(entry.author)
        return excluded or self._is_withdrawn(self._index(), entry)

    def _check_part(self, index: Index, entry: PartEntry) -> None:
        roster = self.roster(entry.task)
        name = entry.facts.task
        if roster is None or not roster.admits(entry.author):
            raise SkillRefused(
                "AUTHOR",
                f"the owner of {name!r} has not invited the agent {entry.author[:12]}; the owner "
                f"runs: teachmesh skills invite {name} {entry.author}",
            )
        if entry.facts.fingerprint != roster.facts.fingerprint:
            raise SkillRefused("BACKBONE", f"the part of {name!r} was made with another backbone")
        if self._is_withdrawn(index, entry):
            raise SkillRefused("WITHDRAWN", f"part {entry.id[:12]} was withdrawn for good")
        same = [e for e in self.entries() if (e.author, e.task) == (entry.author, entry.task)]
        if len({e.id for e in same} | {entry.id}) > MAX_PER_AUTHOR:
            raise SkillRefused("LIMIT", f"expected at most {MAX_PER_AUTHOR} parts of one agent")

    @staticmethod
    def _is_withdrawn(index: Index, entry: PartEntry) -> bool:
        signers = (entry.author, entry.facts.owner)
        return any(index.has_tombstone(signer, entry.id) for signer in signers)

    @staticmethod
    def _check_room(known: dict[tuple[str, str], Roster], roster: Roster) -> None:
        owned = sum(owner == roster.owner for owner, _ in known)
        if owned >= MAX_PER_OWNER or len(known) >= MAX_ROSTERS:
            raise SkillRefused("LIMIT", f"expected at most {MAX_PER_OWNER} tasks of one owner")

    # Several threads read at once, so an entry must not be visible before it is complete.
    def _entry(self, name: str) -> PartEntry | None:
        if name not in self._known:
            data = self._parts.read_whole(name)
            if data is None:
                return None  # damaged: `check` and `load` find it
            entry = None
            with suppress(SkillRefused):  # a file of a newer version stays without an entry
                part = read_part(data)
                entry = PartEntry(name, part.author, part.facts, len(data))
            self._known[name] = entry
            return entry
        return self._known.get(name)

    def _roster_of(self, name: str) -> Roster | None:
        if name not in self._read_rosters:
            data = self._rosters.read_whole(name)
            if data is None:
                return None
            roster = None
            with suppress(SkillRefused):
                roster = read_roster(data)
            self._read_rosters[name] = roster
        return self._read_rosters[name]
