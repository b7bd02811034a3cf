"""A relay between two agents that records every byte."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType


class RecordingProxy:
    """Forwards connections to an endpoint, and records both directions.

    Args:
        endpoint: endpoint of the agent behind it, such as `tcp/127.0.0.1:7447`.
    """

    def __init__(self, endpoint: str) -> None:
        protocol, _, address = endpoint.partition("/")
        host, _, port = address.rpartition(":")
        self._target = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"{protocol}/127.0.0.1:{self._listener.getsockname()[1]}"
        self._lock = threading.Lock()
        self._links: list[socket.socket] = []
        self._streams: list[bytearray] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> RecordingProxy:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._listener.close()
        for link in self._links:
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)
            link.close()

    def recorded(self) -> bytes:
        """Return all bytes so far, one direction of a connection after another."""
        with self._lock:
            return b"\n".join(bytes(stream) for stream in self._streams)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(self._target, 60)
                self._links += [near, far]
                for source, target in ((near, far), (far, near)):
                    stream = bytearray()
                    self._streams.append(stream)
                    threading.Thread(
                        target=self._forward, args=(source, target, stream), daemon=True
                    ).start()

    def _forward(self, source: socket.socket, target: socket.socket, stream: bytearray) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                with self._lock:
                    stream += data
                target.sendall(data)
