"""Endpoints of a run: given ones, those of earlier runs, and the agents of this machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from teachmesh.bank.agents_here import AgentsHere
from teachmesh.bank.known_endpoints import KnownEndpoints
from teachmesh.errors import NetworkError
from teachmesh.sharing.own_addresses import is_free, with_protocol

if TYPE_CHECKING:
    from teachmesh.sharing.join_watch import JoinState
    from teachmesh.sharing.transport import Transport


class RunEndpoints:
    """Endpoints that an agent listens on and joins.

    Args:
        home: the agent's home folder.
        listen: endpoints to listen on, as the user wrote them.
        join: endpoints of other agents.
        remember: whether to join agents of earlier runs, and to choose the same free ports again.
        fits: returns whether an endpoint of an earlier run may be joined now.

    Attributes:
        listen: endpoints to listen on, with the port of the last run for port 0 if it is free.
        join: endpoints of other agents, also those of earlier runs.
    """

    def __init__(
        self,
        home: Path,
        listen: Sequence[str] = (),
        join: Sequence[str] = (),
        *,
        remember: bool = False,
        fits: Callable[[str], bool] = lambda _: True,
    ) -> None:
        self._home = home
        self._asked = tuple(listen)
        self._given = {with_protocol(endpoint) for endpoint in join}
        self._known = KnownEndpoints(home) if remember else None
        self._here = AgentsHere()
        self.listen = tuple(map(self._same_port, listen))
        earlier = filter(fits, self._known.joined if self._known else [])
        self.join = tuple(dict.fromkeys([*join, *earlier]))

    def start(self, endpoints: Sequence[str]) -> None:
        """List this agent among those of this machine.

        Args:
            endpoints: endpoints that it listens on.
        """
        self._here.add(self._home, endpoints)

    def stop(self) -> None:
        """Remove this agent from the list."""
        self._here.remove(self._home)

    def shown(self, joins: Sequence[JoinState]) -> tuple[JoinState, ...]:
        """Return the states without endpoints of earlier runs that cannot be reached now."""
        return tuple(join for join in joins if join.is_joined or join.endpoint in self._given)

    def note(self, transport: Transport) -> None:
        """Remember the endpoints that work now.

        Raises:
            StorageError: they cannot be saved.
        """
        if self._known is None:
            return
        used = transport.endpoints()
        chosen = zip(self._asked, used, strict=False)
        self._known.note(
            [link.endpoint for link in transport.links() if link.is_outgoing],
            {asked: found for asked, found in chosen if asked.endswith(":0")},
        )

    def explained(self, error: NetworkError, endpoints: Sequence[str]) -> NetworkError:
        """Return an error that names the agent of this user that uses one of the endpoints."""
        for endpoint in endpoints:
            agent = self._here.using(endpoint.rpartition(":")[2])
            if agent is not None:
                return NetworkError(
                    f"could not listen on {endpoint}: the agent of {agent.home} (process "
                    f"{agent.pid}) listens there; stop it, or choose another port with --listen"
                )
        return error

    def _same_port(self, endpoint: str) -> str:
        before = self._known.listened.get(endpoint) if self._known else None
        return before if before is not None and is_free(before) else endpoint
