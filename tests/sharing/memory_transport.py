"""A network inside one process, with links that can be cut: for tests and simulations."""

from __future__ import annotations

import threading

from teachmesh.sharing.transport import (
    MAX_ANNOUNCEMENT_BYTES,
    MAX_BODY_BYTES,
    Handler,
    Transport,
    is_address,
)


class Hub:
    """All agents of one simulated network.

    Links are symmetric; every pair is linked unless it was cut.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._handlers: dict[str, Handler] = {}
        self._cut: set[frozenset[str]] = set()

    def cut(self, one: str, other: str) -> None:
        """Cut the link between two agents."""
        with self._lock:
            self._cut.add(frozenset((one, other)))

    def heal(self, one: str, other: str) -> None:
        """Mend the link between two agents."""
        with self._lock:
            self._cut.discard(frozenset((one, other)))

    def join(self, agent_id: str, handler: Handler) -> None:
        """Register an agent."""
        with self._lock:
            self._handlers[agent_id] = handler

    def leave(self, agent_id: str) -> None:
        """Forget an agent."""
        with self._lock:
            self._handlers.pop(agent_id, None)

    def reachable(self, agent_id: str) -> dict[str, Handler]:
        """The agents that another one is linked to."""
        with self._lock:
            return {
                other: handler
                for other, handler in self._handlers.items()
                if other != agent_id and frozenset((agent_id, other)) not in self._cut
            }


class InMemoryTransport(Transport):
    """A transport over a `Hub`.

    Args:
        hub: the simulated network.
        agent_id: id of this agent.
    """

    def __init__(self, hub: Hub, agent_id: str) -> None:
        self._hub = hub
        self._agent_id = agent_id
        self._started = False

    def start(self, handler: Handler) -> None:
        """Join the hub."""
        self._hub.join(self._agent_id, handler)
        self._started = True

    def announce(self, data: bytes) -> None:
        """Deliver to every linked agent at once."""
        if not self._started or len(data) > MAX_ANNOUNCEMENT_BYTES:
            return
        for handler in self._hub.reachable(self._agent_id).values():
            handler.on_announcement(data)

    def request(self, agent_id: str, kind: str, key: str, timeout_s: float) -> bytes | None:
        """Ask a linked agent; a simulated peer answers at once, `timeout_s` only bounds zero."""
        if not self._started or timeout_s <= 0 or not is_address(agent_id, kind, key):
            return None
        handler = self._hub.reachable(self._agent_id).get(agent_id)
        body = None if handler is None else handler.on_request(kind, key)
        return None if body is None or len(body) > MAX_BODY_BYTES else body

    def endpoints(self) -> tuple[str, ...]:
        """A name for people."""
        return (f"memory/{self._agent_id}",)

    def close(self) -> None:
        """Leave the hub."""
        self._hub.leave(self._agent_id)
        self._started = False
