"""Who taught a skill: Ed25519 keys, signatures and the short ids that people compare."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from teachmesh.errors import SkillRefused
from teachmesh.packet.codec import SignedSkill, encode
from teachmesh.packet.skill import Skill

# The context makes a signature of a skill worthless as a signature of anything else.
CONTEXT = b"teachmesh.skill/1\0"
_ID_CHARACTERS = 16
_ID_GROUP = 4


@dataclass(frozen=True)
class AgentKey:
    """An agent's Ed25519 key pair; the file that holds it is written by `bank.home`.

    Law: `AgentKey.from_bytes(key.to_bytes()) == key`.

    Attributes:
        seed: the 32 secret bytes; never shown.
    """

    seed: bytes = field(repr=False)

    def __post_init__(self) -> None:
        self._private()

    @classmethod
    def create(cls) -> AgentKey:
        """Make a new random key."""
        return cls(Ed25519PrivateKey.generate().private_bytes_raw())

    @classmethod
    def from_bytes(cls, data: bytes) -> AgentKey:
        """Read an unencrypted PKCS#8 PEM file, as `to_bytes` writes it.

        Raises:
            ValueError: it is no such file, or holds a key of another kind.
        """
        try:
            private = serialization.load_pem_private_key(data, password=None)
        except (ValueError, TypeError) as error:
            raise ValueError("expected an unencrypted PEM file with an Ed25519 key") from error
        if not isinstance(private, Ed25519PrivateKey):
            raise ValueError("expected an Ed25519 key, got one of another kind")  # noqa: TRY004 - content of a file, not a type of an argument
        return cls(private.private_bytes_raw())

    def to_bytes(self) -> bytes:
        """Give the key as unencrypted PKCS#8 PEM: keep it to yourself."""
        return self._private().private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )

    @property
    def public_key(self) -> str:
        """The public half, 64 hex digits: the author on the agent's cards."""
        return self._private().public_key().public_bytes_raw().hex()

    def sign_message(self, message: bytes) -> bytes:
        """Sign bytes; the caller puts a context in front that no other message has."""
        return self._private().sign(message)

    def _private(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.seed)


def sign(skill: Skill, key: AgentKey) -> bytes:
    """Encode a skill with its author's signature; these bytes are what travels and is stored.

    The same skill and key give the same bytes: Ed25519 draws no random numbers.

    Raises:
        SkillRefused: AUTHOR when the card names another author; otherwise as `encode`.
    """
    if skill.card.author != key.public_key:
        raise SkillRefused("AUTHOR", "expected the card to name the key that signs it")
    return encode(skill, key.sign_message(_message(skill)).hex())


def verify(signed: SignedSkill) -> None:
    """Check that the author on the card signed the card and every tensor.

    Raises:
        SkillRefused: SIGNATURE when the signature is missing or another one.
    """
    if not signed.signature:
        raise SkillRefused("SIGNATURE", "the skill is not signed")
    message = _message(signed.skill)
    if not is_signed(message, signed.signature, signed.skill.card.author):
        raise SkillRefused("SIGNATURE", "the signature is not the author's of this skill")


def is_signed(message: bytes, signature: str, public_key: str) -> bool:
    """Say whether a hex signature over a message was made by a hex public key."""
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key))
        key.verify(bytes.fromhex(signature), message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _message(skill: Skill) -> bytes:
    return CONTEXT + hashlib.sha256(encode(skill)).digest()


def agent_id(public_key: str) -> str:
    """Shorten a public key to what people read to each other: "K7QM-2ABC-...", 80 bits.

    Args:
        public_key: 64 hex digits.
    """
    digest = hashlib.sha256(bytes.fromhex(public_key)).digest()
    text = base64.b32encode(digest).decode("ascii")[:_ID_CHARACTERS]
    return "-".join(text[i : i + _ID_GROUP] for i in range(0, _ID_CHARACTERS, _ID_GROUP))


def default_alias(public_key: str) -> str:
    """Name an agent that chose no alias: from its key, never from its machine or user."""
    return f"agent-{agent_id(public_key)[:_ID_GROUP].lower()}"
