"""Lists of ids, which are content with a hash like skills, and the ids that peers offer.

The digest in an agent's signed announcement is the hash of its list. So a list is checked like a
skill, and it does not matter who sent it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from teachmesh.sharing.messages import Announcement
from teachmesh.sharing.peers import Peer

Groups = dict[str, dict[str, Peer]]
"""Peers by agent id, for each digest of a list that they announce."""

MAX_IDS = 100_000
MAX_OFFERED_PER_LIST = 4096
MAX_OFFERED = 100_000
ID_BYTES = 65
"""Bytes of one id in a list."""
_LIST = re.compile(rb"(?:[0-9a-f]{64}\n)*")


def encode_ids(ids: Iterable[str]) -> bytes:
    """Return the list of ids: sorted, in ASCII, each followed by a line feed."""
    return "".join(f"{skill}\n" for skill in sorted(ids)).encode("ascii")


def digest_of(ids: Iterable[str]) -> str:
    """Return the hash of the list of ids, 64 hex digits."""
    return hashlib.sha256(encode_ids(ids)).hexdigest()


def decode_ids(data: bytes) -> list[str] | None:
    """Return the ids of a list in its order; None if it is too long or is no such list."""
    if len(data) > MAX_IDS * ID_BYTES or not _LIST.fullmatch(data):
        return None
    return data.decode("ascii").split()


_EMPTY = digest_of(())


@dataclass
class Offer:
    """Ids of one list that this agent lacks.

    Attributes:
        missing: the ids in the order of the list.
        is_complete: False if ids were left out, because there were too many.
        here: number of ids of the list that this agent has.
    """

    missing: dict[str, None]
    is_complete: bool
    here: int

    def cut(self, count: int) -> None:
        """Keep the first ids only."""
        if len(self.missing) > count:
            self.missing = dict.fromkeys(list(self.missing)[:count])
            self.is_complete = False


class Offers:
    """Missing ids of each list that a peer announces now, with a limited number of ids.

    A list may offer 4,096 ids. If all lists together offer more than 100,000, the longest are cut,
    so that every list keeps its fair part. Once the ids of a cut list have arrived, the list is
    forgotten, and is requested again for the others.
    """

    def __init__(self) -> None:
        self._offers: dict[str, Offer] = {}
        self._own: frozenset[str] = frozenset()
        self._own_digest = _EMPTY
        self._announced: frozenset[str] = frozenset()

    def __contains__(self, digest: str) -> bool:
        return digest in self._offers

    def missing(self, digest: str) -> dict[str, None]:
        """Return the missing ids of a list; empty if the list is not known."""
        offer = self._offers.get(digest)
        return {} if offer is None else offer.missing

    def all_missing(self) -> set[str]:
        """Return the missing ids of all lists."""
        return set().union(*(offer.missing for offer in self._offers.values()))

    def has_all(self, digest: str, waived: Collection[str]) -> bool:
        """Return whether a list and this agent differ in content only that is not wanted here.

        Args:
            digest: hash of the list.
            waived: ids that this agent does not want.
        """
        if digest in (self._own_digest, _EMPTY):
            return digest == self._own_digest
        offer = self._offers.get(digest)
        if offer is None or not offer.is_complete or offer.here < len(self._own):
            return False
        return all(item in waived for item in offer.missing)

    def put(self, digest: str, ids: Collection[str]) -> None:
        """Store the ids of a list, except those that this agent has; unless nobody announces it."""
        if digest not in self._announced:
            return
        missing = dict.fromkeys(i for i in ids if i not in self._own)
        offer = Offer(missing, is_complete=True, here=len(ids) - len(missing))
        offer.cut(MAX_OFFERED_PER_LIST)
        self._offers[digest] = offer
        self._share_out()

    def clear(self) -> None:
        """Forget all lists, so that they are requested again."""
        self._offers.clear()

    def drop(self, skill_id: str) -> None:
        """Remove an id from all lists."""
        for offer in self._offers.values():
            offer.missing.pop(skill_id, None)

    def refresh(
        self,
        own: frozenset[str],
        peers: Mapping[str, Peer],
        digest_in: Callable[[Announcement], str],
    ) -> Groups:
        """Forget lists that no peer announces any more, and ids that this agent has now.

        Args:
            own: ids that this agent has.
            peers: peers by agent id.
            digest_in: reads the digest of such a list from an announcement.

        Returns:
            The peers by the digest that they announce, without those that are equal to this agent.
        """
        groups: Groups = {}
        for agent_id, peer in peers.items():
            groups.setdefault(digest_in(peer.announcement), {})[agent_id] = peer
        self._own_digest = digest_of(own)
        for digest in (self._own_digest, _EMPTY):
            groups.pop(digest, None)
        if self._own - own:
            # A damaged skill was set aside, so any list may offer it again.
            self._offers.clear()
        new, self._own, self._announced = own - self._own, own, frozenset(groups)
        for digest in self._offers.keys() - self._announced:
            del self._offers[digest]
        for digest, offer in list(self._offers.items()):
            for skill_id in new & offer.missing.keys():
                del offer.missing[skill_id]
                offer.here += 1
            if not offer.missing and not offer.is_complete:
                del self._offers[digest]
        return groups

    def _share_out(self) -> None:
        if sum(len(offer.missing) for offer in self._offers.values()) <= MAX_OFFERED:
            return
        for offer in self._offers.values():
            offer.cut(MAX_OFFERED // len(self._offers))
