"""Hand the key of a mesh to an agent that has an invite, over TLS on a port of its own.

The invited agent recognises the inviting one by the hash of its certificate, which is in the
invite. Then it sends the one-time secret. A stranger learns that something speaks TLS here.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from teachmesh.errors import NetworkError, TeachmeshError
from teachmesh.packet.signing import AgentKey, agent_id, is_signed
from teachmesh.sharing.invite_code import HASH_BYTES, SECRET_BYTES, InviteCode
from teachmesh.sharing.supervisor import Supervisor

CONTEXT = b"teachmesh.join/1\0"
SCHEMA = "teachmesh.join/1"
TIMEOUT_S = 5.0
"""Time limit of one connection."""
GUESS_PAUSE_S = 1.0
"""Pause after a wrong secret; with the limits below, at most 8 secrets per second are tried."""
MAX_CONNECTIONS = 8
MAX_PER_ADDRESS = 2
_ACCEPT_S = 0.25
_MAX_MESSAGE = 4096
_HEX_64 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Newcomer:
    """An agent that asks to join; it proved that it has the key.

    Attributes:
        author: public key of the agent, 64 hex digits.
        alias: display name of the agent.
        secret: the secret that it sent.
    """

    author: str
    alias: str
    secret: bytes = field(repr=False)


@dataclass(frozen=True)
class Welcome:
    """The answer to an agent that may join.

    Attributes:
        mesh: seed of the mesh key, 64 hex digits.
        author: public key of the inviting agent, 64 hex digits.
        alias: display name of the inviting agent.
        ports: ports on which the inviting agent listens for other agents.
    """

    mesh: str = field(repr=False)
    author: str
    alias: str
    ports: tuple[int, ...]

    @property
    def mesh_key(self) -> AgentKey:
        """The key of the mesh."""
        return AgentKey(bytes.fromhex(self.mesh))


class EnrolmentServer:
    """Waits for agents with an invite, in threads.

    Args:
        address: host and port to listen on; port 0 means any free port.
        certificate: PEM file with the certificate of this agent and its private key.
        fingerprint: SHA-256 of that certificate.
        admit: called with each newcomer, from several threads; returns the answer, or raises a
            TeachmeshError whose message both sides show.
        on_refused: called with the address of a refused agent and the reason.
        pause: sleeps for a number of seconds; tests pass their own.

    Raises:
        NetworkError: the address cannot be used.
    """

    def __init__(
        self,
        address: tuple[str, int],
        certificate: Path,
        fingerprint: bytes,
        admit: Callable[[Newcomer], Welcome],
        on_refused: Callable[[str, str], None],
        *,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.minimum_version = ssl.TLSVersion.TLSv1_3
        self._context.load_cert_chain(certificate)
        self._fingerprint = fingerprint
        self._admit = admit
        self._on_refused = on_refused
        self._pause = pause
        self._slots = _Slots()
        self._stopping = threading.Event()
        self._socket = _listening(address)
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._socket.getsockname()[1])

    def start(self, supervisor: Supervisor) -> None:
        """Start the thread that accepts connections.

        Args:
            supervisor: records unexpected errors, and restarts the work.
        """
        step = supervisor.supervised("invites", lambda: self._accept(supervisor))

        def work() -> None:
            while not self._stopping.is_set():
                self._stopping.wait(step())

        self._thread = threading.Thread(target=work, name="teachmesh-invites", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop accepting connections; running ones end within seconds."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(TIMEOUT_S)
        self._socket.close()

    def _accept(self, supervisor: Supervisor) -> float:
        """Accept one connection, if there is one; return the seconds until the next call."""
        try:
            raw, where = self._socket.accept()
        except TimeoutError:
            return 0.0
        host = str(where[0])
        if not self._slots.take(host):
            raw.close()
            return 0.0

        def serve() -> None:
            try:
                with raw:
                    self._serve(raw, host)
            except Exception as error:  # noqa: BLE001 - a defect, which must be reported
                supervisor.record("invites", error)
            finally:
                self._slots.free(host)

        threading.Thread(target=serve, name="teachmesh-invite", daemon=True).start()
        return 0.0

    def _serve(self, raw: socket.socket, host: str) -> None:
        # A stranger may send anything and leave at any time.
        with suppress(OSError, ValueError, RecursionError):
            deadline_s = time.monotonic() + TIMEOUT_S
            raw.settimeout(TIMEOUT_S)
            with self._context.wrap_socket(raw, server_side=True) as link:
                newcomer = _newcomer(_receive(link, deadline_s), self._fingerprint)
                link.sendall(self._answer(newcomer, host))

    def _answer(self, newcomer: Newcomer | None, host: str) -> bytes:
        try:
            if newcomer is None:
                raise NetworkError("expected a signed request to join, got something else")
            return _encoded(asdict(self._admit(newcomer)))
        except TeachmeshError as error:
            self._pause(GUESS_PAUSE_S)
            self._on_refused(host, str(error))
            return _encoded({"refused": str(error)})


class _Slots:
    """Limits of connections that are open at once, in all and per address."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: Counter[str] = Counter()

    def take(self, host: str) -> bool:
        with self._lock:
            if self._open.total() >= MAX_CONNECTIONS or self._open[host] >= MAX_PER_ADDRESS:
                return False
            self._open[host] += 1
            return True

    def free(self, host: str) -> None:
        with self._lock:
            self._open[host] -= 1
            self._open += Counter()  # drops addresses without connections


