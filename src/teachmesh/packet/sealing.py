"""Content that only one other agent can ask for and read, without any message before.

Two agents that know each other's public keys have a common secret: X25519 of their Ed25519 keys, as
`crypto_sign_ed25519_pk_to_curve25519` of libsodium converts them. Keys for requests and contents
are derived from it with HMAC-SHA256. Contents are encrypted with ChaCha20-Poly1305.

- A request is a key of 64 hex digits that nobody else can compute. An agent that repeats an
  overheard request gets content that it cannot read.
- The nonce is a keyed hash of the content, so that equal contents give equal bytes.
"""

from __future__ import annotations

import hashlib
import hmac

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from teachmesh.errors import SkillRefused
from teachmesh.packet.signing import AgentKey

CONTEXT = b"teachmesh.sealing/1\0"
SEAL_BYTES = 28
"""Bytes that sealing adds: nonce and tag."""
_NONCE_BYTES = 12
_PRIME = 2**255 - 19


class SealedLine:
    """Requests from one agent to another, and the sealed answers to them.

    Args:
        key: key of this agent.
        other: public key of the other agent, 64 hex digits.
        answered_by: public key of the one that answers: of this agent, or of the other.

    Raises:
        SkillRefused: VALUE if the other key is no usable point of the curve.
    """

    def __init__(self, key: AgentKey, other: str, *, answered_by: str) -> None:
        shared = _shared_secret(key, other)
        pair = "".join(sorted((key.public_key, other)))
        root = hmac.digest(CONTEXT + pair.encode(), shared, "sha256")
        self._secret = hmac.digest(root, answered_by.encode(), "sha256")

    def request(self, label: str) -> str:
        """Return the request for a content, 64 hex digits."""
        return self._derived(b"request", label).hex()

    def seal(self, label: str, content: bytes) -> bytes:
        """Encrypt a content for the other agent."""
        key = self._derived(b"content", label)
        nonce = hmac.digest(self._derived(b"nonce", label), content, "sha256")[:_NONCE_BYTES]
        return nonce + ChaCha20Poly1305(key).encrypt(nonce, content, label.encode())

    def open(self, label: str, sealed: bytes) -> bytes | None:
        """Decrypt a content; None if the other agent did not seal it under this label."""
        cipher = ChaCha20Poly1305(self._derived(b"content", label))
        nonce, body = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        if len(sealed) < SEAL_BYTES:
            return None
        try:
            return cipher.decrypt(nonce, body, label.encode())
        except InvalidTag:
            return None

    def _derived(self, use: bytes, label: str) -> bytes:
        return hmac.digest(self._secret, use + b"\0" + label.encode(), "sha256")


def _shared_secret(key: AgentKey, other: str) -> bytes:
    # The private scalar of Ed25519 (RFC 8032, Sec. 5.1.5); X25519 clamps it in the same way.
    own = X25519PrivateKey.from_private_bytes(hashlib.sha512(key.seed).digest()[:32])
    try:
        return own.exchange(X25519PublicKey.from_public_bytes(_montgomery(other)))
    except ValueError as error:  # a point of small order
        raise SkillRefused("VALUE", f"the key {other[:12]} cannot be used for sealing") from error


def _montgomery(public_key: str) -> bytes:
    """Return the Montgomery form u = (1 + y) / (1 - y) of an Ed25519 key (RFC 7748, Sec. 4.1)."""
    y = int.from_bytes(bytes.fromhex(public_key), "little") & (2**255 - 1)
    u = (1 + y) * pow(1 - y, -1, _PRIME) % _PRIME if (1 - y) % _PRIME else 0
    return u.to_bytes(32, "little")
