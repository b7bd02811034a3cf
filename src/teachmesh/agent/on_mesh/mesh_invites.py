"""Invite other agents to the mesh of an agent, and join a mesh with an invite."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from teachmesh.bank.event_file import utc_time
from teachmesh.bank.invites import InviteBook
from teachmesh.bank.mesh_file import MeshFile
from teachmesh.bank.running import RunningFile, RunningLock
from teachmesh.errors import ConfigError, NetworkError, UsageError
from teachmesh.packet.signing import agent_id
from teachmesh.sharing.endpoints import parse_endpoint
from teachmesh.sharing.enrolment import EnrolmentServer, Newcomer, Welcome, enrol
from teachmesh.sharing.invite_code import (
    HASH_BYTES,
    MAX_ADDRESSES,
    SECRET_BYTES,
    InviteCode,
    is_invite,
    read_invite,
)
from teachmesh.sharing.own_addresses import reachable_at, split_endpoint

if TYPE_CHECKING:
    from teachmesh.agent.known_skills.bank_view import BankView
    from teachmesh.sharing.mesh_certificates import TlsIdentity
    from teachmesh.sharing.supervisor import Supervisor

LONGEST_LIFE_S = 30 * 86_400.0
_START_TIMEOUT_S = 5.0
_POLL_S = 0.1


class Door:
    """Lets agents with an invite join the mesh of a running agent.

    Args:
        agent: the agent that invites.
        identity: certificates of the agent.
        listen: returns the endpoints on which the agent listens, with their ports.
    """

    def __init__(
        self, agent: BankView, identity: TlsIdentity, listen: Callable[[], Sequence[str]]
    ) -> None:
        self._agent = agent
        self._identity = identity
        self._book = InviteBook(agent.home.path)
        self._endpoints = listen
        self._server: EnrolmentServer | None = None
        self._emit: Callable[..., None] = _ignore
        self._lock = threading.Lock()
        self._refused = 0

    def open(self, emit: Callable[..., None], supervisor: Supervisor) -> None:
        """Wait for agents with an invite, next to the first port on which the agent listens.

        Args:
            emit: reports an event.
            supervisor: records unexpected errors.
        """
        if not self._listen():
            return
        _, host, port = split_endpoint(self._listen()[0])
        mesh = MeshFile(self._agent.home.path)
        self._emit = emit
        self._server = EnrolmentServer(
            (host.strip("[]"), (int(port) + 1) % 65_536),
            mesh.save_certificate(self._identity.certificate + self._identity.key),
            self._identity.fingerprint,
            self._admit,
            self._report_refused,
        )
        self._server.start(supervisor)

    def close(self) -> None:
        """Let nobody in any more."""
        if self._server is not None:
            self._server.close()

    def state(self) -> dict[str, Any] | None:
        """Return where the door is, for the command `invite`; None if it is closed."""
        if self._server is None:
            return None
        host = split_endpoint(self._listen()[0])[1]
        own = f"tls/{host}:{self._server.port}"
        found = [endpoint.partition("/")[2] for endpoint in reachable_at([own]) or [own]]
        return {"addresses": found, "certificate": self._identity.fingerprint.hex()}

    def _listen(self) -> list[str]:
        """Return the endpoints that an invited agent can use; free ports are chosen on starting."""
        return [endpoint for endpoint in self._endpoints() if endpoint.startswith("tls/")]

    def _admit(self, newcomer: Newcomer) -> Welcome:
        self._book.redeem(newcomer.secret, newcomer.author, time.time())
        self._agent.trust.trust(newcomer.author)
        self._emit("invited", alias=newcomer.alias, id=agent_id(newcomer.author))
        ports = tuple(int(endpoint.rpartition(":")[2]) for endpoint in self._listen())
        mesh = MeshFile(self._agent.home.path).load_or_create()
        key = self._agent.key.public_key
        return Welcome(mesh.seed.hex(), key, self._agent.alias, ports)

    def _report_refused(self, host: str, reason: str) -> None:
        with self._lock:
            self._refused += 1
            count = self._refused
        if count & (count - 1) == 0:  # a guesser must not fill the screen
            message = f"refused to let {host} join (refusal {count}): {reason}"
            self._emit("error", message=message, exit_code=NetworkError.exit_code)


@dataclass(frozen=True)
class MadeInvite:
    """A new invite.

    Attributes:
        id: name of the invite, for `revoke`.
        code: its text.
    """

    id: str
    code: InviteCode

    def to_json(self) -> dict[str, Any]:
        """Return the invite as a JSON object, which has the secret."""
        return {
            "id": self.id,
            "invite": str(self.code),
            "agent": self.code.agent_id,
            "expires_s": self.code.expires_s,
            "addresses": list(self.code.addresses),
        }


def make_invite(view: BankView, lifetime_s: float, at: Sequence[str] = ()) -> MadeInvite:
    """Make an invite for one agent; it works as long as the agent of this home runs.

    Args:
        view: the inviting agent, whose process must be running.
        lifetime_s: time until the invite expires, in seconds.
        at: addresses at which other machines reach the agent, with or without a port; by default
            those of this machine.

    Raises:
        ConfigError: the agent is not running, or not encrypted.
        UsageError: the time is not valid.
    """
    if not 0 < lifetime_s <= LONGEST_LIFE_S:
        raise UsageError("expected an invite for 1 minute to 30 days")
    door = _open_door(view)
    port = door["addresses"][0].rpartition(":")[2]
    chosen = tuple(_with_port(text, port) for text in at) or tuple(door["addresses"])
    secret, expires_s = secrets.token_bytes(SECRET_BYTES), int(time.time() + lifetime_s)
    certificate = bytes.fromhex(door["certificate"])[:HASH_BYTES]
    code = InviteCode(secret, certificate, view.id, expires_s, chosen[:MAX_ADDRESSES])
    return MadeInvite(InviteBook(view.home.path).add(secret, expires_s, time.time()).id, code)


def join_meshes(
    agent: BankView, join: Sequence[str], on_event: Callable[[dict[str, Any]], None]
) -> tuple[str, ...]:
    """Use the invites among endpoints to join, and return the endpoints of all agents to join.

    An invite that this agent used before gives the same endpoints again.

    Args:
        agent: the agent that joins.
        join: endpoints and invites.
        on_event: called with an event `enrolled` after an invite was used.

    Raises:
        NetworkError: an invite is not valid, is refused, or its agent cannot be reached.
    """
    found: list[str] = []
    for text in join:
        found += _join_mesh(agent, text, on_event) if is_invite(text) else [text]
    return tuple(found)


def _join_mesh(
    agent: BankView, text: str, on_event: Callable[[dict[str, Any]], None]
) -> tuple[str, ...]:
    code, book = read_invite(text), InviteBook(agent.home.path)
    if known := book.joined(code.secret):
        return known
    if code.agent_id == agent.id:
        raise NetworkError("expected an invite of another agent, got one that this agent made")
    welcome, endpoints = enrol(code, agent.key, agent.alias)
    MeshFile(agent.home.path).join(welcome.mesh_key)
    agent.trust.trust(welcome.author)
    book.remember(code.secret, endpoints)
    on_event({"time": utc_time(), "event": "enrolled", "alias": welcome.alias, "id": code.agent_id})
    return endpoints


def _open_door(view: BankView) -> dict[str, Any]:
    """Return the state of the running agent's door, which may just be starting."""
    deadline_s = time.monotonic() + _START_TIMEOUT_S
    while RunningLock(view.home.path).is_held():
        state = RunningFile(view.home.running).read(time.time())
        if state is not None and state.get("door"):
            found: dict[str, Any] = state["door"]
            return found
        if state is not None or time.monotonic() > deadline_s:
            raise ConfigError(
                "expected a running agent with encryption, this one listens on loopback only; "
                "restart it with: teachmesh up --listen tls/0.0.0.0:7447 (or --tls)"
            )
        time.sleep(_POLL_S)
    raise ConfigError(
        "expected a running agent, which lets the invited one in; start it first: "
        "teachmesh up --listen tls/0.0.0.0:7447"
    )


def _with_port(text: str, port: str) -> str:
    """Return an address with a port."""
    try:
        return parse_endpoint(text).partition("/")[2]
    except NetworkError:
        return parse_endpoint(f"{text}:{port}").partition("/")[2]


def _ignore(*_args: Any, **_details: Any) -> None:
    """Do nothing, because the door is closed."""
