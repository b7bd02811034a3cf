"""Endpoints of agents: their notation, and which of them must be encrypted."""

from __future__ import annotations

import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from teachmesh.errors import NetworkError, UsageError
from teachmesh.sharing.own_addresses import is_loopback

LOOPBACK = "127.0.0.1:0"
"""Any free port of this machine."""
_ENDPOINT = re.compile(r"(?:(tcp|tls|quic)/)?(\[[0-9a-fA-F:]+\]|[A-Za-z0-9_.-]+):(\d{1,5})")
_ENCRYPTED = ("tls", "quic")


@dataclass(frozen=True)
class Endpoints:
    """Endpoints of an agent, with protocols.

    Attributes:
        listen: endpoints to listen on.
        join: endpoints of other agents.
        encrypted: whether certificates are needed.
        insecure: whether plain connections are allowed everywhere.
    """

    listen: tuple[str, ...]
    join: tuple[str, ...]
    encrypted: bool
    insecure: bool = False

    def fits(self, endpoint: str) -> bool:
        """Return whether an endpoint of an earlier run may be joined together with these."""
        protocol, host, _ = _parts(endpoint)
        if self.encrypted:
            return protocol in _ENCRYPTED
        return protocol == "tcp" and (self.insecure or is_loopback(host))


def choose_protocols(
    listen: Sequence[str],
    join: Sequence[str],
    *,
    tls: bool = False,
    insecure: bool = False,
    earlier: Sequence[str] = (),
) -> Endpoints:
    """Add the protocol to endpoints without one: tls if any endpoint needs it, otherwise tcp.

    An endpoint needs encryption unless its host is this machine's loopback address. An agent never
    has plain and encrypted connections at once, because it connects to addresses that peers name.

    Args:
        listen: endpoints to listen on.
        join: endpoints of other agents.
        tls: whether to encrypt on loopback, too.
        insecure: whether to allow plain connections everywhere, for laboratories.
        earlier: endpoints of earlier runs, with protocols. If one is encrypted, all are, unless a
            protocol says otherwise.

    Raises:
        NetworkError: an endpoint is not valid, or names a plain connection that is not allowed.
        UsageError: both `tls` and `insecure` are True.

    Examples:
        >>> choose_protocols(["127.0.0.1:0"], []).listen
        ('tcp/127.0.0.1:0',)
        >>> choose_protocols(["0.0.0.0:7447"], []).listen
        ('tls/0.0.0.0:7447',)
    """
    if tls and insecure:
        raise UsageError("expected --tls or --insecure, got both")
    found = [_parts(text) for text in (*listen, *join)]
    outside = any(not is_loopback(host) for _, host, _ in found)
    encrypted = tls or (outside and not insecure)
    encrypted = encrypted or any(protocol in _ENCRYPTED for protocol, _, _ in found)
    if not insecure and all(protocol != "tcp" for protocol, _, _ in found):
        encrypted = encrypted or any(not endpoint.startswith("tcp/") for endpoint in earlier)
    for protocol, host, port in found:
        if protocol == "tcp" and encrypted and not insecure:
            raise NetworkError(
                f"expected tls/{host}:{port}, got tcp/{host}:{port}, where anybody could read "
                "and change the traffic; --insecure allows it for laboratories"
            )
    default = "tls" if encrypted and not insecure else "tcp"
    written = [f"{protocol or default}/{host}:{port}" for protocol, host, port in found]
    return Endpoints(
        tuple(written[: len(listen)]), tuple(written[len(listen) :]), encrypted, insecure
    )


def parse_endpoint(text: str) -> str:
    """Return an endpoint in Zenoh's notation.

    Raises:
        NetworkError: the text is not an endpoint.

    Examples:
        >>> parse_endpoint("192.168.1.20:7447")
        'tcp/192.168.1.20:7447'
    """
    protocol, host, port = _parts(text)
    return f"{protocol or 'tcp'}/{host}:{port}"


def with_free_port(endpoint: str) -> str:
    """Replace port 0 with a free port, so that the endpoint can be shown to other agents."""
    protocol, host, port = _parts(endpoint)
    if port != "0":
        return endpoint
    family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    kind = socket.SOCK_DGRAM if protocol == "quic" else socket.SOCK_STREAM
    try:
        with socket.socket(family, kind) as probe:
            probe.bind((host.strip("[]"), 0))
            free = probe.getsockname()[1]
    except OSError as error:
        raise NetworkError(
            f"expected an address of this machine in {endpoint!r} ({error.strerror})"
        ) from error
    return f"{protocol}/{host}:{free}"


def _parts(text: str) -> tuple[str, str, str]:
    """Return protocol (empty if not given), host and port."""
    found = _ENDPOINT.fullmatch(text.strip())
    if found is None or int(found[3]) > 65_535:
        raise NetworkError(f"expected an endpoint like tls/192.168.1.20:7447, got {text[:100]!r}")
    return found[1] or "", found[2], str(int(found[3]))
