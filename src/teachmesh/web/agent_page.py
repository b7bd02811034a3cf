"""Page and API of `teachmesh up`, with or without the packages of the extra `web`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from teachmesh.errors import MissingExtraError

if TYPE_CHECKING:
    from teachmesh.agent import Agent
    from teachmesh.agent.on_mesh.mesh_session import MeshSession
    from teachmesh.web.web_server import WebServer

Report = Callable[[dict[str, Any]], None]


class AgentPage:
    """The server of a running agent, and the events that its page shows.

    Without `prepare`, it only passes events on.

    Args:
        report: called with each event.
    """

    def __init__(self, report: Report) -> None:
        self._report = report
        self._server: WebServer | None = None
        self._missing = ""

    def prepare(self, agent: Agent, *, host: str, port: int | None, device: str) -> None:
        """Take the port; the server starts when the `with` block is entered.

        Args:
            agent: the agent.
            host: address to listen on.
            port: port; None for the default.
            device: device that the person chose for the agent.

        Raises:
            ConfigError: other machines reach the address, and there is no token for it; or the
                port is taken.
            NetworkError: the address cannot be used.
        """
        try:
            from teachmesh.web.web_server import WebServer
        except ImportError as error:
            self._missing = f"no page: {MissingExtraError(error.name or 'fastapi', 'web')}"
            return
        self._server = WebServer(agent, host=host, port=port, device=device)

    def let_join(self, session: MeshSession) -> None:
        """Let the person at the page join other agents.

        Args:
            session: sharing of the agent.
        """
        if self._server is not None:
            self._server.service.session = session

    def report(self, event: Mapping[str, Any]) -> None:
        """Pass an event of the node on, to the caller and to the page."""
        if self._server is not None:
            self._server.events.add(event)
        self._report(dict(event))

    def __enter__(self) -> AgentPage:
        if self._server is not None:
            self._server.__enter__()
            file = self._server.token_file
            where = {} if file is None else {"token_file": str(file)}
            self._report({"event": "web", "url": self._server.url, **where})
        elif self._missing:
            self._report({"event": "web", "message": self._missing})
        return self

    def __exit__(self, *_error: object) -> None:
        if self._server is not None:
            self._server.__exit__()

    def close(self) -> None:
        """Free the port, also if the `with` block was never entered; may be called twice."""
        if self._server is not None:
            self._server.close()
