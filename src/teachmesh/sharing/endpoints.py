"""Endpoints of agents: their notation, and which of them must be encrypted."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from teachmesh.errors import NetworkError, UsageError

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
    """

    listen: tuple[str, ...]
    join: tuple[str, ...]
    encrypted: bool


def choose_protocols(
    listen: Sequence[str], join: Sequence[str], *, tls: bool = False, insecure: bool = False
) -> Endpoints:
    """Add the protocol to endpoints without one: tls if any endpoint needs it, otherwise tcp.

    An endpoint needs encryption unless its host is this machine's loopback address. An agent never
    has plain and encrypted connections at once, because it connects to addresses that peers name.

    Args:
        listen: endpoints to listen on.
        join: endpoints of other agents.
        tls: whether to encrypt on loopback, too.
        insecure: whether to allow plain connections everywhere, for laboratories.

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
    for protocol, host, port in found:
        if protocol == "tcp" and encrypted and not insecure:
            raise NetworkError(
                f"expected tls/{host}:{port}, got tcp/{host}:{port}, where anybody could read "
                "and change the traffic; --insecure allows it for laboratories"
            )
    default = "tls" if encrypted and not insecure else "tcp"
    written = [f"{protocol or default}/{host}:{port}" for protocol, host, port in found]
    return Endpoints(tuple(written[: len(listen)]), tuple(written[len(listen) :]), encrypted)


def is_loopback(host: str) -> bool:
    """Return whether only programs of this machine can reach a host.

    Examples:
        >>> [is_loopback(host) for host in ("localhost", "127.0.0.1", "[::1]", "0.0.0.0")]
        [True, True, True, False]
    """
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


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


def addresses(endpoint: str, port: int) -> tuple[str, ...]:
    """Return the addresses `host:port` at which other machines may reach an endpoint's host.

    Args:
        endpoint: an endpoint to listen on; 0.0.0.0 and [::] mean all addresses of this machine.
        port: the port to write.
    """
    host = _parts(endpoint)[1]
    hosts = _own_hosts() if host in ("0.0.0.0", "[::]") else (host,)
    return tuple(f"{host}:{port}" for host in hosts)


def _own_hosts() -> tuple[str, ...]:
    """Return the addresses of this machine, the most useful one first; no packet is sent."""
    found = []
    for family, far in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((far, 9))  # chooses the interface of the default route
            found.append(probe.getsockname()[0])
    with suppress(OSError):
        found += [str(info[4][0]) for info in socket.getaddrinfo(socket.gethostname(), None)]
    outside = [f"[{host}]" if ":" in host else host for host in found if "%" not in host]
    return tuple(dict.fromkeys(h for h in outside if not is_loopback(h))) or ("127.0.0.1",)


def _parts(text: str) -> tuple[str, str, str]:
    """Return protocol (empty if not given), host and port."""
    found = _ENDPOINT.fullmatch(text.strip())
    if found is None or int(found[3]) > 65_535:
        raise NetworkError(f"expected an endpoint like tls/192.168.1.20:7447, got {text[:100]!r}")
    return found[1] or "", found[2], str(int(found[3]))
