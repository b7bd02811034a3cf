"""Refine the within-task decisions of the first pass with those of a second pass with biases."""

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
    """Decisions of the biased network on images that were mapped to one task.

    Attributes:
        task: index of the task in the order of the skills.
        rows: (n,) indices of the images.
        posteriors: (n, C) log posteriors of the classes of the task.
        weight: weight of these decisions when they are fused with those of the first pass.
    """

    task: int
    rows: np.ndarray
    posteriors: np.ndarray
    weight: float


def refine(decisions: Decisions, biased: Iterable[BiasedDecision]) -> Decisions:
    """Fuse the within-task posteriors of both passes; the task posteriors do not change.

    Posteriors that are not finite, which biases of an untrusted peer can cause, are ignored.

    Args:
        decisions: decisions of the first pass.
        biased: decisions of the second pass, at most one per task and image.
    """
    within: dict[int, np.ndarray] = {}
    direct = None if decisions.direct is None else decisions.direct.copy()
    starts = np.cumsum([0, *decisions.n_classes])
    for found in biased:
        good = np.isfinite(found.posteriors).all(axis=1)
        rows, task = found.rows[good], found.task
        before = within[task] if task in within else decisions.within[task].copy()
        fused = fuse(before[rows], found.posteriors[good], found.weight)
        before[rows] = fused
        within[task] = before
        if direct is not None:
            block = slice(starts[task], starts[task + 1])
            mass = np.logaddexp.reduce(direct[rows, block], axis=1, keepdims=True)
            direct[rows, block] = mass + fused
    return replace(decisions, within=decisions.within.replaced(within), direct=direct)


def tasks_in_question(decisions: Decisions) -> np.ndarray:
    """Return, for each image, the index of the task whose biases are used in its second pass.

    A second pass does not change the task of an image, so one task per image is enough.
    """
    return decisions.mapped()
