"""A run of an agent that can join other agents while it runs, because sharing can start again.

Zenoh connects to the endpoints that it is given on opening, and an invite changes the certificates.
So the node ends and another one starts; whatever else the process does goes on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from teachmesh.agent.on_mesh.mesh_invites import join_meshes
from teachmesh.errors import NetworkError
from teachmesh.sharing.invite_code import is_invite

if TYPE_CHECKING:
    from teachmesh.agent.known_skills.bank_view import BankView
    from teachmesh.agent.on_mesh.node import Node

_TRIES = 10
_PAUSE_S = 1.0
"""Seconds between tries to start again, because a port may be free only a moment later."""


class MeshSession:
    """Sharing of an agent, to be used in a `with` statement.

    Args:
        agent: the agent.
        join: endpoints and invites with which it starts.
        share: returns a node that is not running yet, for endpoints to join.
        on_event: called with an event after an invite was used.

    Raises:
        TeachmeshError: the error of `share`.
    """

    def __init__(
        self,
        agent: BankView,
        join: Sequence[str],
        share: Callable[[Sequence[str]], Node],
        on_event: Callable[[dict[str, Any]], None],
    ) -> None:
        self._agent = agent
        self._share = share
        self._on_event = on_event
        self._lock = threading.Lock()
        self._asked = threading.Event()
        self._joins = join_meshes(agent, join, on_event)
        self._waiting: Node | None = share(self._joins)
        self._node: Node | None = None

    def __enter__(self) -> MeshSession:
        node, self._waiting = self._waiting or self._share(self._joins), None
        self._node = node.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        node, self._node = self._node, None
        if node is not None:
            node.__exit__(*error)

    def join(self, text: str) -> tuple[str, ...]:
        """Join other agents soon; `run` does so as soon as it only waits.

        With an invite, the agent leaves the mesh in which it is.

        Args:
            text: an endpoint of an agent, or an invite of one.

        Returns:
            Endpoints of the other agent.

        Raises:
            NetworkError: the text is not valid, or the invite is refused; nothing has changed then.
            ConfigError: the agent is in no mesh, and the endpoint needs one.
        """
        with self._lock:
            found = join_meshes(self._agent, (text.strip(),), self._on_event)
            kept = () if is_invite(text) else self._joins
            joins = tuple(dict.fromkeys((*kept, *found)))
            self._share(joins)  # checks the endpoints, as long as the old node runs
            self._joins = joins
            self._asked.set()
        return found

    def run(self, tasks: Sequence[Path], stop: threading.Event, **options: Any) -> None:
        """Learn tasks, then share until `stop` is set; see `Node.run` for arguments and errors."""
        self._run(tasks, stop, options)
        while self._asked.is_set() and not stop.is_set():
            self._start_again(stop)
            self._run((), stop, options)

    def _run(self, tasks: Sequence[Path], stop: threading.Event, options: dict[str, Any]) -> None:
        if self._node is not None:
            self._node.run(tasks, _StopOrJoin(stop, self._asked), **options)

    def _start_again(self, stop: threading.Event) -> None:
        self.__exit__(None, None, None)
        with self._lock:
            self._asked.clear()
            joins = self._joins
        for rest in reversed(range(_TRIES)):
            try:
                self._node = self._share(joins).__enter__()
                return
            except NetworkError:
                if not rest or stop.wait(_PAUSE_S):
                    raise


class _StopOrJoin(threading.Event):
    """Ends the waiting of a node when it must stop or join; learning ends for stopping only."""

    def __init__(self, stop: threading.Event, join: threading.Event) -> None:
        super().__init__()
        self._stop = stop
        self._join = join

    def is_set(self) -> bool:
        return self._stop.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        return self._join.is_set() or self._stop.wait(timeout)
