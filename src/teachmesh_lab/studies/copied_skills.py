"""Study of skills that copy another task, without any defence at admission."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from teachmesh.mapping.anchor_kinds import MAX_SPREAD, MomentsAnchor
from teachmesh.mapping.mapper import without_ties
from teachmesh.mapping.metric import Metric
from teachmesh.mapping.moments import MomentsMapper
from teachmesh_lab.studies.reuse_tasks import ReusePlan, StudyTask
from teachmesh_lab.studies.study_cells import (
    Study,
    StudyCell,
    StudyResult,
    Values,
    markdown,
    select,
)

FIRST = "0"
"""First character of keys that sort before those of all tasks."""
COPIES = 8


def attackers(anchor: MomentsAnchor) -> Iterator[tuple[str, dict[str, MomentsAnchor]]]:
    """Yield the name of each attack on a task, and the skills that the attacker sends by key.

    Args:
        anchor: class moments of the attacked task.
    """
    yield "an exact copy whose id sorts first", {FIRST: anchor}
    yield f"{COPIES} exact copies", {f"{FIRST}{i}": anchor for i in range(COPIES)}
    yield "one-class copies of all class means", dict(_one_class_copies(anchor))
    yield "a skill with the largest covariance", {FIRST: _wide(anchor)}
    yield "24 skills with the largest covariance", {f"{FIRST}{i}": _wide(anchor) for i in range(24)}


def _one_class_copies(anchor: MomentsAnchor) -> Iterator[tuple[str, MomentsAnchor]]:
    rows = ("means", "mean_scales", "head", "head_scales", "head_bias")
    for label in range(anchor.n_classes):
        part = {name: getattr(anchor, name)[label : label + 1] for name in rows}
        yield f"{FIRST}{label:04}", dataclasses.replace(anchor, **part)


def _wide(anchor: MomentsAnchor) -> MomentsAnchor:
    """Return the anchor with the largest covariance that is admitted."""
    widest = np.array([0.99 * MAX_SPREAD], dtype=np.float32)
    return dataclasses.replace(anchor, rest=widest, variances=0 * anchor.variances)


@dataclass(frozen=True, eq=False)
class HonestBank:
    """Honest tasks, and the evidence of each for the test images of all.

    Attributes:
        tasks: the tasks.
        keys: key of each task in the mapper, sorted.
        latents: (N, D) latents of all test images.
        evidence: (N, T) scores of the mapper.
    """

    tasks: Sequence[StudyTask]
    keys: tuple[str, ...]
    latents: np.ndarray
    evidence: np.ndarray

    @classmethod
    def of(cls, tasks: Sequence[StudyTask]) -> HonestBank:
        """Score the test images of all tasks."""
        keys = tuple(f"1{number:04}" for number in range(len(tasks)))
        latents = np.concatenate([task.test.latents.multi for task in tasks])
        anchors = dict(zip(keys, (task.anchor for task in tasks), strict=True))
        return cls(tasks, keys, latents, _evidence(tasks[0].metric, anchors, latents))


def _evidence(metric: Metric, anchors: dict[str, MomentsAnchor], latents: np.ndarray) -> np.ndarray:
    mapper = MomentsMapper(metric)
    for key, anchor in anchors.items():
        mapper.add(key, anchor)
    return mapper.score(latents).task


def copies(plan: ReusePlan) -> Study:
    """Return the study of copied skills, one cell per attacked task."""
    bank = cache(lambda: HonestBank.of(list(plan.tasks.values())))

    def measure(cell: StudyCell) -> Values:
        return measure_attacks(bank(), list(plan.tasks).index(cell.arguments["task"]))

    return Study(
        [plan.inputs.cell("copies", (name,), tuple(plan.tasks), task=name) for name in plan.tasks],
        measure,
    )


def measure_attacks(bank: HonestBank, attacked: int) -> Values:
    """Measure how many images of the attacked task and of the others are mapped right.

    The evidence of a task does not depend on other tasks, so the attackers are scored alone.

    Args:
        bank: the honest tasks.
        attacked: position of the attacked task.

    Returns:
        For each attack, under "attacks", the fraction of test images that are mapped to the right
        task: of the attacked task, and the mean over the others.
    """
    metric = bank.tasks[0].metric
    found: Values = {"nothing": _right(bank, bank.evidence, bank.keys, attacked)}
    for name, skills in attackers(bank.tasks[attacked].anchor):
        keys = (*sorted(skills), *bank.keys)
        scores = np.hstack([_evidence(metric, skills, bank.latents), bank.evidence])
        found[name] = _right(bank, scores, keys, attacked)
    return {"attacks": found}


def _right(
    bank: HonestBank, scores: np.ndarray, keys: tuple[str, ...], attacked: int
) -> dict[str, float]:
    chosen = without_ties(scores.copy(), keys, bank.latents).argmax(axis=1)
    first = len(keys) - len(bank.keys)
    sizes = [len(task.test) for task in bank.tasks]
    parts = np.split(chosen - first, np.cumsum(sizes)[:-1])
    right = [float(np.mean(part == number)) for number, part in enumerate(parts)]
    own = right.pop(attacked)
    return {"attacked": own, "others": float(np.mean(right))}


def copies_table(results: Sequence[StudyResult]) -> Iterator[str]:
    """Yield the table of the study: mean accuracies of the mapper over the attacked tasks."""
    found = select(results, "copies")
    attacks = list(found[0].values["attacks"]) if found else []
    rows = [["attack", "attacked task", "other tasks"]]
    for attack in attacks:
        shares = [r.values["attacks"][attack] for r in found]
        pairs = [(share["attacked"], share["others"]) for share in shares]
        own, others = np.mean(pairs, axis=0)
        rows.append([attack, f"{100 * own:.1f}", f"{100 * others:.1f}"])
    yield markdown(rows)
