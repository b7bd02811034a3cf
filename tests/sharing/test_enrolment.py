"""An agent with an invite gets the key of the mesh, and nobody else does."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from teachmesh.errors import NetworkError
from teachmesh.packet.signing import agent_id
from teachmesh.sharing import enrolment
from teachmesh.sharing.enrolment import (
    MAX_PER_ADDRESS,
    EnrolmentServer,
    Newcomer,
    Welcome,
    enrol,
)
from teachmesh.sharing.invite_code import InviteCode, is_invite, read_invite
from teachmesh.sharing.mesh_certificates import tls_identity
from teachmesh.sharing.supervisor import Supervisor
from tests.sharing.meshes import id_of_agent, key_of, wait_until

MESH, SECRET = key_of("the mesh"), bytes(range(16))
ALICE = tls_identity(key_of("alice"), MESH)


class Inviter:
    """Alice, who has one invite."""

    def __init__(self, folder: Path) -> None:
        self.newcomers: list[Newcomer] = []
        self.refused: list[tuple[str, str]] = []
        self.pauses: list[float] = []
        (folder / "alice.pem").write_bytes(ALICE.certificate + ALICE.key)
        self.supervisor = Supervisor()
        self.server = EnrolmentServer(
            ("127.0.0.1", 0),
            folder / "alice.pem",
            ALICE.fingerprint,
            self._admit,
            lambda host, reason: self.refused.append((host, reason)),
            pause=self.pauses.append,
        )
        self.server.start(self.supervisor)

    def code(self, secret: bytes = SECRET, certificate: bytes = ALICE.fingerprint) -> InviteCode:
        """Return an invite to this server."""
        address = f"127.0.0.1:{self.server.port}"
        return InviteCode(secret, certificate[:16], id_of_agent("alice"), 10**10, (address,))

    def _admit(self, newcomer: Newcomer) -> Welcome:
        if newcomer.secret != SECRET:
            raise NetworkError("expected an invite of this agent, got an unknown one")
        self.newcomers.append(newcomer)
        return Welcome(MESH.seed.hex(), key_of("alice").public_key, "alice", (7447,))


@pytest.fixture(autouse=True)
def _slow_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that is stopped for seconds is not taken for a stranger that is silent."""
    monkeypatch.setattr(enrolment, "TIMEOUT_S", 60.0)


@pytest.fixture
def alice(tmp_path: Path) -> Iterator[Inviter]:
    """A server that lets agents with the secret in."""
    made = Inviter(tmp_path)
    try:
        yield made
    finally:
        made.server.close()
        assert made.supervisor.faults() == ()


def test_an_invited_agent_gets_the_mesh_key(alice: Inviter) -> None:
    """Both sides learn the other's key and alias; the endpoint is the address that worked."""
    code = read_invite(str(alice.code()))
    welcome, endpoints = enrol(code, key_of("bob"), "bob")
    assert welcome.mesh_key == MESH
    assert (agent_id(welcome.author), welcome.alias) == (id_of_agent("alice"), "alice")
    assert endpoints == ("tls/127.0.0.1:7447",)
    assert alice.newcomers == [Newcomer(key_of("bob").public_key, "bob", SECRET)]
    assert (alice.refused, alice.pauses) == ([], [])


def test_a_wrong_secret_is_refused_on_both_sides_after_a_pause(alice: Inviter) -> None:
    """Each guess costs a second of one of two connections per address."""
    for _ in range(3):
        with pytest.raises(NetworkError, match="refused: expected an invite .* an unknown one"):
            enrol(alice.code(b"x" * 16), key_of("eve"), "eve")
    assert [host for host, _ in alice.refused] == ["127.0.0.1"] * 3
    assert alice.pauses == [1.0] * 3
    assert b"x" * 16 not in repr(alice.refused).encode()