def enrol(code: InviteCode, key: AgentKey, alias: str) -> tuple[Welcome, tuple[str, ...]]:
    """Use an invite: show it to the agent that made it.

    Args:
        code: the invite.
        key: key of the agent that joins.
        alias: display name of that agent.

    Returns:
        The answer, and the endpoints of the inviting agent.

    Raises:
        NetworkError: the agent cannot be reached, is another one, or refuses the invite.
    """
    failures = []
    for address in code.addresses:
        host, _, port = address.rpartition(":")
        try:
            answer = _ask((host.strip("[]"), int(port)), code, key, alias)
        except (OSError, ValueError, RecursionError) as error:
            failures.append(f"{address}: {_reason(error)}")
            continue
        welcome = _welcome(answer, code)
        return welcome, tuple(f"tls/{host}:{port}" for port in welcome.ports)
    raise NetworkError(
        f"could not reach the agent {code.agent_id} ({'; '.join(failures)}); check that it runs, "
        "that both machines are in one network, and that no firewall is between them"
    )


def _ask(where: tuple[str, int], code: InviteCode, key: AgentKey, alias: str) -> dict[str, Any]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    # The hash in the invite is stronger than a name, so no authority has to vouch for one.
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    deadline_s = time.monotonic() + TIMEOUT_S + GUESS_PAUSE_S
    with socket.create_connection(where, TIMEOUT_S) as raw, context.wrap_socket(raw) as link:
        fingerprint = hashlib.sha256(link.getpeercert(binary_form=True) or b"").digest()
        if not hmac.compare_digest(fingerprint[:HASH_BYTES], code.certificate):
            raise NetworkError(
                f"expected the agent {code.agent_id} at {where[0]}:{where[1]}, another one "
                "answers; ask for a new invite"
            )
        signature = key.sign_message(CONTEXT + fingerprint + code.secret).hex()
        request = {"secret": code.secret.hex(), "author": key.public_key, "alias": alias}
        link.sendall(_encoded({**request, "signature": signature}))
        return _receive(link, deadline_s)


def _newcomer(request: dict[str, Any], fingerprint: bytes) -> Newcomer | None:
    """Check a request to join; return None if it is not valid."""
    author, alias = request.get("author"), request.get("alias")
    secret, signature = request.get("secret"), request.get("signature")
    texts = (author, alias, secret, signature)
    if not all(isinstance(text, str) and text.isprintable() for text in texts):
        return None
    if not _HEX_64.fullmatch(str(author)) or len(str(alias)) > 64:
        return None
    shown = bytes.fromhex(str(secret))
    if len(shown) != SECRET_BYTES:
        return None
    if not is_signed(CONTEXT + fingerprint + shown, str(signature), str(author)):
        return None
    return Newcomer(str(author), str(alias), shown)


def _welcome(answer: dict[str, Any], code: InviteCode) -> Welcome:
    refused = answer.get("refused")
    if isinstance(refused, str):
        text = "".join(c for c in refused[:300] if c.isprintable())
        raise NetworkError(f"the agent {code.agent_id} refused: {text}")
    try:
        ports = tuple(int(port) for port in answer["ports"])
        welcome = Welcome(answer["mesh"], answer["author"], str(answer["alias"])[:64], ports)
        is_valid = agent_id(welcome.author) == code.agent_id and bool(welcome.mesh_key)
    except (KeyError, TypeError, ValueError):
        is_valid = False
    if not is_valid:
        raise NetworkError(
            f"expected an answer of the agent {code.agent_id}, got another; install the same "
            "version of teachmesh on both machines"
        )
    return welcome


def _receive(link: ssl.SSLSocket, deadline_s: float) -> dict[str, Any]:
    """Read one line of JSON.

    Raises:
        ValueError: it is too long, or not a message of this schema.
        OSError: it does not arrive in time.
    """
    data = b""
    while not data.endswith(b"\n"):
        link.settimeout(max(0.01, deadline_s - time.monotonic()))
        part = link.recv(_MAX_MESSAGE)
        data += part
        if not part or len(data) > _MAX_MESSAGE or time.monotonic() > deadline_s:
            raise ValueError("the message is incomplete")
    message = json.loads(data)
    if not isinstance(message, dict) or message.get("schema") != SCHEMA:
        raise ValueError("the message has another schema")
    return message


def _encoded(message: dict[str, Any]) -> bytes:
    return json.dumps({"schema": SCHEMA, **message}).encode() + b"\n"


def _listening(address: tuple[str, int]) -> socket.socket:
    host, port = address
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    if os.name == "posix":  # the same port again at once after a restart
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        with suppress(OSError):
            made.bind((host, port))
        if made.getsockname()[1] == 0:  # the port is taken
            made.bind((host, 0))
        made.listen(MAX_CONNECTIONS)
    except OSError as error:
        made.close()
        raise NetworkError(f"could not wait for invites at {host} ({error.strerror})") from error
    made.settimeout(_ACCEPT_S)
    return made


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer"
    return getattr(error, "strerror", None) or "an unexpected answer"
