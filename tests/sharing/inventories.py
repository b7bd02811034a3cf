"""Banks of opaque bytes, whose ids are their hashes, and some that misbehave."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter

from teachmesh.errors import SkillRefused, StorageError


def id_of(data: bytes) -> str:
    """Return the SHA-256, as for skills."""
    return hashlib.sha256(data).hexdigest()


class BytesInventory:
    """A bank in memory.

    Attributes:
        reads: how often each id was served.
        admissions: how often each id was admitted.
        refuse: ids that are not admitted.
        unwanted: ids that are not fetched.
        full: how many more times saving fails.
        graves: tombstones by id.
    """

    def __init__(self, *items: bytes) -> None:
        self._lock = threading.Lock()
        self._items = {id_of(item): item for item in items}
        self.blobs: dict[str, bytes] = {}
        self.graves: dict[str, bytes] = {}
        self.reads: Counter[str] = Counter()
        self.admissions: Counter[str] = Counter()
        self.refuse: set[str] = set()
        self.unwanted: set[str] = set()
        self.full = 0

    def add(self, *items: bytes) -> None:
        """Put items in, as learning does."""
        with self._lock:
            self._items |= {id_of(item): item for item in items}

    def ids(self) -> frozenset[str]:
        """The ids, if they can be read."""
        with self._lock:
            return frozenset(self._items)

    def digest(self) -> str:
        """Hash of the list of ids."""
        return hashlib.sha256("".join(f"{i}\n" for i in sorted(self.ids())).encode()).hexdigest()

    def wants(self, skill_id: str) -> bool:
        """Return whether the skill is not in the list of unwanted ones."""
        return skill_id not in self.unwanted

    def read(self, skill_id: str) -> bytes | None:
        """Return the bytes for a peer."""
        with self._lock:
            self.reads[skill_id] += 1
            return self._items.get(skill_id)

    def admit(self, skill_id: str, data: bytes) -> None:
        """Save, refuse or fail, as configured."""
        if skill_id in self.refuse:
            raise SkillRefused("FORMAT", "refused on purpose")
        if self.full:
            self.full -= 1
            raise StorageError("the disk is full on purpose")
        assert id_of(data) == skill_id
        with self._lock:
            self.admissions[skill_id] += 1
        self.add(data)

    def tombstones(self) -> frozenset[str]:
        """The ids of the tombstones."""
        with self._lock:
            return frozenset(self.graves)

    def tombstone_digest(self) -> str:
        """Hash of the list of tombstones."""
        text = "".join(f"{i}\n" for i in sorted(self.tombstones()))
        return hashlib.sha256(text.encode()).hexdigest()

    def read_tombstone(self, tombstone_id: str) -> bytes | None:
        """Return the bytes for a peer."""
        with self._lock:
            return self.graves.get(tombstone_id)

    def admit_tombstone(self, tombstone_id: str, data: bytes) -> None:
        """Save the bytes; their content is the id of an item, which is then dropped and refused."""
        assert id_of(data) == tombstone_id
        with self._lock:
            self.graves[tombstone_id] = data
            self._items.pop(data.decode(), None)
            self.unwanted.add(data.decode())

    def blob(self, sha256: str) -> bytes | None:
        """Return a blob that was added by hand."""
        return self.blobs.get(sha256)


class LyingInventory(BytesInventory):
    """Serves wrong bytes."""

    def read(self, skill_id: str) -> bytes | None:
        """Return the bytes for a peer."""
        super().read(skill_id)
        return b"not what you asked for"


class FrozenInventory(BytesInventory):
    """Never answers until it is released."""

    def __init__(self, *items: bytes) -> None:
        super().__init__(*items)
        self.asked = threading.Event()
        self.released = threading.Event()

    def read(self, skill_id: str) -> bytes | None:
        """Return the bytes for a peer."""
        self.asked.set()
        self.released.wait(300)
        return super().read(skill_id)


class UnreadableInventory(BytesInventory):
    """Its database fails while `broken` is set."""

    def __init__(self, *items: bytes) -> None:
        super().__init__(*items)
        self.broken = threading.Event()

    def ids(self) -> frozenset[str]:
        """The ids, if they can be read."""
        if self.broken.is_set():
            raise StorageError("the database is locked on purpose")
        return super().ids()
