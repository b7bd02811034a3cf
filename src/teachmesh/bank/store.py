"""The bank of an agent: its skills, stored as files named by their hash."""

from __future__ import annotations

import hashlib
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from filelock import FileLock, Timeout

from teachmesh.bank.atomic import FILE_OPS, FileOps, storage_errors
from teachmesh.bank.blocked_authors import PENDING, TRUSTED, Authors, BlockedAuthors, Everyone
from teachmesh.bank.entry import BankEntry, CheckReport, Usage, forks, without_superseded
from teachmesh.bank.folder import ArrayFiles, SkillFolder, check_id
from teachmesh.bank.index import Index, discard, is_damage, open_or_replace
from teachmesh.bank.index_repair import drop_skill, read_entries, tidy
from teachmesh.bank.part_shelf import PartShelf
from teachmesh.bank.withdrawals import (
    Withdrawals,
    check_tombstones,
    read_tombstones,
    tidy_tombstones,
    tombstone_files,
)
from teachmesh.errors import SkillRefused, StorageError
from teachmesh.packet.codec import SignedSkill, decode_again
from teachmesh.packet.limits import DEFAULT_LIMITS, Limits
from teachmesh.packet.signing import VerifiedSkill
from teachmesh.packet.skill_header import check_sizes

T = TypeVar("T")
_log = logging.getLogger(__name__)
LOCK_TIMEOUT_S = 10.0
_LOCK_POLL_S = 0.01


