"""Rows of a bank's index, and the result of a check."""

from __future__ import annotations

from dataclasses import dataclass

from teachmesh.packet.signing import VerifiedSkill


@dataclass(frozen=True)
class BankEntry:
    """One row of the index; all of it can be read again from the skill's file.

    Attributes:
        id: SHA-256 of the file, 64 hex digits.
        task: name of the task.
        author: Ed25519 public key, 64 hex digits.
        alias: the author's name for people.
        method: name of the method it was learned with.
        anchors: kinds of the anchors inside, sorted.
        n_classes: number of classes C.
        backbone_fingerprint: 64 hex digits.
        size_bytes: size of the file.
        created: UTC time "2026-11-23T11:00:00Z"; display only.
        replaces: id of the skill that it replaces, or None.
    """

    id: str
    task: str
    author: str
    alias: str
    method: str
    anchors: tuple[str, ...]
    n_classes: int
    backbone_fingerprint: str
    size_bytes: int
    created: str
    replaces: str | None

    @classmethod
    def of(cls, verified: VerifiedSkill) -> BankEntry:
        """Summarise a skill."""
        card = verified.skill.card
        return cls(
            id=verified.id,
            task=card.task,
            author=card.author,
            alias=card.alias,
            method=card.method,
            anchors=card.anchors,
            n_classes=len(card.classes),
            backbone_fingerprint=card.backbone_fingerprint,
            size_bytes=len(verified.data),
            created=card.created,
            replaces=card.replaces,
        )


def without_superseded(entries: list[BankEntry]) -> list[BankEntry]:
    """Leave out every skill that another one of the *same* author replaces.

    The result depends on the set alone, not on the order of arrival. Nobody can supersede
    another author's skill.
    """
    superseded = {(entry.author, entry.replaces) for entry in entries if entry.replaces}
    return [entry for entry in entries if (entry.author, entry.id) not in superseded]


@dataclass(frozen=True)
class CheckReport:
    """Result of `Bank.check`; every tuple is sorted, and all are empty in a clean bank.

    Attributes:
        skills: number of skills that are listed and whole.
        damaged: ids of listed files whose bytes do not hash to their name.
        missing: ids that are listed but have no file.
        unlisted: names of files among the skills that the index does not list.
        temporary: names of temporary files that a killed writer left.
        removed_present: ids that were removed here but still have a file.
    """

    skills: int
    damaged: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unlisted: tuple[str, ...] = ()
    temporary: tuple[str, ...] = ()
    removed_present: tuple[str, ...] = ()

    @property
    def is_clean(self) -> bool:
        """Return whether nothing needs repair."""
        found = (self.damaged, self.missing, self.unlisted, self.temporary, self.removed_present)
        return not any(found)
