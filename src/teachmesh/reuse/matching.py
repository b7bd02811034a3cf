"""Match the classes of a new task with classes of old tasks, by names and looks.

Names alone cannot distinguish a hand sign "3" from a printed one. Looks alone cannot find that a
photograph and a sketch both show a dog. So pairs with similar names are candidates, and looks
confirm all candidates of two tasks together (`visual_similarity.confirm`). Names of classes that
look no more alike than unrelated classes are homonyms. Classes that look very much alike match
without a name.

The thresholds were chosen on training images of the tasks in docs/results/reuse_measured.md. The
matching figures there therefore describe the fit to these tasks, not the accuracy on other tasks.
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
"""Name similarity from which classes match without looks (the paper's Fig. 11)."""
NAME_CONFIRMED = 0.75
"""Name similarity from which classes match if looks confirm it."""
LOOKS_ALONE = 0.40
"""Cosine from which mutual nearest neighbours match without a name."""
_TIE_BREAK = 1e-9
"""Smaller than any real difference of two similarities."""


@dataclass(frozen=True, eq=False)
class SourceTask:
    """The classes of one old task.

    Attributes:
        skill_id: the skill of this task.
        task: display name.
        author: alias of the author.
        classes: C names in label order.
        means: (C, D) float64 class means of multi-depth latents; None for a skill without them.
    """

    skill_id: str
    task: str
    author: str
    classes: tuple[str, ...]
    means: np.ndarray | None = None

    @cached_property
    def labels(self) -> tuple[Label, ...]:
        """The cleaned names."""
        return read_labels(self.classes)


@dataclass(frozen=True)
class Match:
    """An old class that a new class matches.

    Attributes:
        skill_id: skill of the old task.
        task: display name of the old task.
        label: position of the class in that task.
        class_name: name of the class there.
        author: alias of the skill's author.
        score: 0 to 1; similarity of the names, or of the looks for a match without names.
        by: "text", "vision" or "text+vision".
        cosine: visual similarity, -1 to 1; None if looks were not used.
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
        """Return the match as in `teachmesh match --json`."""
        return {
            "task": self.task,
            "class": self.class_name,
            "author": self.author,
            "score": round(self.score, 4),
            "by": self.by,
        }


def check_mode(mode: str) -> None:
    """Refuse an unknown mode of matching.

    Raises:
        UsageError: unknown mode.
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
        classes: C names of the new task, in label order.
        tasks: the old tasks.
        comparer: compares names.
        means: (C, D) class means of a few shots; None to match by names only.
        transform: (D, D) from `visual_similarity.whitening` of the bank's covariance.
        mode: "auto" for both, "text" for names only, "vision" for looks only.

    Returns:
        The matches of each class, at most one per old task. The best comes first; among equal
        scores, the most similar in looks.

    Raises:
        UsageError: unknown mode.
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
    """Return (new class, old class, score, by) for one old task; each new class at most once.

    Args:
        names: (A, B) similarities of names; ignored for "vision".
        looks: visual similarity; None to match by names only.
        mode: one of `MODES`.
        same_spelling: (A, B) bool, see `mutual_names`.
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
    """Return the pairs of classes whose names are most similar to each other.

    Args:
        names: (A, B) similarities.
        threshold: smallest similarity of a pair.
        same_spelling: (A, B) bool, True for names that are equal before cleaning. It breaks ties:
            "TShirt" matches "TShirt" rather than "t_shirt".

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
    """Set similarities of names to 0 where looks do not confirm them.

    Similarities below the threshold stay, unless looks confirm no pair of the two tasks: then all
    become 0.

    Args:
        names: (C, C') similarities of two tasks.
        looks: visual similarity of these tasks.
        threshold: similarity from which a pair needs confirmation.
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