class Bank:
    """The skills of one agent, shared by all processes that open the folder.

    A skill is on the disk when `put` returns, and later crashes cannot damage the skill. Several
    processes can read at any time; only one can write, while other writers wait. Opening a bank
    removes temporary files left behind by killed writers and updates the index from the files.
    Several threads can share a bank.

    A skill that its author withdrew is listed by `entries` only, until `withdrawals.prune` deletes
    its file. Skills of blocked authors are moved away, as if they had never come. Skills of pending
    authors are stored and sent to peers, but answers and the digest leave them out.

    Args:
        folder: the bank's folder; created if it is missing.
        read_only: True to write nothing, even on opening. An index that cannot be opened
            is then replaced by an index in memory, built from the files.
        authors: decisions about authors; by default, all are trusted.
        lock_timeout_s: maximum time that a writer waits for another writer, in seconds.
        limits: size limits; larger skills are refused.
        ops: disk operations; tests pass their own.

    Attributes:
        withdrawals: the tombstones of the bank.
        parts: parts of tasks that this agent learns together with others.

    Raises:
        StorageError: the folder cannot be used.
    """

    def __init__(
        self,
        folder: Path,
        read_only: bool = False,
        *,
        authors: Authors | None = None,
        lock_timeout_s: float = LOCK_TIMEOUT_S,
        limits: Limits = DEFAULT_LIMITS,
        ops: FileOps = FILE_OPS,
    ) -> None:
        self.folder = Path(folder)
        self.read_only = read_only
        self._limits = limits
        self._ops = ops
        self._files = SkillFolder(self.folder, ops)
        self._tombstones = tombstone_files(self.folder, ops)
        self._authors: Authors = Everyone() if authors is None else authors
        self._blocked = BlockedAuthors(
            self.folder, self._authors, self._files, self._tombstones, ops
        )
        self.withdrawals = Withdrawals(
            self._tombstones, self._files, self._current, self._writing, self._blocked
        )
        self.parts = PartShelf(self.folder, ops, self._current, self._writing)
        self._path = self.folder / "index.sqlite3"
        self._lock_timeout_s = lock_timeout_s
        self._lock = FileLock(self.folder / "write.lock", poll_interval=_LOCK_POLL_S, mode=0o600)
        with storage_errors(f"could not open the bank {self.folder}"):
            self._index = self._open_to_read() if read_only else self._open_to_write()

    def get(self, skill: str) -> bytes:
        """Return a skill's bytes, after checking that the skill's id is their hash.

        Raises:
            StorageError: the skill is not in the bank, or its file is damaged. A damaged file is
                moved to another folder, so that a peer can send the skill again.
        """
        check_id(skill)
        doing = f"could not read skill {skill[:12]}"
        if self._read(lambda index: index.find(skill), doing) is None:
            raise StorageError(f"this bank holds no skill {skill[:12]}")
        with storage_errors(doing):
            data = self._files.read_whole(skill)
        if data is None and not self.read_only:
            data = self._set_aside(skill)
        if data is None:
            raise StorageError(
                f"skill {skill} is damaged on the disk and was taken out of the bank; "
                "a peer that holds it will deliver it again"
            )
        return data

    def load(self, skill: str) -> SignedSkill:
        """Read and decode a skill; raises the same errors as `get`.

        The skill was checked when it came into the bank, and `get` compares its hash.
        """
        return decode_again(self.get(skill), skill, self._limits)

    def entries(self) -> list[BankEntry]:
        """Return the entries of all skills with a file, also of withdrawn ones, sorted by id.

        Skills of blocked authors are left out here and in all other methods.
        """
        found = self._read(Index.entries)
        hidden = self._blocked.hidden(entry.author for entry in found)
        return [entry for entry in found if entry.author not in hidden]

    def active(self) -> list[BankEntry]:
        """Return the entries of the skills that are in use, if their authors are trusted.

        Their author has neither replaced nor withdrawn them, and each author has at most one of
        each task (see `entry.forks`). They are sorted by id.
        """
        current = self.current()
        lost = forks(current)
        return [entry for entry in current if entry.id not in lost]

    def current(self) -> list[BankEntry]:
        """Return the entries of all skills that were neither replaced nor withdrawn, by id."""
        live = set(self.ids())
        return without_superseded([entry for entry in self.entries() if entry.id in live])

    def published(self, author: str, withheld: Collection[str] = ()) -> int:
        """Return the number of skills that an author published, as far as this bank knows.

        Withdrawn skills count if their tombstone is here.

        Args:
            author: public key, 64 hex digits.
            withheld: ids of skills that are not sent, which do not count.
        """
        live = {skill for skill, by in self._read(Index.live) if by == author}
        return len((live | set(self.withdrawals.of_author(author))).difference(withheld))

    def arrived_ns(self, skill: str) -> int:
        """Return when a skill was stored here, in nanoseconds; 0 if its file is missing.

        Copying the files of a bank may change it.
        """
        try:
            return self._files.path(skill).stat().st_mtime_ns
        except OSError:
            return 0

    def ids(self) -> list[str]:
        """Return the sorted ids of all skills that are not withdrawn: those that peers get."""
        found = self._read(Index.live)
        hidden = self._blocked.hidden(author for _, author in found)
        return [skill for skill, author in found if author not in hidden]

    def used_ids(self) -> list[str]:
        """Return the sorted ids of all skills that are not withdrawn and whose author is trusted.

        Raises:
            StorageError: the decisions about authors cannot be read; also raised by other methods.
        """
        found = self._read(Index.live)
        trusted = self._blocked.among((author for _, author in found), TRUSTED)
        return [skill for skill, author in found if author in trusted]

    def pending_authors(self) -> frozenset[str]:
        """Return the public keys of authors whose skills wait for a decision."""
        found = {author for _, author in self._read(Index.live)}
        return self._blocked.among(found, PENDING)

    def pending_usage(self) -> Usage:
        """Return the part of the bank that skills of pending authors use."""
        return self._blocked.pending_usage(self._read(Index.usages))

    def removed_ids(self) -> list[str]:
        """Return the sorted ids of skills that must not be fetched again.

        They were removed here, or withdrawn by their author after this agent had them, or their
        author is blocked. The ids of tombstones of blocked authors are among them.
        """
        with storage_errors(f"could not read the bank {self.folder}"):
            return sorted(self._files.removed() | self._blocked.ids())

    def usage(self, author: str) -> Usage:
        """Return the part of the bank that an author (public key, 64 hex digits) uses."""
        return self._read(lambda index: index.usage(author))

    def digest(self) -> str:
        """Return the hash of `used_ids`, 64 hex digits; equal digests mean equal answers."""
        return digest_of(self.used_ids())

    def version(self) -> tuple[int, object]:
        """Return a value that changes with every write or decision by any process.

        Reading it is fast.
        """
        return self._read(Index.changes), self._authors.stamp()

    def follow_decisions(self) -> None:
        """Move skills and tombstones of blocked authors away, and those of others back.

        Raises:
            StorageError: the bank cannot be changed.
        """
        with self._writing("could not follow the decisions about authors") as index:
            self._follow(index)

    def _follow(self, index: Index) -> None:
        if self._blocked.follow(index):
            tidy(index, self._files, self._limits)
            tidy_tombstones(index, self._tombstones)

    def put(self, verified: VerifiedSkill, *, restore: bool = True) -> BankEntry:
        """Store a skill; it is on the disk when this returns. Storing it twice is harmless.

        Args:
            verified: the skill, from `signing.sign` or `signing.verify`.
            restore: whether to store the skill even if it was removed from this bank: True for an
                import by the user, False for skills from peers.

        Raises:
            SkillRefused: the skill exceeds the size limits (LIMIT), or it was removed from this
                bank and `restore` is False (AUTHOR), or its author withdrew it (WITHDRAWN) or is
                blocked (BLOCKED).
            StorageError: nothing was stored, because the disk is full or not writable, or
                another process kept writing for too long.
        """
        VerifiedSkill.check(verified)
        check_sizes(verified.data, self._limits)
        entry = BankEntry.of(verified)
        with self._writing(f"could not save skill {entry.id[:12]}") as index:
            self._blocked.check(entry.author, entry.id)
            self.withdrawals.check_put(index, entry)
            if entry.id in self._files.removed():
                if not restore:
                    raise SkillRefused("AUTHOR", f"skill {entry.id[:12]} was removed here")
                self._files.unmark_removed(entry.id)
            listed = index.find(entry.id) is not None
            if not listed or self._files.read_whole(entry.id) is None:
                self._store(index, entry, verified.data, listed)
                _log.info(
                    "saved skill %s (%s, %d bytes)", entry.id[:12], entry.task, entry.size_bytes
                )
        return entry

    def _store(self, index: Index, entry: BankEntry, data: bytes, listed: bool) -> None:
        try:
            self._files.write(entry.id, data)
            with suppress(OSError):  # a disk without times
                os.utime(self._files.path(entry.id), ns=(time.time_ns(),) * 2)
            index.update(add=[entry])
        except (OSError, sqlite3.Error):
            if not listed:
                # The caller gets an error, so the skill's file must not stay in the bank.
                with suppress(OSError):
                    self._files.delete(entry.id)
            raise

    def remove(self, skill: str) -> None:
        """Remove a skill from this bank and never fetch it again. Peers keep their copies.

        Raises:
            StorageError: the skill is not in the bank, or a disk error occurred and the skill was
                not removed.
        """
        check_id(skill)
        with self._writing(f"could not remove skill {skill[:12]}") as index:
            if index.find(skill) is None:
                raise StorageError(f"this bank holds no skill {skill[:12]}")
            drop_skill(index, self._files, skill)

    def check(self) -> CheckReport:
        """Hash every file and compare the files with the index, without changing anything.

        Raises:
            StorageError: the disk cannot be read.
        """
        with storage_errors(f"could not check the bank {self.folder}"):
            listed, present = set(self._current().ids()), self._files.ids()
            removed = self._files.removed()
            foreign = self._files.foreign_names()
            damaged = {skill for skill in listed & present if self._files.read_whole(skill) is None}
            found = check_tombstones(self._current(), self._tombstones)
            torn, odd = self.parts.check()
        buried, lost, strange = found
        foreign |= strange | odd
        temporary = {name for name in foreign if name.startswith(".")}
        unlisted = {self._files.path(skill).name for skill in present - listed - removed}
        return CheckReport(
            skills=len(listed & present) - len(damaged),
            damaged=tuple(sorted(damaged | buried | torn)),
            missing=tuple(sorted((listed - present) | lost)),
            unlisted=tuple(sorted(unlisted | (foreign - temporary))),
            temporary=tuple(sorted(temporary)),
            removed_present=tuple(sorted(removed & present)),
        )

    def derived(self, part: str, origin: str) -> ArrayFiles:
        """Return the files with arrays that were derived from the skills.

        Args:
            part: name of a folder for these arrays.
            origin: text that is equal for all arrays that were computed in the same way.
        """
        return ArrayFiles(self.folder / "derived" / part, origin, self._ops)

    def close(self) -> None:
        """Close the index; the bank cannot be used afterwards."""
        self._index.close()

    def __enter__(self) -> Bank:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _open_to_write(self) -> Index:
        self._files.create()
        self._tombstones.create()
        try:
            with self._lock.acquire(timeout=0):
                return self._open_tidy()
        except Timeout:
            pass
        # Another process is writing. Its commits are already readable, and it tidies up. If it is
        # killed, the next process that opens the bank tidies up.
        with suppress(sqlite3.Error):
            return Index.open(self._path, self._ops)
        with self._locked():
            return self._open_tidy()

    def _open_tidy(self) -> Index:
        index = open_or_replace(self._path, self._ops)
        tidy(index, self._files, self._limits)
        tidy_tombstones(index, self._tombstones)
        self._follow(index)
        return index

    def _open_to_read(self) -> Index:
        with suppress(sqlite3.Error):
            return Index.open(self._path, self._ops, mode="ro")
        return self._open_from_files()

    def _open_from_files(self) -> Index:
        """Return an index in memory, made from the files."""
        present = self._files.ids() - self._files.removed()
        entries = read_entries(self._files, present, self._limits, move_damaged=False)
        index = Index.in_memory(entries, self._ops)
        buried = read_tombstones(self._tombstones, self._tombstones.ids(), move_damaged=False)
        index.update_tombstones(add=buried)
        return index

    def repair(self) -> CheckReport:
        """Rebuild the index from the files, set damaged files aside, and sweep temporary files.

        Peers that have the skills of damaged files deliver them again.

        Returns:
            The report of `check` from before the repair.

        Raises:
            StorageError: the bank cannot be read or changed.
        """
        report = self.check()
        with self._writing(f"could not repair the bank {self.folder}"):
            self._index = self._rebuilt()  # hashes every file
            self.parts.repair()
        return report

    def _read(self, read: Callable[[Index], T], doing: str = "") -> T:
        """Read the index; if it is damaged, rebuild it from the files and read it again."""
        with storage_errors(doing or f"could not read the bank {self.folder}"):
            index = self._current()
            try:
                return read(index)
            except sqlite3.DatabaseError as error:
                if not is_damage(error):
                    raise
                with nullcontext() if self.read_only else self._locked():
                    if self._index is index:  # no other thread rebuilt it meanwhile
                        self._index = self._rebuilt()
                return read(self._index)

    def _rebuilt(self) -> Index:
        """Return a new index that is made from the files; the caller holds the lock."""
        if self.read_only:
            return self._open_from_files()
        discard(self._path, self._ops)
        return self._open_tidy()

    def _current(self) -> Index:
        """Return the index, reopened if its file was removed or replaced."""
        if not self._index.is_current():
            # The old connection is closed when no thread uses the old index any more.
            self._index = self._open_to_read() if self.read_only else self._open_to_write()
        return self._index

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self._lock.acquire(timeout=self._lock_timeout_s)
        except Timeout as error:
            raise StorageError(
                f"another process has been writing to {self.folder} for more than "
                f"{self._lock_timeout_s:g} s; try again when it is done"
            ) from error
        try:
            yield
        finally:
            self._lock.release()

    @contextmanager
    def _writing(self, doing: str) -> Iterator[Index]:
        if self.read_only:
            raise StorageError(f"{doing}: the bank {self.folder} is open for reading only")
        with storage_errors(doing), self._locked():
            yield self._current()

    def _set_aside(self, skill: str) -> bytes | None:
        """Move a damaged file away, or return its bytes if another process has repaired it."""
        with self._writing(f"skill {skill} is damaged and could not be set aside") as index:
            if index.find(skill) is None:
                raise StorageError(f"skill {skill[:12]} was removed while it was read")
            data = self._files.read_whole(skill)
            if data is None:
                _log.warning("the file of skill %s is damaged and is moved away", skill[:12])
                self._files.quarantine(skill)
                index.update(drop=[skill])
        return data


def digest_of(ids: Iterable[str]) -> str:
    """Return the SHA-256 of the sorted ids, each followed by a line feed."""
    text = "".join(f"{skill}\n" for skill in sorted(ids))
    return hashlib.sha256(text.encode("ascii")).hexdigest()
