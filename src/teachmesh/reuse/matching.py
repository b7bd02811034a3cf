"""Which classes of old tasks a new class is: by name, by looks, by both together.

A name alone cannot tell a hand sign "3" from a printed one, and looks alone cannot tell that a
photograph and a sketch both show a dog. So names propose and looks confirm, all matched classes of
a pair of tasks together (`confirming`): if they look no more alike than any two classes do, the
names were homonyms. Where looks are beyond doubt, no name is needed.

The thresholds were chosen on training images of the tasks in docs/results/reuse.md: what stands
there of matching is how well they fit these tasks, not how they fit others.
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
from teachmesh.reuse.visual_similarity import Likeness, compare, confirm

MODES = ("auto", "text", "vision")
NAME_ALONE = 0.90
"""Similarity of names that counts without a look (the paper's Fig. 11)."""
NAME_CONFIRMED = 0.75
"""Similarity of names that counts if the classes look alike too."""
LOOKS_ALONE = 0.40
"""Cosine of mutual nearest neighbours that counts without a name."""
_SPELLED = 1e-9
"""Breaks ties only: similarities that differ, differ by more."""


@dataclass(frozen=True, eq=False)
class KnownTask:
    """What the bank says of one old task.

    Attributes:
        skill_id: the skill that knows it.
        task: display name.
        author: alias of who taught it.
        classes: C names in label order.
        means: (C, D) float64 class means of multi-depth latents; None where the skill has none.
    """

    skill_id: str
    task: str
    author: str
    classes: tuple[str, ...]
    means: np.ndarray | None = None

    @cached_property
    def labels(self) -> tuple[Label, ...]:
        """The names, cleaned."""
        return read_labels(self.classes)


@dataclass(frozen=True)
class Match:
    """One old class that a new class may be.

    Attributes:
        skill_id: the skill that knows it.
        task: display name of its task.
        label: its position in that task.
        class_name: its name there.
        author: alias of who taught it.
        score: 0 to 1; similarity of the names, or of the looks where there is no name.
        by: "text", "vision" or "text+vision".
        cosine: of their looks, -1 to 1; None where looks took no part.
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
        """The match as in `teachmesh match --json`."""
        return {
            "task": self.task,
            "class": self.class_name,
            "author": self.author,
            "score": round(self.score, 4),
            "by": self.by,
        }


def check_mode(mode: str) -> None:
    """Refuse a way of matching that there is not.

    Raises:
        UsageError: an unknown mode.
    """
    if mode not in MODES:
        raise UsageError(f"expected matching by one of {', '.join(MODES)}, got {mode!r}")


def match_classes(
    classes: Sequence[str],
    known: Sequence[KnownTask],
    comparer: NameComparer,
    *,
    means: np.ndarray | None = None,
    transform: np.ndarray | None = None,
    mode: str = "auto",
) -> tuple[tuple[Match, ...], ...]:
    """Find for every new class what the bank knows of it.

    Args:
        classes: C names of the new task, in label order.
        known: the old tasks.
        comparer: compares names.
        means: (C, D) class means of a few shots; without them only names count.
        transform: (D, D) from `visual.whitening` of the bank's covariance.
        mode: "auto" for both, "text" for names alone, "vision" for looks alone.

    Returns:
        For each class its matches, best first, of equal scores the most alike first; at most one
        per old task.

    Raises:
        UsageError: an unknown mode.
    """
    check_mode(mode)
    labels = read_labels(classes)
    found: list[list[Match]] = [[] for _ in classes]
    for task in known:
        likeness = None
        if mode != "text" and not (means is None or transform is None or task.means is None):
            likeness = compare(means, task.means, transform)
        names = np.zeros((len(labels), len(task.classes)))
        if mode != "vision":
            names = comparer.similarity(labels, task.labels)
        spelled = np.array([[name == other for other in task.classes] for name in classes])
        for i, j, score, by in pairs_of(names, likeness, mode, spelled):
            cosine = None if likeness is None else float(likeness.cosine[i, j])
            match = Match(
                task.skill_id, task.task, j, task.classes[j], task.author, float(score), by, cosine
            )
            found[i].append(match)
    return tuple(tuple(sorted(row, key=_best_first)) for row in found)


def _best_first(match: Match) -> tuple[float, float, str, int]:
    cosine = -1.0 if match.cosine is None else match.cosine
    return -match.score, -cosine, match.skill_id, match.label


def pairs_of(
    names: np.ndarray, likeness: Likeness | None, mode: str, spelled: np.ndarray | None = None
) -> list[tuple[int, int, float, str]]:
    """(new class, old class, score, by) for one old task; each new class at most once.

    Args:
        names: (A, B) similarities of names; "vision" does not look at them.
        likeness: of the looks; None to go by names alone.
        mode: one of `MODES`.
        spelled: (A, B) bool, see `mutual_names`.
    """
    looks = None if mode == "text" else likeness
    least = NAME_ALONE if looks is None else NAME_CONFIRMED
    named = [] if mode == "vision" else mutual_names(names, least, spelled)
    if looks is None:
        return [(i, j, names[i, j], "text") for i, j in named]
    confirmed = confirm(named, looks)
    chosen = {i: (i, j, float(names[i, j]), "text+vision") for i, j in confirmed}
    taken = {j for _, j, _, _ in chosen.values()}
    for i, j in looks.mutual():
        score = float(looks.cosine[i, j])
        if score >= LOOKS_ALONE and i not in chosen and j not in taken:
            chosen[i] = (i, j, score, "vision")
    return [chosen[i] for i in sorted(chosen)]


def mutual_names(
    names: np.ndarray, threshold: float, spelled: np.ndarray | None = None
) -> list[tuple[int, int]]:
    """Pairs of classes each of which has no better name than the other's.

    Args:
        names: (A, B) similarities.
        threshold: least similarity.
        spelled: (A, B) bool, names that are equal before they are cleaned: of equally similar
            names these are better ("TShirt" is "TShirt" rather than "t_shirt").

    >>> mutual_names(np.array([[1.0, 0.0], [0.8, 0.0]]), 0.7)  # "bedroom", "living room"
    [(0, 0)]
    """
    rank = names if spelled is None else names + _SPELLED * spelled
    pairs = []
    for i, row in enumerate(rank):
        j = int(row.argmax())
        if names[i, j] >= threshold and row[j] >= rank[:, j].max():
            pairs.append((i, j))
    return pairs
