"""`invites.json` of a home: invites that it made, and those with which it joined a mesh.

Only hashes of the secrets are stored. The agent that runs and the command `invite` share the file.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from teachmesh.bank.atomic import FILE_OPS, FileOps
from teachmesh.bank.shared_file import SharedFile
from teachmesh.errors import NetworkError, StorageError, UsageError
from teachmesh.packet.signing import agent_id

SCHEMA = "teachmesh.invites/1"
MAX_INVITES = 256
KEPT_S = 7 * 86_400.0
"""Time for which an expired invite stays in the list."""


@dataclass(frozen=True)
class Invite:
    """An invite that this agent made.

    Attributes:
        secret_hash: SHA-256 of the secret, 64 hex digits.
        expires_s: time after which it is refused, in seconds since the epoch.
        used_by: public key of the agent that used it; None if none did.
        revoked: whether it was revoked.
    """

    secret_hash: str
    expires_s: float
    used_by: str | None = None
    revoked: bool = False

    @property
    def id(self) -> str:
        """Name of the invite in lists; it does not reveal the secret."""
        return self.secret_hash[:8]

    def state(self, now_s: float) -> str:
        """Return "open", "used", "revoked" or "expired"."""
        if self.used_by is not None:
            return "used"
        if self.revoked:
            return "revoked"
        return "open" if now_s < self.expires_s else "expired"

    def to_json(self, now_s: float) -> dict[str, Any]:
        """Return the invite as a JSON object without a secret: id, state, expiry, user.

        Args:
            now_s: current time, in seconds since the epoch.
        """
        return {
            "id": self.id,
            "state": self.state(now_s),
            "expires_s": self.expires_s,
            "used_by": None if self.used_by is None else agent_id(self.used_by),
        }


@dataclass(frozen=True)
class _Content:
    made: tuple[Invite, ...] = ()
    joined: dict[str, list[str]] = field(default_factory=dict)


class InviteBook:
    """The invites of a home; several processes may use it at once.

    Every change is on the disk when its method returns. All methods raise StorageError if the file
    is damaged, or cannot be read or written.

    Args:
        home: the agent's home folder.
        ops: disk operations; tests pass their own.
    """

    def __init__(self, home: Path, ops: FileOps = FILE_OPS) -> None:
        self.path = home / "invites.json"
        self._file = SharedFile(self.path, ops)

    def invites(self) -> tuple[Invite, ...]:
        """Return the invites that were made here, oldest first."""
        return self._read().made

    def add(self, secret: bytes, expires_s: float, now_s: float) -> Invite:
        """Store a new invite.

        Args:
            secret: its secret, at least 16 random bytes.
            expires_s: time after which it is refused, in seconds since the epoch.
            now_s: current time, in seconds since the epoch.

        Raises:
            UsageError: too many invites are open.
        """
        made = Invite(_hash(secret), expires_s)

        def change(content: _Content) -> _Content:
            kept = tuple(i for i in content.made if i.expires_s > now_s - KEPT_S)
            if len(kept) >= MAX_INVITES:
                raise UsageError(f"expected at most {MAX_INVITES} invites within a week")
            return replace(content, made=(*kept, made))

        self._change(change)
        return made

    def revoke(self, invite_id: str) -> Invite:
        """Revoke an open invite.

        Raises:
            UsageError: no open invite has this id, or several do.
        """
        found = [i for i in self.invites() if i.id.startswith(invite_id.lower())]
        if len(found) != 1 or found[0].used_by is not None:
            raise UsageError(
                f"expected the id of one unused invite, got {invite_id[:64]!r}; see: "
                "teachmesh invite --list"
            )
        revoked = replace(found[0], revoked=True)
        self._replace(revoked)
        return revoked

    def redeem(self, secret: bytes, author: str, now_s: float) -> None:
        """Use an invite up; the agent that used it may repeat this, as its answer may be lost.

        Args:
            secret: the secret that an agent sent.
            author: public key of that agent, 64 hex digits.
            now_s: current time, in seconds since the epoch.

        Raises:
            NetworkError: no open invite has this secret.
        """
        digest = _hash(secret)

        def change(content: _Content) -> _Content:
            # Every invite is compared in constant time, so that the time shows nothing.
            equal = [i for i in content.made if hmac.compare_digest(i.secret_hash, digest)]
            if not equal:
                raise NetworkError("expected an invite of this agent, got an unknown one")
            found = equal[0]
            state = found.state(now_s)
            if state == "open" or (found.used_by == author and now_s < found.expires_s):
                return _with(content, replace(found, used_by=author))
            raise NetworkError(f"the invite is {state}; ask for a new one: teachmesh invite")

        self._change(change)

    def joined(self, secret: bytes) -> tuple[str, ...]:
        """Return the endpoints of the agent to whose invite this one belongs; empty if unused."""
        return tuple(self._read().joined.get(_hash(secret), ()))

    def remember(self, secret: bytes, endpoints: tuple[str, ...]) -> None:
        """Store that this agent joined with an invite, so that it can be given again."""
        self._change(lambda c: replace(c, joined={**c.joined, _hash(secret): list(endpoints)}))

    def _replace(self, invite: Invite) -> None:
        self._change(lambda content: _with(content, invite))

    def _change(self, change: Callable[[_Content], _Content]) -> None:
        with self._file.locked():
            self._file.write({"schema": SCHEMA, **asdict(change(self._read()))})

    def _read(self) -> _Content:
        document = self._file.read()
        if document is None:
            return _Content()
        try:
            if document["schema"] != SCHEMA:
                raise ValueError("another schema")
            made = tuple(Invite(**values) for values in document["made"])
            return _Content(made, dict(document["joined"]))
        except (ValueError, KeyError, TypeError) as error:
            raise StorageError(
                f"{self.path} is damaged; remove it, and make new invites with: teachmesh invite"
            ) from error


def _with(content: _Content, invite: Invite) -> _Content:
    """Return the content with one invite changed."""
    made = (invite if i.secret_hash == invite.secret_hash else i for i in content.made)
    return replace(content, made=tuple(made))


def _hash(secret: bytes) -> str:
    return hashlib.sha256(secret).hexdigest()
