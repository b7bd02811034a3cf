"""Ed25519 keys of agents, signatures of skills, and short ids for people to compare."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import InitVar, dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from teachmesh.errors import SkillRefused
from teachmesh.packet.codec import SignedSkill, encode, skill_id
from teachmesh.packet.skill import Skill

# This prefix prevents the signature of a skill from being valid for any other kind of message.
CONTEXT = b"teachmesh.skill/2\0"
_ID_CHARACTERS = 16
_ID_GROUP = 4


@dataclass(frozen=True)
class AgentKey:
    """An agent's Ed25519 key pair; `bank.home` stores it in a file.

    Invariant: `AgentKey.from_bytes(key.to_bytes()) == key`.

    Attributes:
        seed: 32 secret bytes, which are never displayed.
    """

    seed: bytes = field(repr=False)

    def __post_init__(self) -> None:
        self._private()

    @classmethod
    def create(cls) -> AgentKey:
        """Create a random key."""
        return cls(Ed25519PrivateKey.generate().private_bytes_raw())

    @classmethod
    def from_bytes(cls, data: bytes) -> AgentKey:
        """Read an unencrypted PKCS#8 PEM file, as written by `to_bytes`.

        Raises:
            ValueError: the data is not such a file, or its key is not an Ed25519 key.
        """
        try:
            private = serialization.load_pem_private_key(data, password=None)
        except (ValueError, TypeError) as error:
            raise ValueError("expected an unencrypted PEM file with an Ed25519 key") from error
        if not isinstance(private, Ed25519PrivateKey):
            raise ValueError("expected an Ed25519 key, got one of another kind")  # noqa: TRY004 - content of a file, not a type of an argument
        return cls(private.private_bytes_raw())

    def to_bytes(self) -> bytes:
        """Return the key as unencrypted PKCS#8 PEM, which must be kept secret."""
        return self._private().private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )

    @property
    def public_key(self) -> str:
        """Public key, 64 hex digits; it is the `author` on the agent's cards."""
        return self._private().public_key().public_bytes_raw().hex()

    def sign_message(self, message: bytes) -> bytes:
        """Sign a message, which must start with a prefix used only for messages of its kind."""
        return self._private().sign(message)

    def _private(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.seed)


_MADE_HERE = object()


@dataclass(frozen=True)
class VerifiedSkill:
    """A skill with a valid signature by its author; created only by `sign` and `verify`.

    Banks store only objects of this class, so no unverified skill can reach the disk.

    Attributes:
        skill: the card and the tensors.
        id: SHA-256 of the bytes, 64 hex digits.
        data: signed bytes of the skill file.
    """

    skill: Skill
    id: str
    data: bytes = field(repr=False)
    origin: InitVar[object]

    def __post_init__(self, origin: object) -> None:
        if origin is not _MADE_HERE:
            raise TypeError("expected a skill from signing.sign or signing.verify")

    @staticmethod
    def check(value: object) -> None:
        """Raise a TypeError unless a value is a verified skill (not every caller uses mypy)."""
        if not isinstance(value, VerifiedSkill):
            raise TypeError(
                f"expected a VerifiedSkill from signing.sign or signing.verify, "
                f"got a {type(value).__name__}"
            )


def sign(skill: Skill, key: AgentKey) -> VerifiedSkill:
    """Encode a skill with its author's signature, ready to be sent and stored.

    Equal skills and keys give equal bytes, because Ed25519 is deterministic.

    Raises:
        SkillRefused: AUTHOR if the card names another author; also the codes that `encode` uses.
    """
    if skill.card.author != key.public_key:
        raise SkillRefused("AUTHOR", "expected the card to name the key that signs it")
    data = encode(skill, key.sign_message(_message(skill)).hex())
    return VerifiedSkill(skill, skill_id(data), data, _MADE_HERE)


def verify(signed: SignedSkill) -> VerifiedSkill:
    """Check that the author on the card signed the card and every tensor.

    Raises:
        SkillRefused: SIGNATURE if the signature is missing, invalid or made for different content.
    """
    if not signed.signature:
        raise SkillRefused("SIGNATURE", "the skill is not signed")
    message = _message(signed.skill)
    if not is_signed(message, signed.signature, signed.skill.card.author):
        raise SkillRefused("SIGNATURE", "the signature is not the author's of this skill")
    # `decode` accepts only canonical bytes, but a hand-made `SignedSkill` may have other bytes.
    if encode(signed.skill, signed.signature) != signed.data or skill_id(signed.data) != signed.id:
        raise SkillRefused("SIGNATURE", "the bytes are not those of the signed skill")
    return VerifiedSkill(signed.skill, signed.id, signed.data, _MADE_HERE)


def is_signed(message: bytes, signature: str, public_key: str) -> bool:
    """Return whether a hex signature of a message is valid for a hex public key."""
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key))
        key.verify(bytes.fromhex(signature), message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _message(skill: Skill) -> bytes:
    return CONTEXT + hashlib.sha256(encode(skill)).digest()


def agent_id(public_key: str) -> str:
    """Return a short id of a public key (80 bits) that is easy to read aloud: "K7QM-2ABC-...".

    Args:
        public_key: public key, 64 hex digits.
    """
    digest = hashlib.sha256(bytes.fromhex(public_key)).digest()
    text = base64.b32encode(digest).decode("ascii")[:_ID_CHARACTERS]
    return "-".join(text[i : i + _ID_GROUP] for i in range(0, _ID_CHARACTERS, _ID_GROUP))


def default_alias(public_key: str) -> str:
    """Return a default alias for an agent, derived from its key, not from a host or user name."""
    return f"agent-{agent_id(public_key)[:_ID_GROUP].lower()}"