def test_the_secret_is_sent_to_the_inviting_agent_only(alice: Inviter) -> None:
    """Another agent at the address has another certificate, and sees nothing."""
    other = tls_identity(key_of("mallory"), MESH).fingerprint
    with pytest.raises(NetworkError, match="another one answers; ask for a new invite"):
        enrol(alice.code(certificate=other), key_of("bob"), "bob")
    assert (alice.newcomers, alice.refused) == ([], [])


def test_a_key_cannot_join_without_its_owner(
    alice: Inviter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request is signed, for this secret and this inviting agent."""
    forged = key_of("eve")
    monkeypatch.setattr(type(forged), "public_key", key_of("bob").public_key)
    with pytest.raises(NetworkError, match="expected a signed request to join"):
        enrol(alice.code(), forged, "bob")
    assert alice.newcomers == []


@pytest.mark.parametrize(
    "message",
    [b"", b"\n", b"[" * 4000 + b"\n", b"{}\n", b"x" * 5000, b'{"schema": "teachmesh.join/1"}\n'],
)
def test_garbage_learns_nothing_and_harms_nobody(alice: Inviter, message: bytes) -> None:
    """The certificate that a stranger sees has neither id nor name, and the next agent gets in."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    seen = b""
    with (
        socket.create_connection(("127.0.0.1", alice.server.port), 60) as raw,
        context.wrap_socket(raw) as link,
    ):
        seen += link.getpeercert(binary_form=True) or b""
        link.sendall(message)
        if not message:
            link.close()
        else:
            try:
                while part := link.recv(4096):
                    seen += part
            except OSError:
                pass  # the server may reset a connection with unread bytes
    for word in (id_of_agent("alice"), "alice", key_of("alice").public_key, MESH.seed.hex()):
        assert word.encode() not in seen
    welcome, _ = enrol(alice.code(), key_of("bob"), "bob")
    assert welcome.mesh_key == MESH


def test_silent_strangers_do_not_use_up_memory(alice: Inviter) -> None:
    """One address has two connections; more are closed at once, and free again when they end."""
    where = ("127.0.0.1", alice.server.port)
    silent = [socket.create_connection(where, 60) for _ in range(MAX_PER_ADDRESS)]
    wait_until(lambda: alice.server._slots._open.total() == MAX_PER_ADDRESS, "both are open")
    with socket.create_connection(where, 60) as one_more:
        assert one_more.recv(1) == b""
    for stranger in silent:
        stranger.close()
    wait_until(lambda: alice.server._slots._open.total() == 0, "both are closed")
    assert enrol(alice.code(), key_of("bob"), "bob")[0].mesh_key == MESH


def test_an_agent_that_does_not_run_is_named() -> None:
    """The sentence has each address with its reason."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        code = InviteCode(SECRET, bytes(16), id_of_agent("alice"), 0, (address,))
        reason = f"could not reach the agent .*{address}: Connection"
        with pytest.raises(NetworkError, match=reason):
            enrol(code, key_of("bob"), "bob")


def test_every_changed_letter_of_an_invite_is_noticed() -> None:
    """A person may type it: case and spaces make no difference, a wrong letter is an error."""
    addresses = ("192.168.1.20:7448", "[fe80::1]:7448")
    code = InviteCode(SECRET, bytes(range(16, 32)), id_of_agent("alice"), 1_900_000_000, addresses)
    text = str(code)
    assert is_invite(text)
    assert not is_invite("tls/10.0.0.1:7447")
    assert read_invite(f" {text[:40].lower()}\n{text[40:]} ") == code
    assert SECRET.hex() not in repr(code)
    start = len("TEACHMESH:")
    for index in range(start, len(text)):
        wrong = "A" if text[index] != "A" else "B"
        with pytest.raises(NetworkError, match="expected a whole invite"):
            read_invite(text[:index] + wrong + text[index + 1 :])
    for part in (text[:-1], text[:start], text[:60]):
        with pytest.raises(NetworkError, match="expected a whole invite"):
            read_invite(part)
