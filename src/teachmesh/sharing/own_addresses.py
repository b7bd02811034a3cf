"""Addresses of this machine, to show other people where an agent can be reached."""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

_GET_ADDRESS = 0x8915
"""Number of the request SIOCGIFADDR of Linux."""
_IPV6_TABLE = Path("/proc/net/if_inet6")
_ANYWHERE = ("192.0.2.1", 9)
"""An address for documentation; connecting a datagram socket to it sends nothing."""


def split_endpoint(endpoint: str) -> tuple[str, str, str]:
    """Return protocol, host and port of an endpoint in Zenoh's notation.

    >>> split_endpoint("tcp/[::]:7447")
    ('tcp', '[::]', '7447')
    """
    protocol, _, address = endpoint.partition("/")
    host, _, port = address.rpartition(":")
    return protocol, host, port


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine only.

    >>> is_loopback("127.0.0.1"), is_loopback("[::1]"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    return host == "localhost" or _is(host, "is_loopback")


def is_open(endpoints: Sequence[str]) -> bool:
    """Return whether one of the endpoints is not on loopback.

    >>> is_open(["127.0.0.1:7447"]), is_open(["127.0.0.1:0", "tcp/0.0.0.0:7447"])
    (False, True)
    """
    return not all(is_loopback(split_endpoint(text)[1]) for text in map(with_protocol, endpoints))


def is_free(endpoint: str) -> bool:
    """Return whether nothing listens on an endpoint of this machine."""
    protocol, host, port = split_endpoint(endpoint)
    kind = socket.SOCK_DGRAM if protocol == "quic" else socket.SOCK_STREAM
    family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    try:
        with socket.socket(family, kind) as probe:
            if os.name == "posix" and kind == socket.SOCK_STREAM:  # as servers do
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host.strip("[]"), int(port)))
    except (OSError, ValueError):
        return False
    return True


def with_protocol(endpoint: str) -> str:
    """Return an endpoint with its protocol, which is tcp if none is given."""
    return endpoint if "/" in endpoint else f"tcp/{endpoint}"


def reachable_at(endpoints: Sequence[str], addresses: Sequence[str] | None = None) -> list[str]:
    """Return the endpoints at which other machines reach an agent; empty on loopback.

    Args:
        endpoints: endpoints that the agent listens on.
        addresses: addresses of this machine; by default those of its interfaces.

    >>> reachable_at(["tcp/0.0.0.0:7447", "tcp/127.0.0.1:1"], ["192.168.1.20", "fd00::1"])
    ['tcp/192.168.1.20:7447']
    >>> reachable_at(["tcp/[::]:7447"], ["fd00::1"])
    ['tcp/[fd00::1]:7447']
    """
    found: list[str] = []
    for protocol, host, port in map(split_endpoint, endpoints):
        if is_loopback(host) or not port:
            continue
        hosts = [host]
        if _is(host, "is_unspecified"):
            known = own_addresses() if addresses is None else addresses
            hosts = [_bracketed(a) for a in known if host != "0.0.0.0" or ":" not in a]
        found += [f"{protocol}/{each}:{port}" for each in hosts]
    return list(dict.fromkeys(found))


def own_addresses() -> list[str]:
    """Return the addresses of this machine's interfaces, without loopback and link-local ones."""
    found = [*_interface_addresses(), *_ipv6_addresses()] or _default_address()
    usable = [a for a in found if not (_is(a, "is_loopback") or _is(a, "is_link_local"))]
    return list(dict.fromkeys(usable))


def _interface_addresses() -> list[str]:
    """Return the IPv4 addresses by interface; empty on systems other than Linux."""
    try:
        import fcntl
    except ImportError:  # Windows
        return []
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            with suppress(OSError):  # an interface without an address, or another system
                request = struct.pack("256s", name.encode()[:15])
                answer = fcntl.ioctl(probe.fileno(), _GET_ADDRESS, request)
                found.append(socket.inet_ntoa(answer[20:24]))
    return found


def _ipv6_addresses() -> list[str]:
    try:
        lines = _IPV6_TABLE.read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return []
    return [str(ipaddress.IPv6Address(bytes.fromhex(line.split()[0]))) for line in lines]


def _default_address() -> list[str]:
    """Return the address of the interface that leads to other networks."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, suppress(OSError):
        probe.connect(_ANYWHERE)
        return [str(probe.getsockname()[0])]
    return []


def _is(host: str, kind: str) -> bool:
    try:
        return bool(getattr(ipaddress.ip_address(host.strip("[]")), kind))
    except ValueError:  # a name
        return False


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address
