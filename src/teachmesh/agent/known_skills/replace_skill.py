"""Replace a skill by a new version, unless the new one is worse (`learn --replace`)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from teachmesh.agent.known_skills.skill_names import listed
from teachmesh.data.names import comparison_key, shown
from teachmesh.errors import UsageError

if TYPE_CHECKING:
    from teachmesh.bank.entry import BankEntry
    from teachmesh.bank.store import Bank
    from teachmesh.packet.card import Card

_Z = 1.959963984540054
"""Quantile of the normal distribution for a two-sided interval of 95 %."""


def skill_to_replace(
    bank: Bank, author: str, task: str, *, replace: bool, else_use: str = "--name"
) -> BankEntry | None:
    """Return the author's active skill for a task; None if there is none.

    Args:
        bank: bank of the author.
        author: public key of the author.
        task: name of the task.
        replace: whether the skill may be replaced.
        else_use: alternative to --replace that the error message suggests.

    Raises:
        UsageError: a skill exists, and `replace` is False; or several versions are active, of which
            a new skill can replace only one.
    """
    mine = [e for e in bank.current() if e.author == author and e.task == task]
    if mine and not replace:
        raise UsageError(
            f"expected a task that this agent has not learned, but it learned {task!r} "
            f"already (skill {mine[0].id[:12]}); use --replace or {else_use}"
        )
    if len(mine) > 1:
        raise UsageError(
            f"expected one active version of {task!r} to replace, this agent has {len(mine)} "
            f"({listed(e.id[:12] for e in mine)}); remove all but one: teachmesh skills withdraw ID"
        )
    return mine[0] if mine else None


def check_alone(bank: Bank, author: str, task: str) -> None:
    """Check that a task has no parts, of which its skill is always a function.

    Args:
        bank: bank of the author.
        author: public key of the author.
        task: name of the task.

    Raises:
        UsageError: the task has parts.
    """
    if bank.parts.live((author, task)):
        raise UsageError(
            f"expected a task without parts, but the skill of '{shown(task)}' is always that of "
            "its parts; add images with --add-to, or withdraw a part: teachmesh skills "
            f"withdraw-part (list them with: teachmesh skills parts {shown(task)})"
        )


def earlier_versions(bank: Bank, author: str, task: str) -> frozenset[str]:
    """Return the ids of all skills that an author made for a task, including replaced ones.

    Earlier versions used the same images, so they are not independent sources for the task.
    """
    return frozenset(e.id for e in bank.entries() if e.author == author and e.task == task)


def check_force(*, replace: bool, force: bool) -> None:
    """Check that `force` is given together with `replace`.

    Raises:
        UsageError: only `force` is given.
    """
    if force and not replace:
        raise UsageError("expected --replace together with --force, got --force alone")


def find_predecessor(bank: Bank, new: Card) -> BankEntry | None:
    """Return the active version that a new skill replaces; None if no version is active.

    Args:
        bank: bank of the author.
        new: card of the new skill.

    Raises:
        UsageError: another process learned the task after the new skill was begun.
    """
    old = skill_to_replace(bank, new.author, new.task, replace=True)
    if old is not None and old.id != new.replaces:
        raise UsageError(
            f"expected no other version of '{shown(new.task)}' while this one was made, but "
            f"another process saved skill {old.id[:12]}, which stays; use --replace to replace it"
        )
    return old


def check_classes(old: BankEntry, classes: Sequence[str]) -> None:
    """Check that a new version has all classes of the old one; spelling in capitals may differ.

    Args:
        old: the version to replace.
        classes: names of the new version's classes.

    Raises:
        UsageError: a class would vanish.
    """
    kept = {comparison_key(name) for name in classes}
    lost = [name for name in old.classes if comparison_key(name) not in kept]
    if lost:
        raise UsageError(
            f"expected all {len(old.classes)} classes of '{shown(old.task)}' in its new version "
            f"too, which has {len(classes)} classes and lacks {listed(lost)}; the old version "
            "stays, use --force to replace it anyway"
        )


def check_accuracy(old: Card, new: Card) -> None:
    """Check that a new version is not worse on validation images than the old one.

    Args:
        old: card of the version to replace.
        new: card of the new version.

    Raises:
        UsageError: the 95 % interval of the fall lies above 0, see `fall_interval`.
    """
    low, _ = fall_interval(*_counts(old), *_counts(new))
    if low > 0:
        raise UsageError(
            f"expected the new version of '{shown(new.task)}' to be no worse than the old one, but "
            f"right on validation images are {_share(new)} instead of {_share(old)}; the old "
            "version stays, use --force to replace it anyway"
        )


def fall_interval(
    old_right: int, old_images: int, new_right: int, new_images: int
) -> tuple[float, float]:
    """Return the 95 % interval of the fall of an accuracy, old minus new.

    One right and one wrong answer are added to each sample (Agresti and Caffo, 2000). So the
    interval covers the true fall also with few images, and it is wide without images.

    Args:
        old_right: number of right answers of the old version.
        old_images: number of images that the old version was tested on.
        new_right: number of right answers of the new version.
        new_images: number of images that the new version was tested on.

    Examples:
        >>> low, high = fall_interval(95, 100, 80, 100)
        >>> f"{low:.3f} {high:.3f}"
        '0.056 0.238'
    """
    old, old_variance = _proportion(old_right, old_images)
    new, new_variance = _proportion(new_right, new_images)
    half_width = _Z * math.sqrt(old_variance + new_variance)
    return old - new - half_width, old - new + half_width


def _proportion(right: int, images: int) -> tuple[float, float]:
    """Return the proportion with two added answers, and its variance."""
    share = (right + 1) / (images + 2)
    return share, share * (1 - share) / (images + 2)


def _counts(card: Card) -> tuple[int, int]:
    """Return the numbers of right answers and of validation images; 0, 0 if none were tested."""
    if card.validation_accuracy is None:
        return 0, 0
    return round(card.validation_accuracy * card.validation_images), card.validation_images


def _share(card: Card) -> str:
    right, images = _counts(card)
    return f"{100 * right / max(images, 1):.1f} % of {images}"
