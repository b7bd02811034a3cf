"""Pull missing skills and tombstones from any peer that has them, and check them by hash.

A slow, silent or lying peer delays only the requests made to it:

- A request that is overdue (`response_times`) is repeated with one other peer, then with two more,
  then with four more. The first right answer counts.
- Requests are limited per peer and in all (`in_flight`).
- Peers that delivered good skills are asked first. Peers that failed come last, and are asked less
  and less often (`back_off`).
- Skills are pulled from the lists of all peers in turn, so a long list does not delay a short one.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from operator import attrgetter

from teachmesh.errors import SkillDeferred, SkillRefused, StorageError, TeachmeshError
from teachmesh.sharing.back_off import BackOff
from teachmesh.sharing.counters import Counters
from teachmesh.sharing.id_list import Groups, Offers, decode_ids
from teachmesh.sharing.in_flight import MAX_PER_PEER, InFlight, Request
from teachmesh.sharing.inventory import Inventory
from teachmesh.sharing.messages import Announcement
from teachmesh.sharing.peers import Peer, PeerTable
from teachmesh.sharing.rate_limit import Rate
from teachmesh.sharing.response_times import ResponseTimes
from teachmesh.sharing.runtime import Runtime
from teachmesh.sharing.sync_progress import Gap, Progress

_log = logging.getLogger(__name__)
MAX_REFUSED = 10_000
STRANGE_LISTS_PER_S = 32
"""Requests per second for lists of ids of peers that are not proven, and at once."""
STRANGE_LISTS = 64
# Candidates per list and per round, so that very long lists of ids cannot block the planner.
_MAX_PER_LIST = 64
_MAX_CANDIDATES = 256
# Reasons that never apply to an honest peer, whatever its backbones, limits or version.
_NEVER_HONEST = ("FORMAT", "HASH", "NAME", "SIGNATURE", "VALUE")
# Reasons that are decisions of a person about authors.
_NOT_WANTED = ("BLOCKED", "STRANGER")
_LATER = "LATER"
# Content that stands for all of it, while the disk is full: one request then tries for all others.
_ANYTHING = "*"
FULL_DISK_S = 10.0
"""Longest pause of requests while nothing can be saved."""
ITEMS = ("skill", "tombstone")


class Puller:
    """Plans requests and handles the answers; only one thread may call `plan`.

    Args:
        inventory: the bank.
        runtime: clock, random numbers and requests.
        peers: peers heard from recently.
        counters: counters of traffic and results.
        wake: called with a peer's id after each request to it, so that the next round is planned
            soon; with an empty text after another change.
        on_proven: called with a peer's id when it has delivered good content.
        on_refused: called with (id, reason, message) when a skill or tombstone is refused.
        on_error: called with an unexpected error of an answer's handling.
        on_unsaved: called with the reason when nothing can be saved, once until something is saved.
    """

    def __init__(
        self,
        inventory: Inventory,
        runtime: Runtime,
        peers: PeerTable,
        counters: Counters,
        *,
        wake: Callable[[str], None],
        on_proven: Callable[[str], None],
        on_refused: Callable[[str, str, str], None] | None,
        on_error: Callable[[BaseException], None],
        on_unsaved: Callable[[str], None] | None = None,
    ) -> None:
        self._inventory = inventory
        self._runtime = runtime
        self._peers = peers
        self._counters = counters
        self._wake = wake
        self._on_proven = on_proven
        self._on_refused = on_refused
        self._on_error = on_error
        self._on_unsaved = on_unsaved
        self._is_unsaved = False
        self._lock = threading.Lock()
        self._parsing = threading.Lock()
        self._flight = InFlight()
        self._strange_lists = Rate(STRANGE_LISTS_PER_S, STRANGE_LISTS)
        self._offers = {kind: Offers() for kind in ITEMS}
        self._admitting: set[str] = set()
        self._refused: OrderedDict[str, str] = OrderedDict()
        self._back_off = BackOff(runtime.now_s)
        self._times = ResponseTimes()
        self._stopped = False

    def plan(self, *, only_proven: bool = False) -> float:
        """Start the requests that are due: new lists of ids, then skills, then tombstones.

        Args:
            only_proven: whether to plan for peers that have delivered good content only, which
                takes little time during a flood.

        Returns:
            Seconds until a request becomes overdue; infinite if none does.

        Raises:
            StorageError: the inventory cannot be read now.
            RuntimeError: a request cannot be started now.
        """
        peers = self._peers.current()
        self._back_off.forget(peers.keys())
        self._times.forget(peers.keys())
        skills, tombstones = self._inventory.ids(), self._inventory.tombstones()
        with self._lock:
            groups = {
                "skill": self._offers["skill"].refresh(skills, peers, attrgetter("digest")),
                "tombstone": self._offers["tombstone"].refresh(
                    tombstones, peers, attrgetter("tombstones")
                ),
            }
        if only_proven:
            groups = {kind: _proven(found) for kind, found in groups.items()}
        failures = self._back_off.failures()
        for kind in ITEMS:
            self._request_lists(kind, groups[kind], failures)
        self._request_items("skill", groups["skill"], failures)
        # The newer version of a task comes first, so that no answer lacks the task.
        self._request_items("tombstone", self._without_skills(groups), failures)
        now_s = self._runtime.now_s()
        with self._lock:
            delay_s = self._flight.next_overdue_s(now_s) - now_s
            return delay_s if self._strange_lists.has_room(now_s) else min(delay_s, 0.1)

    def refused(self) -> dict[str, str]:
        """Return the reason for each refused id; refused content is not pulled again."""
        with self._lock:
            return dict(self._refused)

    def progress(self) -> Progress:
        """Return the numbers of skills to fetch, without those that are refused."""
        with self._lock:
            missing = self._offers["skill"].all_missing() - self._refused.keys()
            return Progress(len(missing), len(missing & self._flight.requested("skill")))

    def gaps(self, peers: Mapping[str, Peer]) -> dict[str, Gap]:
        """Return the difference of each peer's skills to those of this agent."""
        with self._lock:
            return {agent_id: self._gap(peer) for agent_id, peer in peers.items()}

    def has_all(self, announcement: Announcement) -> bool:
        """Return whether a peer and this agent differ in content only that is not wanted here.

        Such content was removed here, or its author is blocked or was not invited.
        """
        with self._lock:
            waived = {item for item, reason in self._refused.items() if reason in _NOT_WANTED}
            return all(
                self._offers[kind].has_all(digest, waived)
                for kind, digest in zip(ITEMS, announcement.digests, strict=True)
            )

    def _gap(self, peer: Peer) -> Gap:
        offers, digest = self._offers["skill"], peer.announcement.digest
        if digest not in offers:
            return Gap(is_known=peer.announcement.count == 0)
        missing = offers.missing(digest)
        refused = Counter(self._refused[item] for item in missing if item in self._refused)
        return Gap(missing=len(missing) - refused.total(), refused=refused)

    def forget(self, skill_ids: Collection[str] | None = None) -> None:
        """Allow refused skills to be pulled again: the given ones, or all and unwanted ones."""
        with self._lock:
            for skill_id in list(self._refused if skill_ids is None else skill_ids):
                self._refused.pop(skill_id, None)
            if skill_ids is None:
                for offers in self._offers.values():
                    offers.clear()  # also content that was not wanted
        self._wake("")

    def stop(self) -> None:
        """Start no more requests."""
        with self._lock:
            self._stopped = True

    def _request_lists(self, kind: str, groups: Groups, failures: Counter[str]) -> None:
        """Request the lists of ids that peers announce: of proven peers and newcomers first."""

        def rank(digest: str) -> tuple[bool, int, float]:
            return min(
                (not peer.is_proven, failures[agent_id], -peer.first_s)
                for agent_id, peer in groups[digest].items()
            )

        with self._lock:
            unknown = [digest for digest in groups if digest not in self._offers[kind]]
        for digest in sorted(unknown, key=rank):
            if not self._has_room("ids", groups[digest]):
                return  # the others are less reliable
            self._ask("ids", digest, groups[digest], failures)

    def _request_items(self, kind: str, groups: Groups, failures: Counter[str]) -> None:
        """Request missing skills or tombstones, in turn from the lists of all peers."""
        offers = self._offers[kind]
        with self._lock:
            candidates = sorted(self._candidates(kind, groups, failures))
        chosen = list(dict.fromkeys(item for *_, item in candidates))[:_MAX_CANDIDATES]
        for item in chosen:
            with self._lock:
                agents = {
                    agent_id: peer
                    for digest, group in groups.items()
                    if item in offers.missing(digest)
                    for agent_id, peer in group.items()
                }
            if self._has_room(kind, agents):
                self._ask(kind, item, agents, failures)

    def _without_skills(self, groups: dict[str, Groups]) -> Groups:
        """Return the groups of the tombstones' lists, without peers whose skills are not here."""
        with self._lock:
            busy = {
                agent_id
                for digest, group in groups["skill"].items()
                for agent_id in group
                if digest not in self._offers["skill"]
                or next(self._due("skill", digest, group), None) is not None
            }
        left = {
            digest: {agent_id: peer for agent_id, peer in group.items() if agent_id not in busy}
            for digest, group in groups["tombstone"].items()
        }
        return {digest: group for digest, group in left.items() if group}

    def _has_room(self, kind: str, holders: dict[str, Peer]) -> bool:
        is_proven = any(peer.is_proven for peer in holders.values())
        with self._lock:
            return self._flight.has_room(kind, self._runtime.now_s(), is_proven=is_proven)

    def _candidates(
        self, kind: str, groups: Groups, failures: Counter[str]
    ) -> Iterator[tuple[int, bool, int, str]]:
        """Yield (failures, whether no holder is proven, place in the list, id) of missing items.

        Items of reliable peers come first; ids invented by a lying peer have to wait.
        """
        for digest, group in groups.items():
            fewest = min(failures[agent_id] for agent_id in group)
            is_unproven = not any(peer.is_proven for peer in group.values())
            due = itertools.islice(self._due(kind, digest, group), _MAX_PER_LIST)
            for place, item in enumerate(due):
                yield fewest, is_unproven, place, item

    def _due(self, kind: str, digest: str, group: Collection[str]) -> Iterator[str]:
        """Yield the ids of a list that may be requested now, or are being requested."""
        for item in self._offers[kind].missing(digest):
            if item in self._refused or item in self._admitting:
                continue
            if any(self._back_off.may_ask(agent_id, item) for agent_id in group):
                yield item

    def _ask(
        self, kind: str, content: str, holders: dict[str, Peer], failures: Counter[str]
    ) -> None:
        """Request content from as many further holders as are due now."""
        now_s = self._runtime.now_s()
        with self._lock:
            running = self._flight.of(content)
            if self._stopped or any(now_s < request.overdue_s for request in running):
                return
            asked = {request.agent_id for request in running}
            free = [
                agent_id
                for agent_id in self._ranked(holders, failures, now_s)
                if agent_id not in asked and self._back_off.may_ask(agent_id, content)
            ]
            for agent_id in free[: max(1, len(running))]:
                if not self._is_possible(kind, content, holders[agent_id], now_s):
                    return
                self._start(kind, content, agent_id, now_s)

    def _ranked(self, holders: dict[str, Peer], failures: Counter[str], now_s: float) -> list[str]:
        """Sort the holders: prompt, proven, reliable and idle ones first, equal ones at random."""
        busy, overdue = self._flight.per_peer(), self._flight.overdue_peers(now_s)
        rank = {
            agent_id: (
                agent_id in overdue,
                not peer.is_proven,
                failures[agent_id],
                busy[agent_id],
                self._runtime.random.random(),
            )
            for agent_id, peer in sorted(holders.items())
            if busy[agent_id] < MAX_PER_PEER
        }
        return sorted(rank, key=rank.__getitem__)

    def _is_possible(self, kind: str, content: str, peer: Peer, now_s: float) -> bool:
        if not self._flight.has_room(kind, now_s, is_proven=peer.is_proven):
            return False
        if kind == "ids" and not peer.is_proven and not self._strange_lists.spend(now_s):
            return False
        if kind != "ids" and self._back_off.is_held(_ANYTHING):
            return False
        if kind != "ids" and not self._inventory.wants(content):
            self._offers[kind].drop(content)
            return False
        return True

    def _start(self, kind: str, content: str, agent_id: str, now_s: float) -> None:
        _log.debug("request %s %s from %s", kind, content[:12], agent_id)
        overdue_s = now_s + self._times.deadline_s((agent_id, kind))
        self._flight.add(Request(kind, content, agent_id, now_s, overdue_s))
        handle = partial(self._handle, kind, content, agent_id)
        try:
            timeout_s = self._times.timeout_s((agent_id, kind))
            self._runtime.request(agent_id, kind, content, timeout_s, handle)
        except RuntimeError:
            self._flight.end(content, agent_id)
            raise

    def _handle(self, kind: str, content: str, agent_id: str, data: bytes | None) -> None:
        """Handle the answer to a request; may run in any thread."""
        try:
            self._counters.count_received(len(data or b""))
            if data is None:
                self._blame(kind, content, agent_id)
            elif hashlib.sha256(data).hexdigest() != content:
                _log.warning("%s sent wrong bytes for %s %s", agent_id, kind, content[:12])
                self._counters.count_refused("HASH")
                self._back_off.failed(agent_id, content)
            else:
                self._record_time(content, agent_id)
                if kind == "ids":
                    self._take_list(content, agent_id, data)
                else:
                    self._take_item(kind, content, agent_id, data)
        except Exception as error:  # noqa: BLE001 - reported; one answer must not end sharing
            self._back_off.hold(content)
            self._on_error(error)
        finally:
            with self._lock:
                self._flight.end(content, agent_id)
            self._wake(agent_id)

    def _blame(self, kind: str, content: str, agent_id: str) -> None:
        """Record a missing answer, unless the peer has announced another list since."""
        _log.debug("no answer for %s %s from %s", kind, content[:12], agent_id)
        peer = self._peers.current().get(agent_id)
        if kind != "ids" or (peer is not None and peer.announcement.digest == content):
            self._times.record_silence((agent_id, kind))
            self._back_off.failed(agent_id, content, is_lie=False)

    def _record_time(self, content: str, agent_id: str) -> None:
        now_s = self._runtime.now_s()
        with self._lock:
            (request,) = [r for r in self._flight.of(content) if r.agent_id == agent_id]
        self._times.record((agent_id, request.kind), now_s - request.started_s)

    def _take_list(self, digest: str, agent_id: str, data: bytes) -> None:
        """Store the ids of a list that has the announced digest."""
        with self._parsing:  # one at a time, because a long list takes much memory
            ids = decode_ids(data)
            if ids is None:
                self._back_off.failed(agent_id, digest)
                return
            with self._lock:
                for offers in self._offers.values():
                    offers.put(digest, ids)
        self._back_off.succeeded(agent_id, digest, is_skill=False)

    def _take_item(self, kind: str, item: str, agent_id: str, data: bytes) -> None:
        """Admit content that has the right hash, unless another peer has delivered it already."""
        with self._lock:
            if item in self._admitting or item in self._refused:
                return
            self._admitting.add(item)
        try:
            reason = self._admit(kind, item, data)
        finally:
            with self._lock:
                self._admitting.discard(item)
        if reason in _NEVER_HONEST:
            self._back_off.failed(agent_id, item)
            return
        self._back_off.succeeded(agent_id, item, is_skill=True)
        if reason is None:
            self._peers.prove(agent_id)
            self._on_proven(agent_id)

    def _admit(self, kind: str, item: str, data: bytes) -> str | None:
        """Pass the bytes to the inventory; return the reason if they were not admitted."""
        # Hold the content first, so that no error can cause an endless loop of pulls.
        self._back_off.hold(item)
        try:
            self._save(kind, item, data)
        except SkillRefused as refusal:
            self._back_off.release(item)
            self._refuse(item, refusal)
            return refusal.reason
        except SkillDeferred as deferral:
            self._counters.count_deferred()
            self._back_off.hold(item, deferral.wait_s)
            return _LATER
        except StorageError as error:  # not the peer's fault, such as a full disk
            self._back_off.hold(item, 0.0)
            self._back_off.hold(_ANYTHING, longest_s=FULL_DISK_S)
            self._note_saving(str(error))
            return _LATER
        except TeachmeshError:
            return _LATER
        self._back_off.release(item)
        self._back_off.release(_ANYTHING)
        self._note_saving("")
        return None

    def _note_saving(self, problem: str) -> None:
        """Report the first problem of saving since something was saved."""
        with self._lock:
            is_new, self._is_unsaved = bool(problem) and not self._is_unsaved, bool(problem)
        if is_new and self._on_unsaved is not None:
            self._on_unsaved(problem)

    def _save(self, kind: str, item: str, data: bytes) -> None:
        if kind == "tombstone":
            if item not in self._inventory.tombstones():
                self._inventory.admit_tombstone(item, data)
                self._counters.count_tombstone()
        elif item not in self._inventory.ids():
            self._inventory.admit(item, data)
            self._counters.count_admitted()

    def _refuse(self, skill_id: str, refusal: SkillRefused) -> None:
        """Remember a refusal: the bytes of an id never change."""
        with self._lock:
            self._refused[skill_id] = refusal.reason
            if len(self._refused) > MAX_REFUSED:
                self._refused.popitem(last=False)
        self._counters.count_refused(refusal.reason)
        if self._on_refused is not None:
            self._on_refused(skill_id, refusal.reason, str(refusal))


def _proven(groups: Groups) -> Groups:
    """Return the groups with at least one peer that has delivered good content."""
    return {
        digest: group
        for digest, group in groups.items()
        if any(peer.is_proven for peer in group.values())
    }
