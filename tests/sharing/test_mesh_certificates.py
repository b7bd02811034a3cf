"""Agents of one mesh recognise each other; strangers on the port learn nothing."""

from __future__ import annotations

import json
import socket
import ssl
import time
from pathlib import Path

import pytest
import zenoh

from teachmesh.errors import NetworkError, UsageError
from teachmesh.packet.signing import AgentKey
from teachmesh.sharing.endpoints import choose_protocols, with_free_port
from teachmesh.sharing.gossip import Gossip
from teachmesh.sharing.mesh_certificates import TlsIdentity, tls_identity
from teachmesh.sharing.zenoh_transport import ZenohTransport
from tests.sharing.inventories import BytesInventory
from tests.sharing.meshes import ZenohMesh, id_of_agent, key_of, wait_until

MESH, OTHER_MESH = key_of("the mesh"), key_of("another mesh")
ALICE = tls_identity(key_of("alice"), MESH)


def _client(identity: TlsIdentity | None, folder: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if identity is not None:
        (folder / "own.pem").write_bytes(identity.certificate + identity.key)
        context.load_cert_chain(folder / "own.pem")
    return context


def _seen_by(context: ssl.SSLContext, endpoint: str) -> bytes:
    """Return all that a TLS client can read from an endpoint, beginning with the certificate."""
    host, _, port = endpoint.removeprefix("tls/").rpartition(":")
    seen = b""
    with socket.create_connection((host, int(port)), 60) as raw:
        try:
            with context.wrap_socket(raw) as link:
                seen += link.getpeercert(binary_form=True) or b""
                link.sendall(b"\x1c\x00" + bytes(28))
                while part := link.recv(4096):
                    seen += part
        except ssl.SSLError as error:
            return seen + repr(error).encode()
    return seen


def _open_plainly(endpoint: str, protocol: str) -> None:
    """Connect to an endpoint with a plain Zenoh session, which fails if it cannot connect."""
    config = zenoh.Config()
    for key, value in {
        "mode": "client",
        "scouting/multicast/enabled": False,
        "connect/endpoints": [endpoint.replace("tls/", protocol)],
        "connect/timeout_ms": 300,
        "connect/exit_on_failure": True,
        "transport/link/tls": {"verify_name_on_connect": False},
    }.items():
        config.insert_json5(key, json.dumps(value))
    zenoh.open(config).close()


def test_three_agents_share_over_tls_and_strangers_learn_nothing(tmp_path: Path) -> None:
    """The third joins late; neither ids, aliases nor contents reach anybody outside the mesh."""
    mesh, banks = ZenohMesh(MESH), [BytesInventory(b"secret 1"), BytesInventory(b"secret 2")]
    try:
        for name, bank in zip(("alice", "bob"), banks, strict=True):
            mesh.agent(name, bank)
        assert mesh._seed is not None
        (endpoint,) = mesh._seed.endpoints()
        assert endpoint.startswith("tls/")
        wait_until(lambda: banks[0].ids() == banks[1].ids(), "two banks are equal")

        foreign = tls_identity(key_of("mallory"), OTHER_MESH)
        seen = _seen_by(_client(None, tmp_path), endpoint)
        assert b"certificate required" in seen
        seen += _seen_by(_client(foreign, tmp_path), endpoint)
        for protocol in ("tcp/", "tls/"):
            with pytest.raises(zenoh.ZError):
                _open_plainly(endpoint, protocol)
        for name in ("alice", "bob"):
            public = key_of(name).public_key
            for word in (id_of_agent(name), name, public, "secret", "teachmesh"):
                assert word.encode() not in seen
            assert bytes.fromhex(public) not in seen
        assert bytes.fromhex(MESH.public_key) not in seen

        mesh.agent("late", late := BytesInventory())
        wait_until(lambda: late.ids() == banks[0].ids(), "the third has everything")
    finally:
        mesh.close()


def test_an_agent_of_another_mesh_gets_nothing() -> None:
    """A request and announcements stay unanswered, although both sides speak the protocol."""
    mesh, bank = ZenohMesh(MESH), BytesInventory(b"secret")
    try:
        mesh.agent("alice", bank)
        assert mesh._seed is not None
        stranger = ZenohTransport(
            id_of_agent("mallory"),
            join=mesh._seed.endpoints(),
            tls=tls_identity(key_of("mallory"), OTHER_MESH),
        )
        heard: list[bytes] = []
        stranger.start(_Listener(heard))
        mesh.agent("bob", other := BytesInventory())
        wait_until(lambda: other.ids() == bank.ids(), "a member has everything")
        (skill,) = bank.ids()
        assert stranger.request(id_of_agent("alice"), "skill", skill, 1) is None
        stranger.close()
        assert heard == []
    finally:
        mesh.close()


def test_quic_needs_a_certificate_of_the_mesh_too() -> None:
    """A member gets everything; a stranger is neither heard nor answered."""
    alice = BytesInventory(b"one")
    member: list[bytes] = []
    stranger: list[bytes] = []
    (skill,) = alice.ids()
    first = ZenohTransport(id_of_agent("alice"), listen=["quic/127.0.0.1:0"], tls=ALICE)
    serving = Gossip(alice, first, key_of("alice"), alias="alice", interval_s=0.2)
    serving.start()
    joined = [
        ZenohTransport(
            id_of_agent(name), join=first.endpoints(), tls=tls_identity(key_of(name), of)
        )
        for name, of in (("bob", MESH), ("mallory", OTHER_MESH))
    ]
    try:
        for transport, heard in zip(joined, (member, stranger), strict=True):
            transport.start(_Listener(heard))
        wait_until(lambda: bool(member), "a member hears announcements")
        assert joined[0].request(id_of_agent("alice"), "skill", skill, 5) == b"one"
        assert joined[1].request(id_of_agent("alice"), "skill", skill, 0.5) is None
        assert stranger == []
    finally:
        for transport in joined:
            transport.close()
        serving.close()


def test_no_plain_address_of_a_member_is_used() -> None:
    """Zenoh connects to addresses that peers name; a member may name a plain one."""
    mesh, alice, bob = ZenohMesh(MESH), BytesInventory(b"one"), BytesInventory()
    heard: list[bytes] = []
    try:
        mesh.agent("alice", alice)
        assert mesh._seed is not None
        identity = tls_identity(key_of("mallory"), MESH)
        member = ZenohTransport(id_of_agent("mallory"), join=mesh._seed.endpoints(), tls=identity)
        member._listen = (with_free_port("tcp/127.0.0.1:0"),)
        member.start(_Listener(heard))
        wait_until(lambda: bool(heard), "the member hears alice")
        mesh.agent("bob", bob, at_the_side=True)
        wait_until(lambda: bob.ids() == alice.ids(), "bob has everything")
        # Bob listens nowhere, so mallory would hear bob only if bob connected to the plain address.
        authors = {json.loads(data)["alias"] for data in heard}
        time.sleep(0.5)
        assert authors | {json.loads(data)["alias"] for data in heard} == {"alice"}
        member.close()
    finally:
        mesh.close()


class _Listener:
    """Records announcements and requests."""

    def __init__(self, heard: list[bytes]) -> None:
        self._heard = heard

    def on_announcement(self, data: bytes) -> None:
        """Record it."""
        self._heard.append(data)

    def on_request(self, kind: str, key: str) -> None:
        """Record it, and have nothing."""
        self._heard.append(key.encode())


def test_certificates_are_reproducible_and_say_nothing_about_the_agent() -> None:
    """The same keys give the same bytes; another mesh gives an unrelated key."""
    again = tls_identity(AgentKey(key_of("alice").seed), MESH)
    elsewhere = tls_identity(key_of("alice"), OTHER_MESH)
    assert (again, again.fingerprint) == (ALICE, ALICE.fingerprint)
    assert elsewhere.key != ALICE.key
    assert key_of("alice").to_bytes() != ALICE.key
    assert "PRIVATE" not in repr(ALICE)


@pytest.mark.parametrize(
    ("listen", "join", "options", "expected"),
    [
        ("127.0.0.1:0", "localhost:1", {}, ("tcp/127.0.0.1:0", "tcp/localhost:1", False)),
        ("127.0.0.1:0", "10.0.0.1:1", {}, ("tls/127.0.0.1:0", "tls/10.0.0.1:1", True)),
        ("[::1]:0", "[::1]:1", {"tls": True}, ("tls/[::1]:0", "tls/[::1]:1", True)),
        ("0.0.0.0:1", "box:1", {"insecure": True}, ("tcp/0.0.0.0:1", "tcp/box:1", False)),
        ("tcp/0.0.0.0:1", "box:1", {"insecure": True}, ("tcp/0.0.0.0:1", "tcp/box:1", False)),
        ("quic/0.0.0.0:1", "box:1", {}, ("quic/0.0.0.0:1", "tls/box:1", True)),
    ],
)
def test_outside_loopback_encryption_is_the_default(
    listen: str, join: str, options: dict[str, bool], expected: tuple[str, str, bool]
) -> None:
    """An endpoint without protocol gets the one that its mesh needs."""
    chosen = choose_protocols([listen], [join], **options)
    assert (*chosen.listen, *chosen.join, chosen.encrypted) == expected


@pytest.mark.parametrize("endpoint", ["tcp/0.0.0.0:7447", "tcp/box-2:7447", "tcp/[2001:db8::1]:1"])
def test_a_plain_connection_outside_loopback_is_refused(endpoint: str) -> None:
    """The sentence has the endpoint to use instead, and the option for laboratories."""
    for arguments in (([endpoint], []), ([], [endpoint])):
        with pytest.raises(NetworkError, match="expected tls/.* --insecure allows it"):
            choose_protocols(*arguments)
    # Not even on loopback, next to an encrypted one.
    with pytest.raises(NetworkError, match="expected tls/127.0.0.1:0"):
        choose_protocols(["tcp/127.0.0.1:0"], ["tls/box:1"])
    with pytest.raises(UsageError, match="got both"):
        choose_protocols([endpoint], [], tls=True, insecure=True)
