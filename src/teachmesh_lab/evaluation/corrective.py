"""The corrective approach (paper, Sec. 7.1, Fig. 12): equivalent classes count as right.

If the mapper chooses the wrong task, a "bike" may be called "bicycle", a class of the wrong
task. For the user, this is not an error. The corrected accuracy counts such answers as right. It is
reported in addition to the plain accuracy, which is used to compare methods.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from teachmesh.agent.answers.second_passes import second_passes
from teachmesh.errors import UsageError
from teachmesh.reuse.source_skills import SourceSkills
from teachmesh.reuse.text_encoders import NameComparer, choose_encoder
from teachmesh_lab.evaluation.equivalence import (
    FIG_11_THRESHOLDS,
    Equivalence,
    compare_looks,
    find_equivalent,
)

if TYPE_CHECKING:
    from teachmesh.agent import Agent
    from teachmesh.data.images import ImageRef
    from teachmesh.mapping.accuracies import Given
    from teachmesh.mapping.decisions import Decisions
    from teachmesh.model.embedding import LabelledLatents

MAX_PAIRS = 200
"""Maximum number of pairs of equivalent classes that are listed in the document."""


@dataclass(frozen=True, eq=False)
class Answered:
    """Answers for the N test images of one task; classes are numbered consecutively over all tasks.

    Attributes:
        task: name of the task.
        truth: (N,) array of the right class of each image.
        answer: (N,) array of the class answered without a task oracle.
        together: (N,) array of the best class if the posteriors of equivalent classes are added;
            None if classes of different tasks cannot be compared.
    """

    task: str
    truth: np.ndarray
    answer: np.ndarray
    together: np.ndarray | None

    def right(self, equivalent: np.ndarray) -> float:
        """Return the fraction of answers that are right, or equivalent by a (K, K) bool matrix."""
        return _share_right(self.truth, self.answer, equivalent)

    def right_together(self, equivalent: np.ndarray) -> float | None:
        """Return the fraction of right answers in `together`; None without these answers."""
        if self.together is None:
            return None
        return _share_right(self.truth, self.together, equivalent)


def _share_right(truth: np.ndarray, answer: np.ndarray, equivalent: np.ndarray) -> float:
    return float(np.mean((answer == truth) | equivalent[truth, answer]))


def correct(
    agent: Agent,
    tests: Mapping[str, LabelledLatents],
    threshold: float,
    comparer: NameComparer,
    images: Mapping[str, Sequence[ImageRef]] | None = None,
) -> dict[str, Any]:
    """Compute accuracies that count equivalent classes of other tasks as right.

    Args:
        agent: agent with one skill per task; the skill has the task's name.
        tests: task -> latents and labels of the test images.
        threshold: lowest similarity of equivalent classes, above 0 and at most 1.
        comparer: comparer of class names.
        images: task -> the test images, for second passes; if None, biases are not used.

    Returns:
        Plain and corrected accuracies, per task and on average. Classes are compared by names
        alone (as in the paper) and, if skills have class moments, by names and looks. There is one
        row for each threshold (the given one and those of Fig. 11), and one for nearest classes.
        `direct_together` is *direct* if equivalent classes are one class, whose posterior is their
        sum.
    """
    sources = SourceSkills(agent.sources(), comparer)
    thresholds = sorted({threshold, *FIG_11_THRESHOLDS})
    ways = _ways(sources, thresholds)
    chosen = ways.get("names_and_looks", ways["names"])[threshold]
    answered = _answer(agent, tests, chosen, threshold, images)
    rows = [
        _row(way, t, equivalence.equivalent(t), answered)
        for way, found in ways.items()
        for t, equivalence in found.items()
    ]
    rows += [_row(way, "rank 1", e[threshold].nearest(1), answered) for way, e in ways.items()]
    return {
        "encoder": comparer.name,
        "threshold": threshold,
        "looks": "names_and_looks" in ways,
        "plain": [{"name": a.task, "right": a.right(_nothing(a))} for a in answered],
        "corrected": rows,
        "direct_together": _direct_together(answered, chosen.equivalent(threshold)),
        "equivalent": _listed(chosen, threshold),
        "n_equivalent": {way: len(e[threshold].pairs(threshold)) for way, e in ways.items()},
    }


def choose_comparer(threshold: float | None, encoder: str | None) -> NameComparer | None:
    """Return the comparer of class names, or None if `threshold` is None.

    Args:
        threshold: lowest similarity of equivalent classes, or None.
        encoder: name for `reuse.text_encoders.choose_encoder`; None for "auto".

    Raises:
        UsageError: an invalid threshold, an unknown encoder, or an encoder without a threshold.
        MissingExtraError: the encoder is not installed.
    """
    if threshold is None:
        if encoder is not None:
            raise UsageError(
                "expected --corrective with a threshold, got --encoder alone; class names are "
                "compared only for corrected accuracies"
            )
        return None
    if not 0 < threshold <= 1:
        raise UsageError(f"expected a threshold above 0 and up to 1, got {threshold:g}")
    return choose_encoder(encoder or "auto")


def _ways(
    sources: SourceSkills, thresholds: Sequence[float]
) -> dict[str, dict[float, Equivalence]]:
    """Return comparison -> threshold -> equivalence; "names_and_looks" needs class moments."""
    known, comparer, transform = sources.source_tasks(), sources.comparer, sources.transform()
    by_names = find_equivalent(known, comparer)
    ways = {"names": dict.fromkeys(thresholds, by_names)}
    if transform is not None:
        looks = compare_looks(known, transform)
        ways["names_and_looks"] = {
            t: find_equivalent(known, comparer, looks, t) for t in thresholds
        }
    return ways


def _answer(
    agent: Agent,
    tests: Mapping[str, LabelledLatents],
    order: Equivalence,
    threshold: float,
    images: Mapping[str, Sequence[ImageRef]] | None,
) -> list[Answered]:
    student, equivalent = agent.sync(), order.equivalent(threshold)
    infos = {info.task: info for info in agent.infos() if info.usable}
    answered = []
    for name, test in tests.items():
        decisions = student.decide(test.latents)
        starts = np.array([order.column(skill_id, 0) for skill_id in decisions.skill_ids])
        given = second_passes(agent, decisions, images[name] if images else None)
        tasks, classes = given(decisions.answer()[0]).answer()
        truth = order.column(infos[name].id, 0) + test.labels
        pooled = None
        if decisions.comparable:
            pooled = _best_together(decisions, given, starts, equivalent)
        answered.append(Answered(name, truth, starts[tasks] + classes, pooled))
    return answered


def _best_together(
    decisions: Decisions, given: Given, starts: np.ndarray, equivalent: np.ndarray
) -> np.ndarray:
    """Return each image's best class if the posteriors of equivalent classes are added, (N,).

    Args:
        decisions: decisions of the first pass.
        given: function that runs second passes.
        starts: position of each task's first class among all classes.
        equivalent: (K, K) bool matrix of equivalent classes.
    """
    sizes = zip(starts, decisions.n_classes, strict=True)
    columns = np.concatenate([start + np.arange(size) for start, size in sizes])
    added = equivalent[np.ix_(columns, columns)].astype(np.float64)

    def best(found: Decisions) -> np.ndarray:
        scores = found.joint() if found.direct is None else found.direct
        return np.asarray((np.exp(scores) @ added).argmax(axis=1))

    tasks, _ = decisions.locate(best(decisions))
    return np.asarray(columns[best(given(tasks))])


def _nothing(answered: Answered) -> np.ndarray:
    size = int(max(answered.truth.max(), answered.answer.max())) + 1
    return np.zeros((size, size), dtype=bool)


def _direct_together(answered: Sequence[Answered], equivalent: np.ndarray) -> dict[str, Any] | None:
    """Return *direct* with equivalent classes as one; None if classes cannot be compared."""
    right = {a.task: a.right_together(equivalent) for a in answered}
    known = [share for share in right.values() if share is not None]
    if len(known) < len(right):
        return None
    return {"tasks": right, "mean": float(np.mean(known))}


def _row(
    way: str, threshold: float | str, equivalent: np.ndarray, answered: Sequence[Answered]
) -> dict[str, Any]:
    right = {a.task: a.right(equivalent) for a in answered}
    return {
        "by": way,
        "threshold": threshold,
        "tasks": right,
        "mean": float(np.mean(list(right.values()))),
    }


def _listed(equivalence: Equivalence, threshold: float) -> list[dict[str, Any]]:
    owners = [(task.task, name) for task in equivalence.tasks for name in task.classes]
    return [
        {"one": list(owners[i]), "other": list(owners[j]), "similarity": round(score, 4)}
        for i, j, score in equivalence.pairs(threshold)[:MAX_PAIRS]
    ]
