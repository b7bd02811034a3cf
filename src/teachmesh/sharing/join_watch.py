"""Watch the endpoints that an agent joins: connected or not, and the reason."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from teachmesh.sharing.own_addresses import split_endpoint

_NO_AGENT = ("no agent answers there", "no agent of this mesh answers there")
LOOK_S = 0.5
PROBE_TIMEOUT_S = 2.0
LONGEST_PAUSE_S = 5.0


@dataclass(frozen=True)
class Link:
    """A connection to another agent.

    Attributes:
        endpoint: the other side, such as "tcp/192.168.1.20:7447".
        is_outgoing: whether this agent connected, so that the other one listens there.
    """

    endpoint: str
    is_outgoing: bool

    @property
    def address(self) -> str:
        """Host and port of the other side."""
        return self.endpoint.partition("/")[2]


@dataclass(frozen=True)
class JoinState:
    """State of an endpoint that this agent joins.

    Attributes:
        endpoint: the endpoint.
        is_joined: whether it is connected.
        reason: reason why it is not, for people; empty if it is.
    """

    endpoint: str
    is_joined: bool
    reason: str = ""


class JoinWatch:
    """Finds out in a thread of its own which endpoints are connected.

    The transport itself keeps trying to connect. Names and reasons are looked up here, because
    both may take seconds.

    Args:
        endpoints: the endpoints, in Zenoh's notation.
        links: returns the connections of the transport.
    """

    def __init__(self, endpoints: Sequence[str], links: Callable[[], Sequence[Link]]) -> None:
        self._endpoints = tuple(dict.fromkeys(endpoints))
        self._links = links
        self._lock = threading.Lock()
        self._states: dict[str, JoinState] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="join-watch", daemon=True)

    def start(self) -> None:
        """Start the thread, unless there is nothing to watch."""
        if self._endpoints:
            self._thread.start()

    def stop(self) -> None:
        """End the thread soon; it is not waited for, because a look-up may hang."""
        self._stopping.set()

    def states(self) -> tuple[JoinState, ...]:
        """Return the states that are known so far, in the order of the endpoints."""
        with self._lock:
            return tuple(self._states[e] for e in self._endpoints if e in self._states)

    def look(self) -> bool:
        """Look at each endpoint once; return whether all are connected."""
        for endpoint in self._endpoints:
            try:
                state = self._state_of(endpoint)
            # The thread must not end silently; people read the error as the reason.
            except Exception as error:  # noqa: BLE001
                state = JoinState(endpoint, is_joined=False, reason=f"{error!r:.100}")
            if self._stopping.is_set():
                return False
            with self._lock:
                self._states[endpoint] = state
        return all(state.is_joined for state in self.states())

    def _run(self) -> None:
        pause_s = LOOK_S
        while not self._stopping.wait(pause_s):
            is_well = self.look()
            pause_s = LOOK_S * 2 if is_well else min(2 * pause_s, LONGEST_PAUSE_S)

    def _state_of(self, endpoint: str) -> JoinState:
        protocol, host, port = split_endpoint(endpoint)
        try:
            kind = socket.SOCK_DGRAM if protocol == "quic" else socket.SOCK_STREAM
            found = socket.getaddrinfo(host.strip("[]"), int(port), type=kind)
        except (OSError, UnicodeError) as error:  # names may be too long for IDNA
            reason = getattr(error, "strerror", None) or "unknown name"
            return JoinState(endpoint, is_joined=False, reason=reason)
        addresses = {_text(where[4]) for where in found}
        links = self._links()
        if any(link.is_outgoing and link.address in addresses for link in links):
            return JoinState(endpoint, is_joined=True)
        if protocol == "quic":
            return JoinState(endpoint, is_joined=False, reason="no answer")
        reason = self._probe(host.strip("[]"), int(port))
        hosts = {address.rpartition(":")[0] for address in addresses}
        # The other agent may have connected first; then there is no second connection.
        is_back = any(link.address.rpartition(":")[0] in hosts for link in links)
        if not reason and is_back:
            return JoinState(endpoint, is_joined=True)
        return JoinState(endpoint, is_joined=False, reason=reason or _NO_AGENT[protocol == "tls"])

    def _probe(self, host: str, port: int) -> str:
        """Return why nothing listens at an address; empty if something does."""
        try:
            with socket.create_connection((host, port), PROBE_TIMEOUT_S):
                return ""
        except TimeoutError:
            return "no answer"
        except OSError as error:
            return (error.strerror or "no connection").lower()


def _text(address: tuple[object, ...]) -> str:
    host, port = str(address[0]), address[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def endpoint_of(locator: str) -> str:
    """Return the endpoint of one of Zenoh's locators.

    >>> endpoint_of("tcp/127.0.0.1:7447#iface=lo")
    'tcp/127.0.0.1:7447'
    """
    return re.split("[?#]", locator)[0]
