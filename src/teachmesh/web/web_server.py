"""Serve one agent over HTTP in a thread of its own."""

from __future__ import annotations

import os
import socket
import threading
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn

from teachmesh.errors import ConfigError, NetworkError
from teachmesh.web.access import TOKEN_FILE, TOKEN_VARIABLE, choose_access
from teachmesh.web.running_web import RunningWeb, WebAddress
from teachmesh.web.timed_protocol import TimedProtocol
from teachmesh.web.web_app import make_app
from teachmesh.web.web_limits import WebLimits
from teachmesh.web.web_service import WebService

if TYPE_CHECKING:
    from teachmesh.agent import Agent
    from teachmesh.web.event_log import EventLog

DEFAULT_PORT = 8765
_START_S = 20.0
_STOP_S = 5


class WebServer:
    """HTTP server of an agent, to be used in a `with` statement.

    Args:
        agent: the agent.
        host: address to listen on; one that other machines reach needs a token in the environment.
        port: port; None for 8765, or any free one if that is taken; 0 for any free one.
        device: device that the person chose for the agent.
        limits: limits of requests.

    Attributes:
        url: address of the page, known once the server runs.
        service: state of the server.

    Raises:
        ConfigError: there is no token for this address, or the port is taken.
        NetworkError: the address cannot be used.
    """

    def __init__(
        self,
        agent: Agent,
        *,
        host: str = "127.0.0.1",
        port: int | None = None,
        device: str = "auto",
        limits: WebLimits | None = None,
    ) -> None:
        access = choose_access(host, agent.home.path)
        self._socket = _listen(host, port)  # may fail; the service has threads
        self.service = WebService(agent, access, limits or WebLimits(), device)
        name = f"[{host}]" if ":" in host else host
        self.url = f"http://{name}:{self._socket.getsockname()[1]}/"
        self._file = RunningWeb(agent.home.path)
        config = uvicorn.Config(
            make_app(self.service),
            http=partial(TimedProtocol, limits=self.service.limits),  # type: ignore[arg-type]
            access_log=False,
            log_config=None,
            lifespan="off",
            server_header=False,
            timeout_keep_alive=10,
            timeout_graceful_shutdown=_STOP_S - 2,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, name="teachmesh-http", daemon=True)

    def __enter__(self) -> WebServer:
        self._thread.start()
        end_s = time.monotonic() + _START_S
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > end_s:
                raise NetworkError(f"could not serve {self.url}; choose another --web-port")
            time.sleep(0.01)
        self._file.write(WebAddress(self.url, self.service.access.token, os.getpid()))
        return self

    def __exit__(self, *_error: object) -> None:
        self._file.remove()
        self.service.close()
        self._server.should_exit = True
        self._thread.join(_STOP_S)
        self.close()

    def close(self) -> None:
        """Free the port and end all threads, also if the server never ran; may be called twice."""
        self.service.close()
        self._socket.close()

    @property
    def token_file(self) -> Path | None:
        """File of the home with the token; None if the token comes from the environment."""
        home = self.service.agent.home.path
        return None if os.environ.get(TOKEN_VARIABLE) else home / TOKEN_FILE

    @property
    def events(self) -> EventLog:
        """Log of events, to which the node's events are added."""
        return self.service.events

    def _run(self) -> None:
        self._server.run(sockets=[self._socket])


def _listen(host: str, port: int | None) -> socket.socket:
    """Return a socket that listens.

    Raises:
        ConfigError: the port is taken.
        NetworkError: the address cannot be used.
    """
    wanted = DEFAULT_PORT if port is None else port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With its protocol named, asyncio sends head and body of an answer at once, not 40 ms apart.
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _bind(made, host, wanted, may_move=port is None)
        made.listen(256)
    except OSError as error:
        made.close()
        reason = error.strerror or "the system refused"
        raise NetworkError(
            f"could not listen on {host}, port {wanted} ({reason}); choose another --web-port"
        ) from error
    except ConfigError:
        made.close()
        raise
    return made


def _bind(made: socket.socket, host: str, port: int, *, may_move: bool) -> None:
    import errno

    try:
        made.bind((host, port))
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        if not may_move:
            raise ConfigError(
                f"expected a free port, but port {port} is taken; choose another --web-port"
            ) from error
        made.bind((host, 0))
