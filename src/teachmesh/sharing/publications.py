"""Numbers of skills that authors announced, to notice that some of them are withheld."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass

from teachmesh.sharing.messages import Announcement

MAX_AUTHORS = 1024


@dataclass(frozen=True)
class Publication:
    """An author's own statement.

    Attributes:
        author: public key, 64 hex digits.
        alias: display name.
        published: number of skills that it published so far.
    """

    author: str
    alias: str
    published: int


class Publications:
    """Statements of authors, kept after they left; every method may be called from any thread.

    Relays cannot change an announcement, because it is signed by its author.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[str, Publication] = OrderedDict()

    def note(self, announcement: Announcement) -> None:
        """Record an announcement with a valid signature; numbers never fall."""
        author = announcement.author
        with self._lock:
            known = self._known.pop(author, None)
            published = max(announcement.published, known.published if known else 0)
            self._known[author] = Publication(author, announcement.alias, published)
            if len(self._known) > MAX_AUTHORS:
                self._known.popitem(last=False)

    def all(self) -> tuple[Publication, ...]:
        """Return the statements, sorted by author."""
        with self._lock:
            return tuple(self._known[author] for author in sorted(self._known))
