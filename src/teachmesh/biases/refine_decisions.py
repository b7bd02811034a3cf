"""Refine the decisions of the first pass with those of a second pass within a task."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from teachmesh.mapping.fusion import fuse

if TYPE_CHECKING:
    from teachmesh.mapping.decisions import Decisions


@dataclass(frozen=True, eq=False)
class BiasedDecision:
    """Decision of the biased network on some images of one task.

    Attributes:
        task: position of the task among the skills.
        rows: (n,) positions of the images.
        posteriors: (n, C) log posteriors of the classes of the task.
        weight: weight in the fused decision.
    """

    task: int
    rows: np.ndarray
    posteriors: np.ndarray
    weight: float


def refine(decisions: Decisions, biased: Iterable[BiasedDecision]) -> Decisions:
    """Replace the within-task posteriors; keep the task posteriors.

    Numbers that are not finite, which biases of an untrusted peer can cause, change nothing.

    Args:
        decisions: decisions of the first pass.
        biased: decisions of the second pass, at most one per task and image.
    """
    within = list(decisions.within)
    direct = None if decisions.direct is None else decisions.direct.copy()
    starts = np.cumsum([0, *[part.shape[1] for part in within]])
    for found in biased:
        good = np.isfinite(found.posteriors).all(axis=1)
        rows, task = found.rows[good], found.task
        fused = fuse(within[task][rows], found.posteriors[good], found.weight)
        within[task] = within[task].copy()
        within[task][rows] = fused
        if direct is not None:
            block = slice(starts[task], starts[task + 1])
            mass = np.logaddexp.reduce(direct[rows, block], axis=1, keepdims=True)
            direct[rows, block] = mass + fused
    return replace(decisions, within=tuple(within), direct=direct)


def tasks_in_question(decisions: Decisions) -> np.ndarray:
    """Return (N,) the position of the task whose biases each image gets a second pass with.

    There is one task per image, which bounds the cost of an answer. If all classes of all tasks
    compete, the refined answer may be a class of another task, without a second pass of its own.
    A further pass with the biases of that task could move the answer again, or back. It would not
    improve the task posteriors.
    """
    return decisions.answer()[0]
