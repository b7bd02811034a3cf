"""Save the skills of an agent, and decide which of its tasks are sent to peers."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from teachmesh.bank.withheld import (
    MIN_IMAGES_PER_MEAN,
    SharePolicy,
    describe_withheld,
    has_few,
    reason_to_withhold,
)
from teachmesh.data.names import shown
from teachmesh.errors import DataError, StorageError, UsageError
from teachmesh.packet.signing import sign

if TYPE_CHECKING:
    from teachmesh.bank.entry import BankEntry
    from teachmesh.bank.store import Bank
    from teachmesh.bank.withheld import Withheld
    from teachmesh.packet.card import Card
    from teachmesh.packet.signing import AgentKey
    from teachmesh.packet.skill import Skill

_log = logging.getLogger(__name__)


class Owner(Protocol):
    """The agent whose tasks are shared: a `BankView`."""

    bank: Bank
    withheld: Withheld

    @property
    def key(self) -> AgentKey:
        """The agent's signing key."""

    def own_author(self) -> str | None:
        """Return the public key of the agent; None if it has no key yet."""

    def choose_own(self, task: str) -> list[BankEntry]:
        """Return the versions of the agent's task that are not withdrawn."""


@dataclass(frozen=True)
class SharedTask:
    """Result of sharing or unsharing a task.

    Attributes:
        task: name of the task.
        skills: ids of the skills whose state changed.
        shared: whether they are shared now.
    """

    task: str
    skills: tuple[str, ...]
    shared: bool

    def to_json(self) -> dict[str, Any]:
        """Return the result as a JSON object."""
        return {"task": self.task, "skills": list(self.skills), "shared": self.shared}


def save_own(view: Owner, skill: Skill, policy: SharePolicy) -> BankEntry:
    """Sign a skill of this agent and save it; peers never see it if it is withheld.

    Args:
        view: the author.
        skill: the skill.
        policy: wishes about sharing it.

    Raises:
        StorageError: the skill cannot be saved.
    """
    verified = sign(skill, view.key)
    old = _replaced_card(view, skill.card)
    reason = reason_to_withhold(skill.card, policy, old, view.withheld.reasons())
    if reason is not None:
        view.withheld.add([verified.id], reason)
        _log.info("%s", describe_withheld(skill.card.task, reason))
    return view.bank.put(verified)


def share_task(view: Owner, task: str, *, allow_few: bool = False) -> SharedTask:
    """Share a task of this agent that is withheld.

    Only the active version is sent; those that it replaced stay here.

    Args:
        view: the author.
        task: name of the task, or the start of its id.
        allow_few: whether classes with fewer than 10 training images may be shared.

    Raises:
        DataError: no skill matches, or it was withdrawn.
        UsageError: another agent is the author, or the task must not be shared as it is.
    """
    chosen = _active(view, task)
    reasons = view.withheld.reasons()
    for entry in chosen:
        _check_shareable(view.bank.load(entry.id).skill.card, reasons, allow_few=allow_few)
    ids = tuple(entry.id for entry in chosen if entry.id in reasons)
    view.withheld.drop(ids)
    return SharedTask(chosen[0].task, ids, shared=True)


def unshare_task(view: Owner, task: str) -> SharedTask:
    """Send a task of this agent to nobody any more; copies that were sent stay.

    Args:
        view: the author.
        task: name of the task, or the start of the id of one version.

    Raises:
        DataError: no skill matches, or it was withdrawn.
        UsageError: another agent is the author.
    """
    chosen, reasons = view.choose_own(task), view.withheld.reasons()
    ids = tuple(entry.id for entry in chosen if entry.id not in reasons)
    view.withheld.add(ids, "unshared")
    return SharedTask(chosen[0].task, ids, shared=False)


def sent_tombstones(view: Owner) -> frozenset[str]:
    """Return the ids of tombstones that peers may have.

    Those of skills that never left are kept back, because a tombstone names its skill.
    """
    found = frozenset(view.bank.withdrawals.ids())
    secret = view.withheld.secret_ids()
    author = view.own_author() if secret else None
    if author is None:
        return found
    own = view.bank.withdrawals.named_by(author)
    return found - {tombstone for tombstone, skill in own.items() if skill in secret}


def _active(view: Owner, task: str) -> list[BankEntry]:
    """Return the active versions among those that a name or id stands for."""
    active = {entry.id for entry in view.bank.active()}
    chosen = [entry for entry in view.choose_own(task) if entry.id in active]
    if not chosen:
        raise DataError(
            f"expected an active version, '{shown(task)}' was replaced; name the task instead"
        )
    return chosen


def _check_shareable(card: Card, withheld: Collection[str], *, allow_few: bool) -> None:
    sources = sorted({parent.skill[:12] for parent in card.parents if parent.skill in withheld})
    if sources:
        raise UsageError(
            f"expected '{shown(card.task)}' to be learned from shared skills only, its card names "
            f"{', '.join(sources[:8])}; share that first, or learn it again without --reuse"
        )
    if has_few(card) and not allow_few:
        raise UsageError(
            f"expected --allow-few, because a class of '{shown(card.task)}' has fewer than "
            f"{MIN_IMAGES_PER_MEAN} training images, and its mean shows much of them"
        )


def _replaced_card(view: Owner, card: Card) -> Card | None:
    """Return the card of the version that a skill replaces; None if it is not here."""
    if card.replaces is None:
        return None
    try:
        return view.bank.load(card.replaces).skill.card
    except StorageError:
        return None
