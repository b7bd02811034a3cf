"""Skills and tombstones of blocked authors, out of the way of everything else in a bank.

    blocked/<author>/skills/<id>.safetensors   a skill, as it was before its author was blocked
    blocked/<author>/tombstones/<id>.json      a tombstone of the author
    blocked/<author>/refused/<id>              empty file; marks what came after the block

The decisions are made elsewhere (`trust.trust_book`); the files follow them. Their names keep the
ids, so that nothing is fetched again, and unblocking restores everything without the network.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from teachmesh.bank.atomic import FileOps, write_atomic
from teachmesh.bank.entry import Usage
from teachmesh.bank.hashed_files import ID, HashedFiles, file_names
from teachmesh.bank.index import Index
from teachmesh.errors import SkillRefused

TRUSTED, PENDING, BLOCKED = "trusted", "pending", "blocked"
"""Standings of authors."""
MAX_MARKS = 2_000
"""Number of ids of each author that are remembered after the block."""
_KINDS = ("skills", "tombstones")


class Authors(Protocol):
    """Decisions about authors, as `trust.trust_book.TrustBook` has them."""

    def standing(self, author: str) -> str:
        """Return `trusted`, `pending` or `blocked` for a public key of 64 hex digits.

        Raises:
            StorageError: the decisions cannot be read.
        """

    def among(self, authors: Iterable[str], standing: str) -> frozenset[str]:
        """Return the authors (public keys) that have a standing; fast for many authors."""

    def stamp(self) -> object:
        """Return a value that differs after every decision."""


class Everyone:
    """Decisions of a bank that trusts all authors."""

    def standing(self, author: str) -> str:
        """Trust this author."""
        del author
        return TRUSTED

    def among(self, authors: Iterable[str], standing: str) -> frozenset[str]:
        """Return all authors, who are trusted."""
        return frozenset(authors) if standing == TRUSTED else frozenset()

    def stamp(self) -> object:
        """Nothing ever changes."""
        return None


class BlockedAuthors:
    """Authors of a bank by standing, and the files of blocked ones.

    All methods may raise OSError. To call a method that writes, hold the bank's lock.

    Args:
        root: the bank's folder.
        authors: decisions about authors.
        skills: the files of the bank's skills.
        tombstones: the files of its tombstones.
        ops: disk operations; tests pass their own.
    """

    def __init__(
        self,
        root: Path,
        authors: Authors,
        skills: HashedFiles,
        tombstones: HashedFiles,
        ops: FileOps,
    ) -> None:
        self._root = root / "blocked"
        self._authors = authors
        self._files = dict(zip(_KINDS, (skills, tombstones), strict=True))
        self._ops = ops

    def among(self, authors: Iterable[str], standing: str) -> frozenset[str]:
        """Return the authors with a standing."""
        return self._authors.among(authors, standing)

    def hidden(self, authors: Iterable[str]) -> frozenset[str]:
        """Return the blocked ones among authors."""
        return self.among(authors, BLOCKED)

    def pending_usage(self, usages: Mapping[str, tuple[int, int]]) -> Usage:
        """Return the part of a bank that skills of pending authors use.

        Args:
            usages: (number of skills, bytes) by author.
        """
        pending = [usages[author] for author in self.among(usages, PENDING)]
        total = sum(count for count, _ in usages.values())
        return Usage(sum(count for count, _ in pending), sum(size for _, size in pending), total)

    def check(self, author: str, content: str) -> None:
        """Refuse content of a blocked author, and mark it so that it is not fetched again.

        Raises:
            SkillRefused: BLOCKED.
        """
        if self._authors.standing(author) != BLOCKED:
            return
        with suppress(OSError):
            self._mark(author, content)
        raise SkillRefused(
            "BLOCKED", f"the author of {content[:12]} is blocked here; see: teachmesh peers list"
        )

    def follow(self, index: Index) -> bool:
        """Move files as the decisions are now; return whether files came back.

        The index does not list files that came back until it is tidied.
        """
        self._withhold(index, sorted(self.hidden(index.authors())))
        away = self._away()
        return self._release(sorted(away - self.hidden(away)))

    def _away(self) -> set[str]:
        """Return the public keys of the authors that have a folder here."""
        return {name for name in file_names(self._root) if ID.fullmatch(name)}

    def ids(self) -> set[str]:
        """Return the ids of all skills and tombstones here; they must not be fetched again."""
        found = {
            name.partition(".")[0]
            for author in self._away()
            for kind in (*_KINDS, "refused")
            for name in file_names(self._root / author / kind)
        }
        return {name for name in found if ID.fullmatch(name)}

    def _mark(self, author: str, content: str) -> None:
        """Remember the id of a skill or tombstone that came after its author was blocked."""
        folder = self._root / author / "refused"
        if len(file_names(folder)) < MAX_MARKS:
            self._ops.make_folder(folder)
            write_atomic(folder / content, b"", ops=self._ops, durable=False)

    def _withhold(self, index: Index, authors: Iterable[str]) -> None:
        """Move the files of authors here, after dropping them from the index.

        If the process is killed in between, the index gets them back at the next opening, and the
        bank calls this again.
        """
        for author in authors:
            skills, tombstones = index.ids_of(author), index.tombstones_of(author)
            index.update(drop=skills)
            if tombstones:
                index.update_tombstones(drop=tombstones)
            self._move_here(author, "skills", skills)
            self._move_here(author, "tombstones", tombstones)

    def _release(self, authors: Iterable[str]) -> bool:
        """Move the files of authors back; return whether there were any. The index follows."""
        moved = False
        for author in authors:
            for kind in _KINDS:
                moved |= self._move_back(author, kind)
            self._forget(self._root / author)
        return moved

    def _move_here(self, author: str, kind: str, names: Collection[str]) -> None:
        if not names:
            return
        folder, files = self._root / author / kind, self._files[kind]
        self._ops.make_folder(folder)
        for name in names:
            with suppress(FileNotFoundError):
                self._ops.rename(files.path(name), folder / files.path(name).name)
        self._ops.sync_folder(folder)
        self._ops.sync_folder(files.folder)

    def _move_back(self, author: str, kind: str) -> bool:
        folder, files = self._root / author / kind, self._files[kind]
        names = sorted(file_names(folder))
        for name in names:
            self._ops.rename(folder / name, files.folder / name)
        if names:
            self._ops.sync_folder(files.folder)
        return bool(names)

    def _forget(self, folder: Path) -> None:
        """Delete the marks and the empty folders of an author."""
        for name in file_names(folder / "refused"):
            self._ops.remove(folder / "refused" / name)
        for path in (*(folder / kind for kind in (*_KINDS, "refused")), folder):
            with suppress(OSError):  # not empty, or missing
                path.rmdir()
