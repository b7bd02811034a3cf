"""Equivalent classes among all tasks of a bank (paper, Sec. 7.1, Fig. 11).

The paper compares class names by cosine similarity with a threshold "empirically chosen for now":
0.90 and 0.95 in its Fig. 11. If the bank has class means, equivalent classes must also
look alike here, so that homonyms stay different.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from teachmesh.reuse.matching import SourceTask, confirmed
from teachmesh.reuse.text_encoders import NameComparer
from teachmesh.reuse.visual_similarity import VisualSimilarity, compare_directions, directions

FIG_11_THRESHOLDS = (0.90, 0.95)
Looks = Mapping[tuple[int, int], VisualSimilarity]
"""(task, later task) -> visual similarity of their classes, for tasks with class means."""


@dataclass(frozen=True, eq=False)
class Equivalence:
    """Similarity of all classes of all tasks.

    Attributes:
        tasks: the tasks, in canonical order.
        similarity: (K, K) float64 matrix for the K classes of all tasks, task after task. It is
            symmetric, with 1 on the diagonal and 0 between different classes of a task.
    """

    tasks: tuple[SourceTask, ...]
    similarity: np.ndarray

    def column(self, skill_id: str, label: int) -> int:
        """Return the position of a class among all classes.

        Raises:
            KeyError: no task has this skill id.
        """
        start = 0
        for task in self.tasks:
            if task.skill_id == skill_id:
                return start + label
            start += len(task.classes)
        raise KeyError(skill_id)

    def equivalent(self, threshold: float) -> np.ndarray:
        """Return a (K, K) bool matrix: True for classes that are equivalent at a threshold."""
        return np.asarray(self.similarity >= threshold)

    def nearest(self, rank: int = 1) -> np.ndarray:
        """Return a (K, K) bool matrix: True for pairs of mutual nearest classes.

        Within its own task, each class of a pair is among the `rank` most similar to its partner.
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
        """Return (class, class, similarity) of equivalent classes, most similar pairs first."""
        upper = np.triu(self.similarity, 1)
        found = [(int(i), int(j), float(upper[i, j])) for i, j in np.argwhere(upper >= threshold)]
        return sorted(found, key=lambda pair: (-pair[2], pair[0], pair[1]))


def compare_looks(tasks: Sequence[SourceTask], transform: np.ndarray) -> Looks:
    """Compute the visual similarity of the classes of each pair of tasks.

    Args:
        tasks: the tasks, in canonical order.
        transform: (D, D) whitening transform from `visual_similarity.whitening`.
    """
    seen = [None if t.means is None else directions(t.means, transform) for t in tasks]
    return {
        (a, b): compare_directions(one, other)
        for (a, one), (b, other) in itertools.combinations(enumerate(seen), 2)
        if one is not None and other is not None
    }


def find_equivalent(
    tasks: Sequence[SourceTask],
    comparer: NameComparer,
    looks: Looks | None = None,
    threshold: float = min(FIG_11_THRESHOLDS),
) -> Equivalence:
    """Compute the similarity of all classes of all tasks.

    Args:
        tasks: the tasks, in canonical order.
        comparer: comparer of class names.
        looks: result of `compare_looks`, to confirm matches; None to use only names.
        threshold: lowest name similarity at which `looks` must confirm a match.
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
