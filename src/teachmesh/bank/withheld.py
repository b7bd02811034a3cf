"""Skills of an agent that are not sent to peers, in the file `withheld.json` of its home.

A skill is entered before it is saved, so that an agent that runs never sees it without the entry.
The home's setting `share` decides about new tasks; later versions of a task follow the earlier one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from teachmesh.bank.atomic import FILE_OPS, FileOps
from teachmesh.bank.shared_file import SharedFile, Stamp
from teachmesh.errors import StorageError

if TYPE_CHECKING:
    from teachmesh.packet.card import Card

SCHEMA = "teachmesh.withheld/1"
MIN_IMAGES_PER_MEAN = 10
"""With fewer images, a class mean reveals much about each image, so the skill is withheld."""
Reason = Literal["private", "ask", "none", "few", "source", "unshared"]
"""Reason why a skill is withheld.

- `private`: learned with --private. `none`, `ask`: by the home's setting `share`.
- `few`: a class has fewer than 10 training images.
- `source`: its card names a withheld skill that it was learned from.
- `unshared`: it was shared before.
"""
_SHARE = "share it with: teachmesh skills share"


@dataclass(frozen=True)
class SharePolicy:
    """Wishes about sharing a new skill.

    Attributes:
        share: the home's setting: `all`, `ask` or `none`.
        private: whether the skill is private.
        allow_few: whether classes with fewer than 10 training images may be shared.
    """

    share: str = "all"
    private: bool = False
    allow_few: bool = False


class Withheld:
    """Withheld skills by id; several processes and threads may use the file at once.

    All methods raise StorageError if the file is damaged, or cannot be read or written. So damage
    never makes a private skill public.

    Args:
        home: the agent's home folder.
        ops: disk operations; tests pass their own.

    Examples:
        >>> import tempfile
        >>> withheld = Withheld(Path(tempfile.mkdtemp()))
        >>> withheld.add(["ab" * 32], "private")
        >>> list(withheld.reasons().values())
        ['private']
    """

    def __init__(self, home: Path, ops: FileOps = FILE_OPS) -> None:
        self._file = SharedFile(home / "withheld.json", ops)
        self._known: tuple[Stamp | None, Mapping[str, Reason]] = (None, {})

    def reasons(self) -> Mapping[str, Reason]:
        """Return the reason for each withheld skill, by id."""
        stamp = self._file.stamp()
        read_at, reasons = self._known
        if stamp != read_at:
            reasons = self._read()
            self._known = (stamp, reasons)
        return reasons

    def add(self, skill_ids: Collection[str], reason: Reason) -> None:
        """Withhold skills."""
        self._change(lambda known: {**known, **dict.fromkeys(skill_ids, reason)})

    def drop(self, skill_ids: Collection[str]) -> None:
        """Withhold skills no longer."""
        self._change(lambda known: {k: v for k, v in known.items() if k not in skill_ids})

    def secret_ids(self) -> frozenset[str]:
        """Return the ids of skills that never left, so that their withdrawal must not leave either.

        A tombstone names the skill that it withdraws.
        """
        return frozenset(k for k, reason in self.reasons().items() if reason != "unshared")

    def _change(self, change: Callable[[dict[str, Reason]], dict[str, Reason]]) -> None:
        with self._file.locked():
            before = self._read()
            if (after := change(before)) != before:
                self._file.write({"schema": SCHEMA, "skills": after})

    def _read(self) -> dict[str, Reason]:
        document = self._file.read()
        if document is None:
            return {}
        try:
            skills = dict(document["skills"])
            known = set(skills.values()) <= set(get_args(Reason))
            is_valid = known and document["schema"] == SCHEMA
        except (KeyError, TypeError, ValueError):
            is_valid = False
        if not is_valid:
            raise StorageError(
                f"{self._file.path} is damaged; restore it from a backup, because it lists the "
                "skills that must not be sent"
            )
        return skills


def reason_to_withhold(
    card: Card, policy: SharePolicy, old: Card | None, known: Mapping[str, Reason]
) -> Reason | None:
    """Return why a new skill of this agent is withheld; None if it is shared.

    Args:
        card: card of the new skill.
        policy: wishes about sharing it.
        old: card of the version that it replaces; None for a new task.
        known: reasons for the skills that are withheld already, by id.
    """
    before = None if card.replaces is None else known.get(card.replaces)
    was_shared = old is not None and before is None
    if policy.private:
        return "private"
    if before in ("private", "none", "ask"):
        return before
    if before == "unshared":
        return "private"
    if policy.share == "none":
        return "none"
    if any(parent.skill in known for parent in card.parents):
        return "source"
    if has_few(card) and not policy.allow_few and not (was_shared and old and has_few(old)):
        return "few"
    return "ask" if policy.share == "ask" and not was_shared else None


def has_few(card: Card) -> bool:
    """Return whether a class has so few training images that its mean reveals much of them."""
    return min(card.images_per_class) < MIN_IMAGES_PER_MEAN


def describe_withheld(task: str, reason: Reason) -> str:
    """Return one sentence with the reason why a task is not shared, and how to share it."""
    return {
        "private": f"not shared: {task} is private; {_SHARE} {task}",
        "none": f"not shared: this agent shares no new task (share = none); {_SHARE} {task}",
        "ask": f"not shared yet (share = ask); {_SHARE} {task}",
        "few": f"not shared: a class has fewer than {MIN_IMAGES_PER_MEAN} training images, and its "
        f"mean would show much of them; learn more, or {_SHARE} {task} --allow-few",
        "source": f"not shared: it was learned from a skill that is not shared; share that first, "
        f"then {_SHARE} {task}",
        "unshared": f"no longer shared; {_SHARE} {task}",
    }[reason]
