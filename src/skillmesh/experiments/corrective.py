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

from skillmesh.agent.knowledge import Knowledge
from skillmesh.errors import UsageError
from skillmesh.reuse.equivalence import FIG_11_THRESHOLDS, Equivalence, find_equivalent
from skillmesh.reuse.text import choose_encoder

if TYPE_CHECKING:
    from skillmesh.agent import Agent
    from skillmesh.training.embedding import LabelledLatents

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
    agent: Agent, tests: Mapping[str, LabelledLatents], threshold: float, encoder: str
) -> dict[str, Any]:
    """Count answers of another task whose class is the same thing.

    Args:
        agent: knows one skill for each of the tasks, under the task's name.
        tests: by task, latents and labels of the test images.
        threshold: similarity from which classes are the same, above 0 and up to 1.
        encoder: see `reuse.text.choose_encoder`.

    Returns:
        Per task and on average the plain accuracy and the corrected ones: by names alone (the
        paper's way) and by names that looks confirm; at the given threshold, at those of Fig. 11,
        and by rank.

    Raises:
        UsageError: a threshold that is none.
    """
    if not 0 < threshold <= 1:
        raise UsageError(f"expected a threshold above 0 and up to 1, got {threshold:g}")
    knowledge = Knowledge(agent.sources(), choose_encoder(encoder))
    known = knowledge.known()
    ways = {
        "names": find_equivalent(known, knowledge.comparer),
        "names_and_looks": find_equivalent(known, knowledge.comparer, knowledge.transform()),
    }
    answered = _answer(agent, tests, ways["names"])
    thresholds = sorted({threshold, *FIG_11_THRESHOLDS})
    rows = [_row(way, t, e.equivalent(t), answered) for way, e in ways.items() for t in thresholds]
    rows += [_row(way, "rank 1", e.nearest(1), answered) for way, e in ways.items()]
    chosen = ways["names_and_looks"]
    return {
        "encoder": knowledge.comparer.name,
        "threshold": threshold,
        "plain": [{"name": a.task, "right": a.right(_nothing(a))} for a in answered],
        "corrected": rows,
        "equivalent": _listed(chosen, threshold),
        "n_equivalent": {way: len(e.pairs(threshold)) for way, e in ways.items()},
    }


def _answer(
    agent: Agent, tests: Mapping[str, LabelledLatents], order: Equivalence
) -> list[Answered]:
    student = agent.sync()
    infos = {info.task: info for info in agent.skills() if info.usable}
    answered = []
    for name, test in tests.items():
        decisions = student.decide(test.latents)
        starts = np.array([order.column(skill_id, 0) for skill_id in decisions.skill_ids])
        tasks, classes = decisions.answer()
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
