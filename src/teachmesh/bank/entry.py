"""Entries of a bank's index, and the result of a check."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from teachmesh.packet.signing import VerifiedSkill


@dataclass(frozen=True)
class BankEntry:
    """One row of the index, which can be rebuilt from the skill's file.

    Attributes:
        id: SHA-256 of the file, 64 hex digits.
        task: name of the task.
        author: Ed25519 public key, 64 hex digits.
        alias: display name of the author.
        method: name of the method with which the skill was learned.
        anchors: kinds of the skill's anchors, sorted.
        classes: names of the C classes in label order.
        has_biases: whether the skill carries beneficial biases.
        backbone_fingerprint: fingerprint of the backbone, 64 hex digits.
        size_bytes: size of the skill's file in bytes.
        created: UTC time of creation, such as "2026-11-23T11:00:00Z"; for display only.
        replaces: id of the older skill that this skill replaces; None if there is none.
        has_head: whether the skill carries a trained head.
        latent_sizes: sizes of the latents "last" and "multi" that the skill was made for; 0 if
            no part of the skill reads them.
    """

    id: str
    task: str
    author: str
    alias: str
    method: str
    anchors: tuple[str, ...]
    classes: tuple[str, ...]
    has_biases: bool
    backbone_fingerprint: str
    size_bytes: int
    created: str
    replaces: str | None
    has_head: bool
    latent_sizes: tuple[int, int]

    @property
    def n_classes(self) -> int:
        """Number of classes, C."""
        return len(self.classes)

    @classmethod
    def of(cls, verified: VerifiedSkill) -> BankEntry:
        """Build the entry for a verified skill."""
        card = verified.skill.card
        return cls(
            id=verified.id,
            task=card.task,
            author=card.author,
            alias=card.alias,
            method=card.method,
            anchors=card.anchors,
            classes=card.classes,
            has_biases=verified.skill.has_biases,
            backbone_fingerprint=card.backbone_fingerprint,
            size_bytes=len(verified.data),
            created=card.created,
            replaces=card.replaces,
            has_head=verified.skill.has_head,
            latent_sizes=verified.skill.latent_sizes(),
        )


def without_superseded(entries: list[BankEntry]) -> list[BankEntry]:
    """Drop the entries of skills that were replaced by another skill of the *same* author.

    A version whose predecessor is missing, because it was removed or withdrawn, also replaces all
    older versions of its task. So no older version becomes active because a middle one is gone. The
    result does not depend on the order in which skills arrived.
    """
    superseded = {(entry.author, entry.replaces) for entry in entries if entry.replaces}
    dropped = superseded | _before_gaps(entries)
    return [entry for entry in entries if (entry.author, entry.id) not in dropped]


def _before_gaps(entries: list[BankEntry]) -> set[tuple[str, str | None]]:
    """Return author and id of each version that is older than one without its predecessor."""
    versions: dict[tuple[str, str], list[BankEntry]] = defaultdict(list)
    for entry in entries:
        versions[entry.author, entry.task].append(entry)
    held = {(entry.author, entry.id) for entry in entries}
    found: set[tuple[str, str | None]] = set()
    for group in versions.values():
        if len(group) > 1:
            ordered = oldest_first(group)
            known = [e.replaces is None or (e.author, e.replaces) in held for e in ordered]
            gaps = [n for n, is_known in enumerate(known) if not is_known]
            found |= {(entry.author, entry.id) for entry in ordered[: max(gaps, default=0)]}
    return found


def forks(entries: Sequence[BankEntry]) -> dict[str, str]:
    """Return the skills that lose against another skill of the same author and task.

    An author that signs two versions in the same place makes a fork, for example from a copied
    home. The newest one by the author's clock wins, then the one with the largest id. So all agents
    with these skills use the same one.

    Args:
        entries: entries of skills that were not replaced.

    Returns:
        Mapping from the id of each loser to the id of the winner.
    """
    groups: dict[tuple[str, str], list[BankEntry]] = defaultdict(list)
    for entry in entries:
        groups[entry.author, entry.task].append(entry)
    lost: dict[str, str] = {}
    for group in groups.values():
        *losers, winner = sorted(group, key=lambda entry: (entry.created, entry.id))
        lost |= {loser.id: winner.id for loser in losers}
    return lost


def oldest_first(entries: Sequence[BankEntry]) -> list[BankEntry]:
    """Return versions of one task, oldest first, whatever the order of `entries`.

    Each version comes after the version that it replaces. Apart from that, the time of creation
    decides, then the id.
    """
    held = {entry.id for entry in entries}
    successors: dict[str, list[BankEntry]] = defaultdict(list)
    for entry in entries:
        successors[entry.replaces if entry.replaces in held else ""].append(entry)
    ready = [(entry.created, entry.id, entry) for entry in successors[""]]
    heapq.heapify(ready)
    ordered = []
    while ready:
        *_, entry = heapq.heappop(ready)
        ordered.append(entry)
        for successor in successors[entry.id]:
            heapq.heappush(ready, (successor.created, successor.id, successor))
    return ordered


@dataclass(frozen=True)
class CheckReport:
    """Result of `Bank.check`; all tuples are sorted, and empty if the bank is clean.

    Attributes:
        skills: number of listed skills with an intact file.
        damaged: ids of listed skills whose file has a wrong hash.
        missing: ids of listed skills that have no file.
        unlisted: names of files that are in the skill folder but not in the index.
        temporary: names of temporary files left behind by killed writers.
        removed_present: ids of removed skills that still have a file.
    """

    skills: int
    damaged: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unlisted: tuple[str, ...] = ()
    temporary: tuple[str, ...] = ()
    removed_present: tuple[str, ...] = ()

    @property
    def is_clean(self) -> bool:
        """True if nothing needs repair."""
        found = (self.damaged, self.missing, self.unlisted, self.temporary, self.removed_present)
        return not any(found)


@dataclass(frozen=True)
class Usage:
    """Part of a bank that one author uses.

    Attributes:
        skills: number of the author's skills.
        size_bytes: size of these skills in bytes.
        total: number of the skills of all authors.
    """

    skills: int
    size_bytes: int
    total: int
