"""Few shots with class moments: alone, after one old task, after several."""

from __future__ import annotations

from functools import partial

import numpy as np

from teachmesh.learning.fit_method import fit_method, log_within
from teachmesh.model.head_training import fit_head
from teachmesh.reuse.moments_prior import BankPrior, MatchedClasses
from teachmesh.reuse.moments_transfer import gate_moments, scores_within_task
from teachmesh_lab.studies.reuse_data import (
    Cell,
    Known,
    Plan,
    Tasks,
    accuracy,
    cell,
    ordered_pairs,
    read_pairs,
    shared_classes,
    taken_from,
)
from teachmesh_lab.studies.reuse_matching import Pairs


def few_shot(
    pairs: Pairs,
    new: Known,
    olds: tuple[str, ...],
    shots: int,
    seeds: int,
    *,
    all_answers: bool = True,
) -> Cell:
    """Right answers given the task, alone and with the old tasks, over seeds.

    Where nothing is borrowed there is nothing to tell apart: answers are kept if `all_answers`.
    """
    moments = tuple(pairs.tasks[old].anchor.moments() for old in olds)
    kinds: list[str] = []
    right: list[list[list[int]]] = []
    matched = 0
    for seed in range(seeds if shots else 1):
        drawn = new.shots(shots, seed)
        alone = pairs.alone(new, shots, seed)
        means = new.means_of(drawn)
        transform = pairs.transform(olds)
        found = [group(pairs, new.name, old, means, transform) for old in olds]
        bank = BankPrior(moments, tuple(group for group in found if group is not None))
        matched += sum(group is not None for group in found)
        borrowed = gate_moments(alone, drawn.latents.multi, drawn.labels, len(new.classes), bank)
        kinds.append(borrowed.kind)
        if borrowed.kind == "nothing":
            assert borrowed.anchor is alone
        if borrowed.kind == "nothing" and not all_answers:
            right.append([])
            continue
        answers = scores_within_task((alone, borrowed.anchor), new.test.latents.multi, bank)
        right.append([(a.argmax(1) == new.test.labels).astype(int).tolist() for a in answers])
    return {"kinds": kinds, "right": right, "matched": matched}


def group(
    pairs: Pairs, new: str, old: str, means: np.ndarray, transform: np.ndarray
) -> MatchedClasses | None:
    """The matched classes of one old task; None where there are none."""
    found = pairs.found(new, old, means, transform)
    if not found:
        return None
    task, rows = pairs.tasks[old], [j for _, j in found]
    return MatchedClasses(
        np.array([i for i, _ in found]), task.anchor.class_means()[rows], task.rows[rows]
    )


def part_few(tasks: Tasks, plan: Plan) -> None:
    """All ordered pairs, those that share most come first; a folder per kind of matching."""
    pairs = Pairs(tasks, plan.reuse)
    folder = "few" if plan.reuse == "auto" else f"few-{plan.reuse}"
    for shots in plan.shots:
        for new, old, share in ordered_pairs(tasks):
            measure = partial(few_of_pair, pairs, tasks[new], old, share, shots, plan.seeds)
            cell(plan.out, f"{folder}/{shots}/{new}--{old}", measure)


def few_of_pair(pairs: Pairs, new: Known, old: str, share: float, shots: int, seeds: int) -> Cell:
    """`few_shot` after one old task, which has such a share of the new classes."""
    found = few_shot(pairs, new, (old,), shots, seeds, all_answers=share > 0)
    return {**found, "shared": share}


def part_nobody(tasks: Tasks, plan: Plan) -> None:
    """Every task as an agent learns it that knows nothing: class moments, and the paper's head."""
    for shots in plan.shots:
        for new in tasks.values():
            cell(plan.out, f"nobody/{shots}/{new.name}", partial(nobody, new, shots, plan.seeds))


def nobody(new: Known, shots: int, seeds: int) -> Cell:
    """Accuracy given the task of both, over the seeds of `few_shot` and `heads`."""
    result: Cell = {"moments": [], "head": []}
    held = new.validation if not shots else None
    for seed in range(seeds if shots else 1):
        train, asked = new.shots(shots, seed), taken_from(new.train, slice(0))
        fitted = fit_method("moments", train, asked, len(new.classes))
        answers = log_within(fitted, "moments", new.test.latents).argmax(1)
        result["moments"].append(float(np.mean(answers == new.test.labels)))
        asked = held or asked
        x, y = train.latents.last, train.labels
        vx, vy = asked.latents.last, asked.labels
        trained = fit_head(x, y, vx, vy, len(new.classes), seed=seed)
        result["head"].append(accuracy(trained.head, new.test))
    return result


def part_kin(tasks: Tasks, plan: Plan) -> None:
    """Every task after all tasks that share a class with it by the hand-made list."""
    relation = read_pairs()
    for new in tasks.values():
        olds = tuple(o.name for o in tasks.values() if shared_classes(new, o, relation))
        olds = tuple(old for old in olds if old != new.name)
        if len(olds) > 1:
            _after(tasks, new, olds, "prior", plan)


def part_bank(tasks: Tasks, plan: Plan) -> None:
    """Every task after all others."""
    for new in tasks.values():
        olds = tuple(old for old in tasks if old != new.name)
        _after(tasks, new, olds, "bank", plan)


def _after(tasks: Tasks, new: Known, olds: tuple[str, ...], part: str, plan: Plan) -> None:
    pairs = Pairs(tasks)  # the transform of many tasks is of use for one new task only
    for shots in plan.shots:
        measure = partial(few_shot, pairs, new, olds, shots, plan.seeds)
        cell(plan.out, f"{part}/{shots}/{new.name}", measure)
