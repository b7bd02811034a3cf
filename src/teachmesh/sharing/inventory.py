"""The interface of a bank that sharing needs."""

from __future__ import annotations

from typing import Protocol


class Inventory(Protocol):
    """Interface of a bank for gossip: ids and bytes. Any method may raise StorageError."""

    def ids(self) -> frozenset[str]:
        """Return the ids of all skills that can be served."""

    def wants(self, skill_id: str) -> bool:
        """Return whether to fetch a skill or tombstone that the bank does not have."""

    def read(self, skill_id: str) -> bytes | None:
        """Return the bytes of a skill, or None if the bank does not have it."""

    def admit(self, skill_id: str, data: bytes) -> None:
        """Check and save a skill.

        Raises:
            SkillRefused: a check failed; the skill is not pulled again until `Gossip.forget`.
            SkillDeferred: the author's budget is used up; the skill is pulled again later.
            StorageError: the skill cannot be saved now.
        """

    def tombstones(self) -> frozenset[str]:
        """Return the ids of all tombstones."""

    def read_tombstone(self, tombstone_id: str) -> bytes | None:
        """Return the bytes of a tombstone, or None if the bank does not have it."""

    def admit_tombstone(self, tombstone_id: str, data: bytes) -> None:
        """Check and save a tombstone; raises the same errors as `admit`."""

    def blob(self, sha256: str) -> bytes | None:
        """Return content that is not a skill, such as a reference, by its hash; None if missing."""
