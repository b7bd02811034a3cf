"""All classes of a bank among themselves: which are the same thing (paper, Sec. 7.1, Fig. 11).

The paper takes the cosine of class names and a threshold "empirically chosen for now", 0.90 and
0.95 in its Fig. 11. Where the bank has class means, looks have to agree here, so that two things
of one name stay two.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from teachmesh.reuse.matching import KnownTask
from teachmesh.reuse.text_encoders import NameComparer
from teachmesh.reuse.visual_similarity import Likeness, compare_directions, confirm, directions

FIG_11_THRESHOLDS = (0.90, 0.95)
Looks = Mapping[tuple[int, int], Likeness]
"""(task, later task) -> how alike their classes look, for tasks with class means."""


@dataclass(frozen=True, eq=False)
class Equivalence:
    """Similarity of all classes of all tasks.

    Attributes:
        tasks: the tasks, in canonical order.
        similarity: (K, K) float64, K classes of all tasks one after another; symmetric, 1 on the
            diagonal, 0 between classes of one task: a task's own classes are never the same.
    """

    tasks: tuple[KnownTask, ...]
    similarity: np.ndarray

    def column(self, skill_id: str, label: int) -> int:
        """Position of a class among all classes.

        Raises:
            KeyError: no such skill.
        """
        start = 0
        for task in self.tasks:
            if task.skill_id == skill_id:
                return start + label
            start += len(task.classes)
        raise KeyError(skill_id)

    def equivalent(self, threshold: float) -> np.ndarray:
        """(K, K) bool, which classes count as the same at a threshold."""
        return np.asarray(self.similarity >= threshold)

    def nearest(self, rank: int = 1) -> np.ndarray:
        """(K, K) bool, classes that are among each other's `rank` most similar of a task.

        Needs no threshold: of each other task the most similar classes, mutually.
        """
        chosen = np.eye(len(self.similarity), dtype=bool)
        bounds = np.cumsum([0, *(len(task.classes) for task in self.tasks)])
        for start, end in itertools.pairwise(bounds):
            block = self.similarity[:, start:end]
            order = np.argsort(-block, axis=1, kind="stable")[:, :rank]
            rows = np.arange(len(block))[:, None]
            chosen[rows, start + order] |= block[rows, order] > 0
        return np.asarray(chosen & chosen.T)

    def pairs(self, threshold: float) -> list[tuple[int, int, float]]:
        """(class, class, similarity) of different tasks at a threshold, the most similar first."""
        upper = np.triu(self.similarity, 1)
        found = [(int(i), int(j), float(upper[i, j])) for i, j in np.argwhere(upper >= threshold)]
        return sorted(found, key=lambda pair: (-pair[2], pair[0], pair[1]))

    def same_as(self, column: int, threshold: float) -> list[tuple[KnownTask, int, float]]:
        """(task, label, similarity) of the classes that are the same as one, the surest first."""
        owners = [(task, label) for task in self.tasks for label in range(len(task.classes))]
        row = self.similarity[column]
        return [
            (*owners[j], float(row[j]))
            for j in np.argsort(-row, kind="stable")
            if j != column and row[j] >= threshold
        ]


def look_at(tasks: Sequence[KnownTask], transform: np.ndarray) -> Looks:
    """Compare the looks of all classes of all tasks.

    Args:
        tasks: in canonical order.
        transform: (D, D) from `visual.whitening`.
    """
    seen = [None if t.means is None else directions(t.means, transform) for t in tasks]
    return {
        (a, b): compare_directions(one, other)
        for (a, one), (b, other) in itertools.combinations(enumerate(seen), 2)
        if one is not None and other is not None
    }


def find_equivalent(
    tasks: Sequence[KnownTask],
    comparer: NameComparer,
    looks: Looks | None = None,
    threshold: float = min(FIG_11_THRESHOLDS),
) -> Equivalence:
    """Compare all classes of all tasks.

    Args:
        tasks: in canonical order.
        comparer: compares names.
        looks: of `look_at`, which confirm names; None for names alone, the paper's way.
        threshold: similarity of names from which looks are asked.
    """
    bounds = np.cumsum([0, *(len(task.classes) for task in tasks)])
    similarity = np.eye(int(bounds[-1]))
    labels = [task.labels for task in tasks]
    for a, b in itertools.combinations(range(len(tasks)), 2):
        names = comparer.similarity(labels[a], labels[b])
        if looks is not None and (a, b) in looks:
            names = confirmed(names, looks[a, b], threshold)
        rows, columns = slice(bounds[a], bounds[a + 1]), slice(bounds[b], bounds[b + 1])
        similarity[rows, columns] = names
        similarity[columns, rows] = names.T
    return Equivalence(tuple(tasks), similarity)


def confirmed(names: np.ndarray, likeness: Likeness, threshold: float) -> np.ndarray:
    """Similarities of names, 0 for those at the threshold or above that looks do not confirm.

    Args:
        names: (C, C') similarities of two tasks.
        likeness: of these tasks.
        threshold: similarity from which a name counts.
    """
    likely = np.argwhere(names >= threshold)
    sure = set(confirm([(int(i), int(j)) for i, j in likely], likeness))
    if not sure and len(likely):
        return np.zeros_like(names)  # no name of these two tasks is to be trusted
    kept = np.array(names)
    for i, j in likely:
        if (i, j) not in sure:
            kept[i, j] = 0.0
    return kept
