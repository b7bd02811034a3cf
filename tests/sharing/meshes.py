"""Networks for tests, over memory and over Zenoh."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable

from teachmesh.errors import TeachmeshError
from teachmesh.packet.signing import AgentKey, agent_id
from teachmesh.sharing.gossip import Gossip
from teachmesh.sharing.mesh_certificates import tls_identity
from teachmesh.sharing.transport import Handler, Transport
from teachmesh.sharing.zenoh_transport import ZenohTransport
from tests.sharing.inventories import BytesInventory
from tests.sharing.memory_transport import Hub, InMemoryTransport

INTERVAL_S = 0.2
NOT_YET = (LookupError, ValueError, OSError, TeachmeshError)
"""Errors of conditions that look at a moment in between, such as a file that is replaced."""


def key_of(name: str) -> AgentKey:
    """The same key for a name every time."""
    return AgentKey(name.encode().ljust(32, b"."))


def id_of_agent(name: str) -> str:
    """The short id of a name's key."""
    return agent_id(key_of(name).public_key)


def wait_until(condition: Callable[[], bool], what: str, timeout_s: float = 100.0) -> None:
    """Poll until something holds; fail with its name when it does not, and with its last error.

    Args:
        condition: what to wait for; an error of `NOT_YET` means that it does not hold yet.
        what: name of the condition.
        timeout_s: limit in seconds. A machine may stop a thread for seconds, so it is generous.
    """
    deadline_s = time.monotonic() + timeout_s
    while True:
        error: Exception | None = None
        try:
            if condition():
                return
        except NOT_YET as caught:
            error = caught
        if time.monotonic() > deadline_s:
            raise AssertionError(f"did not happen in {timeout_s} s: {what}") from error
        time.sleep(0.01)


def own_threads() -> list[str]:
    """Threads of sharing that are alive."""
    return [t.name for t in threading.enumerate() if t.name.startswith("teachmesh")]


class RepeatingTransport(Transport):
    """Sends every broadcast several times, like a network with duplicates."""

    def __init__(self, inner: Transport, times: int) -> None:
        self._inner = inner
        self._times = times

    def start(self, handler: Handler) -> None:
        """See `Transport`."""
        self._inner.start(handler)

    def announce(self, data: bytes) -> None:
        """Broadcast several times."""
        for _ in range(self._times):
            self._inner.announce(data)

    def request(self, agent_id: str, kind: str, key: str, timeout_s: float) -> bytes | None:
        """See `Transport`."""
        return self._inner.request(agent_id, kind, key, timeout_s)

    def endpoints(self) -> tuple[str, ...]:
        """See `Transport`."""
        return self._inner.endpoints()

    def close(self) -> None:
        """See `Transport`."""
        self._inner.close()


class Mesh(ABC):
    """Agents that know each other; every one is closed at the end."""

    def __init__(self) -> None:
        self._gossips: list[Gossip] = []
        self._transports: list[Transport] = []

    @abstractmethod
    def make_transport(self, name: str, *, at_the_side: bool = False) -> Transport:
        """Return a transport that joins the first agent only."""

    def transport(self, name: str) -> Transport:
        """A bare transport, for agents that follow no protocol."""
        transport = self.make_transport(name)
        self._transports.append(transport)
        return transport

    def agent(
        self,
        name: str,
        inventory: BytesInventory,
        *,
        at_the_side: bool = False,
        interval_s: float = INTERVAL_S,
        times: int = 1,
    ) -> Gossip:
        """Start an agent in this network that sends every broadcast so many times."""
        transport = self.make_transport(name, at_the_side=at_the_side)
        if times > 1:
            transport = RepeatingTransport(transport, times)
        gossip = Gossip(inventory, transport, key_of(name), alias=name, interval_s=interval_s)
        self._gossips.append(gossip)
        gossip.start()
        return gossip

    def close(self) -> None:
        """Close every agent."""
        for part in (*self._gossips, *self._transports):
            part.close()


class MemoryMesh(Mesh):
    def __init__(self) -> None:
        super().__init__()
        self.hub = Hub()
        self._sides: list[str] = []

    def make_transport(self, name: str, *, at_the_side: bool = False) -> Transport:
        """See `Mesh`."""
        if at_the_side:
            for other in self._sides:
                self.hub.cut(id_of_agent(name), id_of_agent(other))
            self._sides.append(name)
        return InMemoryTransport(self.hub, id_of_agent(name))


class ZenohMesh(Mesh):
    """A mesh over Zenoh, encrypted if it has a key."""

    def __init__(self, key: AgentKey | None = None) -> None:
        super().__init__()
        self._key = key
        self._seed: Transport | None = None

    def make_transport(self, name: str, *, at_the_side: bool = False) -> Transport:
        """See `Mesh`."""
        # Who listens nowhere is only linked to those that it joins itself.
        tls = None if self._key is None else tls_identity(key_of(name), self._key)
        listen = () if at_the_side else ("127.0.0.1:0" if tls is None else "tls/127.0.0.1:0",)
        join = self._seed.endpoints() if self._seed else ()
        transport = ZenohTransport(id_of_agent(name), listen=listen, join=join, tls=tls)
        self._seed = self._seed or transport
        return transport
