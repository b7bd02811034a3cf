"""Certificates with which agents of one mesh recognise each other (TLS with mutual authentication).

A mesh has one Ed25519 key, the mesh key. All its agents have it, and nobody else. Every agent signs
its own certificate with it, so any agent can invite others, and none has to be reachable for that.

The key of a certificate is derived from the agent's key and the mesh. It is not the agent's key
itself: a TLS server shows its certificate to strangers, and they must not learn the agent's id.
"""

from __future__ import annotations

import datetime
import hashlib
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from teachmesh.packet.signing import AgentKey

_CONTEXT = b"teachmesh.tls/1\0"
# Strangers see both names, so they are equal for all agents and all meshes.
_ROOT_NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mesh")])
_AGENT_NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "agent")])
# Small devices may start with a wrong clock, so certificates do not expire.
_START = datetime.datetime(1970, 1, 1)
_END = datetime.datetime(9999, 12, 31, 23, 59, 59)


@dataclass(frozen=True)
class TlsIdentity:
    """Certificates and key of one agent in one mesh, as PEM files.

    Attributes:
        root: certificate of the mesh.
        certificate: certificate of the agent, signed with the mesh key.
        key: private key of that certificate.
    """

    root: bytes
    certificate: bytes
    key: bytes = field(repr=False)

    @property
    def fingerprint(self) -> bytes:
        """SHA-256 of the agent's certificate, 32 bytes."""
        certificate = x509.load_pem_x509_certificate(self.certificate)
        return hashlib.sha256(certificate.public_bytes(Encoding.DER)).digest()


def tls_identity(agent: AgentKey, mesh: AgentKey) -> TlsIdentity:
    """Make the certificates of an agent; equal keys give equal bytes.

    Args:
        agent: key of the agent.
        mesh: key of the mesh.
    """
    issuer = Ed25519PrivateKey.from_private_bytes(mesh.seed)
    context = _CONTEXT + bytes.fromhex(mesh.public_key)
    own = AgentKey(HKDF(SHA256(), 32, salt=None, info=context).derive(agent.seed))
    subject = Ed25519PrivateKey.from_private_bytes(own.seed).public_key()
    return TlsIdentity(
        root=_certificate(_ROOT_NAME, issuer.public_key(), issuer, is_root=True),
        certificate=_certificate(_AGENT_NAME, subject, issuer, is_root=False),
        key=own.to_bytes(),
    )


def _certificate(
    name: x509.Name, subject: Ed25519PublicKey, issuer: Ed25519PrivateKey, *, is_root: bool
) -> bytes:
    digest = hashlib.sha256(subject.public_bytes_raw()).digest()
    limits = x509.BasicConstraints(ca=is_root, path_length=0 if is_root else None)
    # rustls refuses certificates without an alternative name; no name is compared.
    other_names = x509.SubjectAlternativeName([x509.DNSName("agent")])
    builder = x509.CertificateBuilder(
        _ROOT_NAME, name, subject, int.from_bytes(digest[:15], "big") + 1, _START, _END
    )
    builder = builder.add_extension(limits, critical=True)
    builder = builder.add_extension(other_names, critical=False)
    return builder.sign(issuer, None).public_bytes(Encoding.PEM)
