"""Decisions of the first pass, refined by what a second pass with biases says within a task."""

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
    """What the biased network says about some images of one task.

    Attributes:
        task: position of the task among the skills.
        rows: (n,) positions of the images.
        posteriors: (n, C) log posteriors of the task's classes.
        weight: share in the whole decision.
    """

    task: int
    rows: np.ndarray
    posteriors: np.ndarray
    weight: float


def refine(decisions: Decisions, opinions: Iterable[BiasedDecision]) -> Decisions:
    """Decisions with the classes within tasks weighed anew; how likely the tasks are stays.

    Opinions with numbers that are not finite (a stranger's biases can do that) change nothing.

    Args:
        decisions: of the first pass.
        opinions: at most one per task and image.
    """
    within = list(decisions.within)
    direct = None if decisions.direct is None else decisions.direct.copy()
    starts = np.cumsum([0, *[part.shape[1] for part in within]])
    for opinion in opinions:
        good = np.isfinite(opinion.posteriors).all(axis=1)
        rows, task = opinion.rows[good], opinion.task
        fused = fuse(within[task][rows], opinion.posteriors[good], opinion.weight)
        within[task] = within[task].copy()
        within[task][rows] = fused
        if direct is not None:
            block = slice(starts[task], starts[task + 1])
            mass = np.logaddexp.reduce(direct[rows, block], axis=1, keepdims=True)
            direct[rows, block] = mass + fused
    return replace(decisions, within=tuple(within), direct=direct)


def tasks_in_question(decisions: Decisions) -> np.ndarray:
    """(N,) position of the task whose biases an image deserves a second pass with.

    One per image, which is what an answer costs at most. Where all classes of all tasks compete,
    the refined answer may be a class of another task, whose classes then stand as the first pass
    left them. A pass with that task's biases could move the answer once more, or back: how likely
    the tasks are is not known any better for it.
    """
    return decisions.answer()[0]
