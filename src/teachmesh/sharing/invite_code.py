"""The text of an invite, which a person passes on or scans: `TEACHMESH:...`."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass, field

from teachmesh.errors import NetworkError
from teachmesh.sharing.endpoints import parse_endpoint

PREFIX = "TEACHMESH:"
SECRET_BYTES = 16
HASH_BYTES = 16
MAX_ADDRESSES = 4
_VERSION = 1
_ID_BYTES = 10
_TIME_BYTES = 5
_CHECK_BYTES = 4
_MAX_LENGTH = 1000


@dataclass(frozen=True)
class InviteCode:
    """Content of an invite.

    Attributes:
        secret: one-time secret, 16 bytes; an agent that has it can join the mesh.
        certificate: first 16 bytes of the SHA-256 of the inviting agent's certificate.
        agent_id: id of the inviting agent.
        expires_s: time after which the invite is refused, in whole seconds since the epoch.
        addresses: up to 4 addresses `host:port` of the inviting agent, for invites.
    """

    secret: bytes = field(repr=False)
    certificate: bytes
    agent_id: str
    expires_s: int
    addresses: tuple[str, ...]

    def __str__(self) -> str:
        body = (
            bytes([_VERSION])
            + self.secret
            + self.certificate
            + base64.b32decode(self.agent_id.replace("-", ""))
            + self.expires_s.to_bytes(_TIME_BYTES, "big")
            + ",".join(self.addresses[:MAX_ADDRESSES]).encode()
        )
        return PREFIX + base64.b32encode(body + _checksum(body)).decode().rstrip("=")


def is_invite(text: str) -> bool:
    """Return whether a text is meant as an invite, and not as an endpoint."""
    return text.strip().upper().startswith(PREFIX)


def read_invite(text: str) -> InviteCode:
    """Read the text of an invite; case, spaces and line breaks make no difference.

    Raises:
        NetworkError: it is not an invite, or a part of it is missing or wrong.

    Examples:
        >>> code = InviteCode(bytes(16), bytes(16), "ABCD-EFGH-IJKL-MNOP", 0, ("10.0.0.1:7448",))
        >>> read_invite(str(code).lower()) == code
        True
    """
    packed = "".join(text.upper().split()).removeprefix(PREFIX)
    try:
        data = base64.b32decode(packed[:_MAX_LENGTH] + "=" * (-len(packed) % 8))
    except binascii.Error:
        data = b""
    body = data[:-_CHECK_BYTES]
    fixed = 1 + SECRET_BYTES + HASH_BYTES + _ID_BYTES + _TIME_BYTES
    if len(body) <= fixed or data[-_CHECK_BYTES:] != _checksum(body):
        raise NetworkError("expected a whole invite as `teachmesh invite` prints it; copy it again")
    if body[0] != _VERSION:
        raise NetworkError(
            f"expected an invite of version {_VERSION}, got version {body[0]}; install the same "
            "version of teachmesh on both machines"
        )
    return _unpack(body[1:])


def _unpack(body: bytes) -> InviteCode:
    parts, start = [], 0
    for length in (SECRET_BYTES, HASH_BYTES, _ID_BYTES, _TIME_BYTES):
        parts.append(body[start : start + length])
        start += length
    letters = base64.b32encode(parts[2]).decode()
    addresses = tuple(body[start:].decode("ascii", "replace").split(","))
    for address in addresses:
        parse_endpoint(address)
    return InviteCode(
        parts[0],
        parts[1],
        "-".join(letters[i : i + 4] for i in range(0, len(letters), 4)),
        int.from_bytes(parts[3], "big"),
        addresses,
    )


def _checksum(body: bytes) -> bytes:
    return hashlib.sha256(body).digest()[:_CHECK_BYTES]
