"""The corrective approach (paper, Sec. 7.1, Fig. 12): an answer that names the same thing is right.

An image of a "bike" of one task answered by "bicycle" of another is a failure of the mapper and no
error for whoever asked. This counts such answers as right **beside** the plain accuracy, never
instead of it: plain figures are what methods are compared by.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from teachmesh.errors import UsageError
from teachmesh.reuse.source_skills import SourceSkills
from teachmesh.reuse.text_encoders import NameComparer, choose_encoder
from teachmesh_lab.evaluation.equivalence import (
    FIG_11_THRESHOLDS,
    Equivalence,
    compare_looks,
    find_equivalent,
)
from teachmesh_lab.evaluation.measure import second_passes

if TYPE_CHECKING:
    from teachmesh.agent import Agent
    from teachmesh.data.images import ImageRef
    from teachmesh.model.embedding import LabelledLatents

MAX_PAIRS = 200
"""Equivalent classes that the document lists; it says how many there are."""


@dataclass(frozen=True, eq=False)
class Answered:
    """What an agent answered to the test images of one task, as columns of all classes.

    Attributes:
        task: the task.
        truth: (N,) column of the right class.
        answer: (N,) column of the answer, nobody having named the task.
    """

    task: str
    truth: np.ndarray
    answer: np.ndarray

    def right(self, same: np.ndarray) -> float:
        """Share of answers that are right if classes marked in `same` (K, K) are one."""
        return float(np.mean((self.answer == self.truth) | same[self.truth, self.answer]))


def correct(
    agent: Agent,
    tests: Mapping[str, LabelledLatents],
    threshold: float,
    comparer: NameComparer,
    images: Mapping[str, Sequence[ImageRef]] | None = None,
) -> dict[str, Any]:
    """Count answers of another task whose class is the same thing.

    Args:
        agent: knows one skill for each of the tasks, under the task's name.
        tests: by task, latents and labels of the test images.
        threshold: similarity from which classes are the same, above 0 and up to 1.
        comparer: compares class names.
        images: by task, where these images are, for second passes; without them biases are not
            used.

    Returns:
        Per task and on average the plain accuracy and the corrected ones: by names alone (the
        paper's way) and, where skills have class moments ("looks"), by names that looks confirm;
        at the given threshold, at those of Fig. 11, and by rank.

    """
    knowledge = SourceSkills(agent.sources(), comparer)
    thresholds = sorted({threshold, *FIG_11_THRESHOLDS})
    ways = _ways(knowledge, thresholds)
    by_names = ways["names"][threshold]
    answered = _answer(agent, tests, by_names, images)
    rows = [
        _row(way, t, equivalence.equivalent(t), answered)
        for way, found in ways.items()
        for t, equivalence in found.items()
    ]
    rows += [_row(way, "rank 1", e[threshold].nearest(1), answered) for way, e in ways.items()]
    chosen = ways.get("names_and_looks", ways["names"])[threshold]
    return {
        "encoder": comparer.name,
        "threshold": threshold,
        "looks": "names_and_looks" in ways,
        "plain": [{"name": a.task, "right": a.right(_nothing(a))} for a in answered],
        "corrected": rows,
        "equivalent": _listed(chosen, threshold),
        "n_equivalent": {way: len(e[threshold].pairs(threshold)) for way, e in ways.items()},
    }


def choose_comparer(threshold: float | None, encoder: str | None) -> NameComparer | None:
    """What compares names, or None where nothing is to be corrected; asked before any learning.

    Args:
        threshold: similarity from which classes are the same, or None.
        encoder: see `reuse.text_encoders.choose_encoder`; None for "auto".

    Raises:
        UsageError: a threshold that is none, an unknown encoder, or one without a threshold.
        MissingExtraError: the encoder that was asked for is not installed.
    """
    if threshold is None:
        if encoder is not None:
            raise UsageError(
                "expected --corrective with a threshold beside --encoder, got --encoder alone; "
                "names of classes are compared for it only"
            )
        return None
    if not 0 < threshold <= 1:
        raise UsageError(f"expected a threshold above 0 and up to 1, got {threshold:g}")
    return choose_encoder(encoder or "auto")


def _ways(
    knowledge: SourceSkills, thresholds: Sequence[float]
) -> dict[str, dict[float, Equivalence]]:
    """By way and threshold; without class moments nobody can look, and names are the only way."""
    known, comparer, transform = knowledge.source_tasks(), knowledge.comparer, knowledge.transform()
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
    images: Mapping[str, Sequence[ImageRef]] | None,
) -> list[Answered]:
    student = agent.sync()
    infos = {info.task: info for info in agent.skills() if info.usable}
    answered = []
    for name, test in tests.items():
        decisions = student.decide(test.latents)
        starts = np.array([order.column(skill_id, 0) for skill_id in decisions.skill_ids])
        given = second_passes(agent, decisions, images[name] if images else None)
        tasks, classes = given(decisions.answer()[0]).answer()
        truth = order.column(infos[name].id, 0) + test.labels
        answered.append(Answered(name, truth, starts[tasks] + classes))
    return answered


def _nothing(answered: Answered) -> np.ndarray:
    size = int(max(answered.truth.max(), answered.answer.max())) + 1
    return np.zeros((size, size), dtype=bool)


def _row(
    way: str, threshold: float | str, same: np.ndarray, answered: Sequence[Answered]
) -> dict[str, Any]:
    right = {a.task: a.right(same) for a in answered}
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
