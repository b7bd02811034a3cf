"""Decide who may use the HTTP interface: token, `Host` and `Origin` of a request.

A browser sends `Host` and `Origin` itself, so no web page can forge them. A name that an attacker
points to this machine (DNS rebinding) is a wrong `Host`; a request of another page has a wrong
`Origin` or `Sec-Fetch-Site`.
"""

from __future__ import annotations

import hmac
import ipaddress
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from teachmesh.bank.atomic import storage_errors, write_atomic
from teachmesh.bank.shared_file import file_lock
from teachmesh.errors import ConfigError
from teachmesh.web.http_errors import HttpRefusal

TOKEN_VARIABLE = "TEACHMESH_WEB_TOKEN"
TOKEN_FILE = "web.token"
LEAST_TOKEN = 16
"""Smallest number of characters of a token that a person chooses."""
_READING = frozenset({"GET", "HEAD"})
_HARMLESS = frozenset({"/v1/predict", "/v1/predict/named"})
"""Requests that send data but change nothing, so that they need no token on this machine."""


@dataclass(frozen=True)
class Access:
    """Rules for requests to one server.

    Attributes:
        token: secret that a caller must know to change anything.
        host: address that the server listens on.
    """

    token: str
    host: str = "127.0.0.1"

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches the server."""
        return is_loopback(self.host)

    def check(self, method: str, path: str, headers: Mapping[str, str]) -> None:
        """Check one request.

        Args:
            method: HTTP method.
            path: path of the URL.
            headers: headers with names in lower case.

        Raises:
            HttpRefusal: 421 for a wrong `Host`, 403 for another page, 401 without the token.
        """
        self._check_host(headers.get("host", ""))
        self._check_page(method, path, headers)
        if self._needs_token(method, path) and not self._has_token(headers):
            raise HttpRefusal(
                401,
                "expected the token of this agent in the header Authorization; open the link that "
                "`teachmesh up` printed, or read the file web.token in the agent's home",
            )

    def _check_host(self, host: str) -> None:
        name = host_name(host)
        if name == "localhost" or is_loopback(name):
            return
        if not self.is_local and (name == self.host or _is_address(name)):
            return
        raise HttpRefusal(
            421, "expected the address of this agent in the header Host; open it there"
        )

    def _check_page(self, method: str, path: str, headers: Mapping[str, str]) -> None:
        origin = headers.get("origin")
        same = origin is None or origin.partition("://")[2] == headers.get("host")
        site = headers.get("sec-fetch-site", "none")
        opens_page = method in _READING and path == "/"
        if not same or (site in ("cross-site", "same-site") and not opens_page):
            raise HttpRefusal(403, "expected a request of the agent's own page; open that page")

    def _needs_token(self, method: str, path: str) -> bool:
        if not path.startswith(("/v1", "/metrics", "/runs")):
            return False  # the page itself, which holds no data
        changes = method not in _READING and path not in _HARMLESS
        return changes or not self.is_local

    def _has_token(self, headers: Mapping[str, str]) -> bool:
        kind, _, given = headers.get("authorization", "").partition(" ")
        return kind.lower() == "bearer" and hmac.compare_digest(
            given.strip().encode(), self.token.encode()
        )


def host_name(host: str) -> str:
    """Return the name or address in a `Host` header, without port and brackets.

    >>> host_name("127.0.0.1:8765"), host_name("[::1]:80"), host_name("localhost")
    ('127.0.0.1', '::1', 'localhost')
    """
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower()


def is_loopback(host: str) -> bool:
    """Return whether an address is of this machine only.

    >>> is_loopback("127.0.0.1"), is_loopback("0.0.0.0"), is_loopback("evil.com")
    (True, False, False)
    """
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def choose_access(host: str, home: Path, environment: Mapping[str, str] | None = None) -> Access:
    """Return the rules for a server on an address.

    The token is that of the environment, otherwise the one of the home, which is made once.

    Args:
        host: address to listen on.
        home: the agent's home folder.
        environment: environment variables; by default, those of this process.

    Raises:
        ConfigError: other machines would reach the server, and the environment has no token.
        StorageError: the token cannot be read or saved.
    """
    chosen = (os.environ if environment is None else environment).get(TOKEN_VARIABLE, "")
    if chosen and (len(chosen) < LEAST_TOKEN or not chosen.isascii() or " " in chosen):
        raise ConfigError(
            f"expected at least {LEAST_TOKEN} ASCII characters without spaces in {TOKEN_VARIABLE}; "
            "choose a longer token"
        )
    if not chosen and not is_loopback(host):
        raise ConfigError(
            f"expected a token for the address {host}, which other machines reach; set "
            f"{TOKEN_VARIABLE} to a secret of at least {LEAST_TOKEN} characters, or leave "
            "--web-host out"
        )
    return Access(chosen or load_token(home / TOKEN_FILE), host)


def load_token(path: Path) -> str:
    """Read a token, or make one that only the owner can read.

    Raises:
        StorageError: the file cannot be read or written.
    """
    with storage_errors(f"could not use the token {path}"):
        found = _read_token(path)
        if found:
            return found
        busy = f"another process is making {path}; try again"
        with file_lock(path.with_name(f"{path.name}.lock"), busy):
            token = _read_token(path) or secrets.token_urlsafe(24)
            write_atomic(path, token.encode(), mode=0o600)
        return token


def _read_token(path: Path) -> str:
    """Return the token in a file; an empty text if there is none."""
    try:
        path.chmod(0o600)
        token = path.read_text(encoding="ascii", errors="replace").strip()
    except FileNotFoundError:
        return ""
    return token if len(token) >= LEAST_TOKEN else ""
