"""One HTTP request over a socket. `http.client` takes longer to import than an agent to answer.

A request of HTTP/1.0 ends the connection, so its answer is neither in chunks nor followed by more.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from contextlib import closing

_CONNECT_S = 2.0
_ANSWER_S = 120.0
_PART_BYTES = 1 << 16


def request(
    place: tuple[str, int], method: str, path: str, body: bytes, headers: Mapping[str, str]
) -> tuple[int, bytes]:
    """Send a request; return status and body of the answer.

    Args:
        place: address and port of the server.
        method: HTTP method.
        path: path of the URL, quoted.
        body: body of the request; may be empty.
        headers: further headers.

    Raises:
        OSError: nobody answers, or not in time.
        ValueError: the answer is not one of HTTP, or is cut.
        KeyError: the answer has no length.
    """
    host = f"[{place[0]}]" if ":" in place[0] else place[0]
    lines = [
        f"{method} {path} HTTP/1.0",
        f"Host: {host}:{place[1]}",
        f"Content-Length: {len(body)}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    head = "\r\n".join([*lines, "", ""]).encode("ascii")
    with closing(socket.socket(socket.AF_INET6 if ":" in place[0] else socket.AF_INET)) as found:
        found.settimeout(_CONNECT_S)
        found.connect(place)
        found.settimeout(_ANSWER_S)
        found.sendall(head + body)
        return _read(_all_of(found))


def _all_of(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(_PART_BYTES), b""))


def _read(answer: bytes) -> tuple[int, bytes]:
    r"""Return status and body of an answer, whose length is checked.

    >>> _read(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
    (200, b'{}')
    """
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    version, _, rest = first.partition(" ")
    headers = dict(line.lower().split(":", 1) for line in lines)
    if not version.startswith("HTTP/1.") or int(headers["content-length"]) != len(body):
        raise ValueError(f"expected an answer of HTTP, got {first[:80]!r}")
    return int(rest[:3]), body
