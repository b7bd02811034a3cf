"""What an agent gathers before it learns a task: latents, images, and the skill to be replaced."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

from teachmesh.errors import UsageError

if TYPE_CHECKING:
    from teachmesh.bank.store import Bank


def predecessor(
    bank: Bank, author: str, task: str, *, replace: bool, else_use: str = "--name"
) -> str | None:
    """Id of the author's own skill of a task, which a new one takes the place of.

    Args:
        bank: where it would be.
        author: public key.
        task: its name.
        replace: whether it may be replaced.
        else_use: what else a person can do, for the message.

    Raises:
        UsageError: there is one, and it may not.
    """
    mine = [e for e in bank.active() if e.author == author and e.task == task]
    if mine and not replace:
        raise UsageError(
            f"expected a task that this agent has not learned, but it learned {task!r} "
            f"already (skill {mine[0].id[:12]}); use --replace or {else_use}"
        )
    return mine[0].id if mine else None


def earlier_ids(bank: Bank, author: str, task: str) -> frozenset[str]:
    """Ids of all skills that an author made of a task, also of those that were replaced.

    They saw the images that the task is learned from again: to it they are no others.
    """
    return frozenset(e.id for e in bank.entries() if e.author == author and e.task == task)


def now() -> str:
    """The time as cards write it."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
