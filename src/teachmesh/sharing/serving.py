"""Answers to the requests of peers."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict

from teachmesh.errors import StorageError
from teachmesh.sharing.counters import Counters
from teachmesh.sharing.id_list import encode_ids
from teachmesh.sharing.inventory import Inventory
from teachmesh.sharing.list_exchange import ListDesk
from teachmesh.sharing.part_exchange import PartDesk
from teachmesh.sharing.supervisor import Supervisor
from teachmesh.sharing.transport import MAX_BODY_BYTES

SERVED_LISTS = 6
SERVED_BYTES = 16 << 20
"""Number and bytes of announced lists that are kept, so that peers with older news get theirs."""


class Server:
    """Serves the content of a bank; every method may be called from any thread.

    Args:
        inventory: the bank.
        counters: counters of traffic.
        supervisor: records unexpected errors.
        desk: answers requests for parts; None to answer none.
        lists: answers requests for this agent's quarantine list; None to answer none.
    """

    def __init__(
        self,
        inventory: Inventory,
        counters: Counters,
        supervisor: Supervisor,
        desk: PartDesk | None = None,
        lists: ListDesk | None = None,
    ) -> None:
        self._lists = lists
        self._desk = desk
        self._inventory = inventory
        self._counters = counters
        self._supervisor = supervisor
        self._lock = threading.Lock()
        self._served: OrderedDict[str, bytes] = OrderedDict()

    def keep(self, listed: bytes) -> str:
        """Keep a list that peers will request, also after the bank has changed; return its hash."""
        digest = hashlib.sha256(listed).hexdigest()
        with self._lock:
            self._served[digest] = listed
            self._served.move_to_end(digest)
            while len(self._served) > 1 and (
                len(self._served) > SERVED_LISTS
                or sum(map(len, self._served.values())) > SERVED_BYTES
            ):
                self._served.popitem(last=False)
        return digest

    def answer(self, kind: str, key: str) -> bytes | None:
        """Return content for a peer; None if it is missing."""
        try:
            body = self._body(kind, key)
        except StorageError:
            # The peer will try another source, or ask this agent again later.
            return None
        except Exception as error:  # noqa: BLE001 - reported; the peer gets no answer
            self._supervisor.record("serve", error)
            return None
        if body is None or len(body) > MAX_BODY_BYTES:
            return None
        self._counters.count_sent(len(body))
        return body

    def _body(self, kind: str, key: str) -> bytes | None:
        if kind == "ids":
            with self._lock:
                served = self._served.get(key)
            return self._list(key) if served is None else served
        if kind == "skill":
            return self._inventory.read(key) if key in self._inventory.ids() else None
        if kind == "part":
            return None if self._desk is None else self._desk.answer(key)
        if kind == "quarantine":
            return None if self._lists is None else self._lists.answer(key)
        if kind == "tombstone":
            return self._inventory.read_tombstone(key)
        return self._inventory.blob(key)

    def _list(self, digest: str) -> bytes | None:
        """Return the current list of skills or tombstones, if it has this digest."""
        for ids in (self._inventory.ids(), self._inventory.tombstones()):
            data = encode_ids(ids)
            if hashlib.sha256(data).hexdigest() == digest:
                return data
        return None
