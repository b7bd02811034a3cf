"""Match the classes of a new task with classes of old tasks, by name and visual similarity.

Names alone cannot distinguish a hand sign "3" from a printed one. Visual similarity alone cannot
tell that a photograph and a sketch both show a dog. Pairs with similar names are therefore only
candidates. They are confirmed if all candidates of two tasks look alike on average
(`visual_similarity.confirm`). Equal names are homonyms if their classes look no more alike than
unrelated classes. Classes that look very similar match even if their names differ.

The thresholds were chosen on training images of the tasks in docs/results/reuse_measured.md. The
matching results on that page show the fit to these tasks, not the accuracy on other tasks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from teachmesh.errors import UsageError
from teachmesh.reuse.class_names import Label, read_labels
from teachmesh.reuse.text_encoders import NameComparer
from teachmesh.reuse.visual_similarity import VisualSimilarity, compare, confirm

MODES = ("auto", "text", "vision")
NAME_ALONE = 0.90
"""Minimum name similarity for a match without visual confirmation (the paper's Fig. 11)."""
NAME_CONFIRMED = 0.75
"""Minimum name similarity for a match with visual confirmation."""
LOOKS_ALONE = 0.40
"""Minimum cosine at which mutual nearest neighbours match without similar names."""
_TIE_BREAK = 1e-9
"""Bonus that breaks ties; it is smaller than any real difference between similarities."""


@dataclass(frozen=True, eq=False)
class SourceTask:
    """The classes of one old task.

    Attributes:
        skill_id: id of the task's skill.
        task: display name of the task.
        author: alias of the skill's author.
        classes: C class names in label order.
        means: (C, D) float64 class means of multi-depth latents; None if the skill has none.
    """

    skill_id: str
    task: str
    author: str
    classes: tuple[str, ...]
    means: np.ndarray | None = None

    @cached_property
    def labels(self) -> tuple[Label, ...]:
        """The cleaned class names."""
        return read_labels(self.classes)


@dataclass(frozen=True)
class Match:
    """An old class that matches a new class.

    Attributes:
        skill_id: id of the old task's skill.
        task: display name of the old task.
        label: index of the class in the old task.
        class_name: name of the class in the old task.
        author: alias of the skill's author.
        score: name similarity, or visual similarity for a match by vision only; 0 to 1.
        by: basis of the match: "text", "vision" or "text+vision".
        cosine: visual similarity, -1 to 1; None if only names were compared.
    """

    skill_id: str
    task: str
    label: int
    class_name: str
    author: str
    score: float
    by: str
    cosine: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the match in the format of `teachmesh match --json`."""
        return {
            "task": self.task,
            "class": self.class_name,
            "author": self.author,
            "score": round(self.score, 4),
            "by": self.by,
        }


def check_mode(mode: str) -> None:
    """Reject an unknown matching mode.

    Raises:
        UsageError: the mode is unknown.
    """
    if mode not in MODES:
        raise UsageError(f"expected matching by one of {', '.join(MODES)}, got {mode!r}")


def match_classes(
    classes: Sequence[str],
    tasks: Sequence[SourceTask],
    comparer: NameComparer,
    *,
    means: np.ndarray | None = None,
    transform: np.ndarray | None = None,
    mode: str = "auto",
) -> tuple[tuple[Match, ...], ...]:
    """Find the matches of every new class in the old tasks.

    Args:
        classes: C class names of the new task, in label order.
        tasks: old tasks.
        comparer: comparer for class names.
        means: (C, D) class means of a few shots; None to match by names only.
        transform: (D, D) whitening of the bank's covariance, see `visual_similarity.whitening`.
        mode: "text" for names only, "vision" for visual similarity only, "auto" for both.

    Returns:
        The matches of each class, at most one per old task, best first. Matches with equal scores
        are sorted by visual similarity.

    Raises:
        UsageError: the mode is unknown.
    """
    check_mode(mode)
    labels = read_labels(classes)
    found: list[list[Match]] = [[] for _ in classes]
    for task in tasks:
        looks = None
        if mode != "text" and not (means is None or transform is None or task.means is None):
            looks = compare(means, task.means, transform)
        names = np.zeros((len(labels), len(task.classes)))
        if mode != "vision":
            names = comparer.similarity(labels, task.labels)
        same_spelling = np.array([[name == other for other in task.classes] for name in classes])
        for i, j, score, by in find_pairs(names, looks, mode, same_spelling):
            cosine = None if looks is None else float(looks.cosine[i, j])
            match = Match(
                task.skill_id, task.task, j, task.classes[j], task.author, float(score), by, cosine
            )
            found[i].append(match)
    return tuple(tuple(sorted(row, key=_best_first)) for row in found)


def _best_first(match: Match) -> tuple[float, float, str, int]:
    cosine = -1.0 if match.cosine is None else match.cosine
    return -match.score, -cosine, match.skill_id, match.label


def find_pairs(
    names: np.ndarray,
    looks: VisualSimilarity | None,
    mode: str,
    same_spelling: np.ndarray | None = None,
) -> list[tuple[int, int, float, str]]:
    """Match two tasks: return (new class, old class, score, by) tuples, at most one per class.

    Args:
        names: (A, B) name similarities; ignored if the mode is "vision".
        looks: visual similarity of the two tasks; None to match by names only.
        mode: one of `MODES`.
        same_spelling: (A, B) bool matrix of equal original names; see `mutual_names`.
    """
    looks = None if mode == "text" else looks
    least = NAME_ALONE if looks is None else NAME_CONFIRMED
    named = [] if mode == "vision" else mutual_names(names, least, same_spelling)
    if looks is None:
        return [(i, j, names[i, j], "text") for i, j in named]
    chosen = {i: (i, j, float(names[i, j]), "text+vision") for i, j in confirm(named, looks)}
    used = {j for _, j, _, _ in chosen.values()}
    for i, j in looks.mutual():
        score = float(looks.cosine[i, j])
        if score >= LOOKS_ALONE and i not in chosen and j not in used:
            chosen[i] = (i, j, score, "vision")
    return [chosen[i] for i in sorted(chosen)]


def mutual_names(
    names: np.ndarray, threshold: float, same_spelling: np.ndarray | None = None
) -> list[tuple[int, int]]:
    """Return the pairs of classes whose names are each other's best match.

    Args:
        names: (A, B) name similarities.
        threshold: minimum similarity of a pair.
        same_spelling: (A, B) bool, True for names that are equal even before cleaning. These names
            win ties: "TShirt" matches "TShirt" rather than "t_shirt".

    >>> mutual_names(np.array([[1.0, 0.0], [0.8, 0.0]]), 0.7)  # "bedroom", "living room"
    [(0, 0)]
    """
    rank = names if same_spelling is None else names + _TIE_BREAK * same_spelling
    pairs = []
    for i, row in enumerate(rank):
        j = int(row.argmax())
        if names[i, j] >= threshold and row[j] >= rank[:, j].max():
            pairs.append((i, j))
    return pairs


def confirmed(names: np.ndarray, looks: VisualSimilarity, threshold: float) -> np.ndarray:
    """Set to 0 the name similarities that visual similarity does not confirm.

    Similarities below the threshold are kept. However, if no pair at or above the threshold is
    confirmed, all similarities become 0.

    Args:
        names: (C, C') name similarities of the classes of two tasks.
        looks: visual similarity of the same classes.
        threshold: minimum similarity of the pairs that need confirmation.
    """
    candidates = np.argwhere(names >= threshold)
    sure = set(confirm([(int(i), int(j)) for i, j in candidates], looks))
    if not sure and len(candidates):
        return np.zeros_like(names)
    kept = np.array(names)
    for i, j in candidates:
        if (i, j) not in sure:
            kept[i, j] = 0.0
    return kept
