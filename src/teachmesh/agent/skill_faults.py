"""Errors that the content of one skill causes while an agent answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from teachmesh.errors import StorageError, TeachmeshError

T = TypeVar("T")


MACHINE_FAULTS = (StorageError, OSError, MemoryError)
"""Faults of this machine, not of a skill."""


class SkillFault(TeachmeshError):
    """One skill of the bank cannot answer; the other skills can.

    Args:
        skill_id: id of the skill.
        reason: one sentence.
    """

    def __init__(self, skill_id: str, reason: str) -> None:
        super().__init__(f"the skill {skill_id[:12]} cannot be used: {reason}")
        self.skill_id = skill_id
        self.reason = reason


def guarded(skill_id: str, compute: Callable[[], T]) -> T:
    """Compute a value from one skill.

    Raises:
        SkillFault: the content of the skill made the computation fail.
        StorageError: the file of the skill is damaged.
    """
    try:
        return compute()
    except MACHINE_FAULTS:
        raise
    except Exception as error:  # a skill of a peer must not stop an agent
        raise SkillFault(skill_id, f"{type(error).__name__}: {error}") from error


def finite(skill_id: str, compute: Callable[[], np.ndarray]) -> np.ndarray:
    """Compute scores from one skill, as `guarded`; scores that are not finite are a fault."""
    scores = guarded(skill_id, compute)
    if not np.isfinite(scores).all():
        raise SkillFault(skill_id, "its scores are not finite")
    return scores


def check_scores(keys: Sequence[str], task: np.ndarray) -> None:
    """Check the (N, T) scores of tasks; minus infinity is a valid score.

    Raises:
        SkillFault: a score of a skill is NaN or plus infinity.
    """
    for t in np.flatnonzero((np.isnan(task) | np.isposinf(task)).any(axis=0)):
        raise SkillFault(keys[int(t)], "its scores are not finite")
