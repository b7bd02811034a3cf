"""File of a home with quarantine lists: that of this agent, and those of trusted agents."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from teachmesh.bank.shared_file import SharedFile, Stamp
from teachmesh.errors import SkillRefused
from teachmesh.packet.quarantine_list import LIST_BYTES, QuarantineList, read_list

SCHEMA = "teachmesh.known-lists/1"
MAX_LISTS = 32
"""Number of lists that are kept."""
Lists = Mapping[str, QuarantineList]
"""Lists by the public key of their author."""


class KnownLists:
    """The newest list of each author, which several processes may read and change.

    All methods raise StorageError if the file cannot be read or written. A damaged file counts as
    missing: the lists are then requested again.

    Args:
        path: path of the file, in an existing folder.
    """

    def __init__(self, path: Path) -> None:
        self._file = SharedFile(path, max_bytes=MAX_LISTS * (LIST_BYTES + 4096))
        self._known: tuple[Stamp | None, Lists] = (None, {})

    def stamp(self) -> Stamp | None:
        """Return a value that differs after every change; None without a file."""
        return self._file.stamp()

    def read(self) -> Lists:
        """Return the lists by author."""
        stamp = self.stamp()
        if stamp != self._known[0]:
            self._known = stamp, {} if stamp is None else _parsed(self._file.read())
        return self._known[1]

    def put(self, new: QuarantineList, keeps: Callable[[str], bool]) -> bool:
        """Save a list that is newer than the known one of its author; return whether it was saved.

        Args:
            new: the list.
            keeps: returns whether to keep the list of another author.
        """
        with self._file.locked():
            lists = self.read()
            others = {a: one for a, one in lists.items() if a != new.author and keeps(a)}
            known = lists.get(new.author)
            if len(others) >= MAX_LISTS or (known and known.sequence >= new.sequence):
                return False
            texts = [one.data.decode() for one in (*others.values(), new)]
            document = {"schema": SCHEMA, "lists": sorted(texts)}
            self._file.write_bytes(json.dumps(document, separators=(",", ":")).encode())
            return True


def _parsed(document: object) -> Lists:
    """Return the lists of a document; their signatures are checked again."""
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        return {}
    texts = document.get("lists")
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        return {}
    try:
        found = [read_list(text.encode()) for text in texts[:MAX_LISTS]]
    except SkillRefused:
        return {}
    return {one.author: one for one in found}
