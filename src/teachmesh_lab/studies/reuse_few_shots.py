"""Class moments fitted to few shots: without old tasks, after one old task, after several."""

from __future__ import annotations

import numpy as np

from teachmesh.learning.fit_method import fit_method, log_within
from teachmesh.model.head_training import fit_head
from teachmesh.reuse.moments_prior import BankPrior, MatchedClasses
from teachmesh.reuse.moments_transfer import gate_moments, scores_within_task
from teachmesh_lab.studies.reuse_matching import PairMatcher
from teachmesh_lab.studies.reuse_tasks import (
    ReusePlan,
    StudyTask,
    accuracy,
    ordered_pairs,
    read_pairs,
    shared_classes,
    take_rows,
)
from teachmesh_lab.studies.study_cells import Study, StudyCell, Values


def few(plan: ReusePlan) -> Study:
    """Return the study of all ordered task pairs; pairs with the most shared classes come first."""
    matcher = PairMatcher(plan.tasks, plan.reuse)

    def measure(cell: StudyCell) -> Values:
        values = cell.arguments
        new, shared = plan.tasks[values["new"]], values["shared"]
        # If no class is shared and nothing is transferred, there is nothing to compare.
        right = _learn_after(
            matcher, new, (values["old"],), values["shots"], values["seeds"], all_answers=shared > 0
        )
        return {**right, "shared": shared}

    cells = [
        plan.inputs.cell(
            "few",
            (plan.reuse, shots, new, old),
            (new, old),
            new=new,
            old=old,
            shots=shots,
            seeds=plan.draws(shots),
            reuse=plan.reuse,
            encoder=matcher.comparer.name,
            shared=shared,
            **plan.settings.arguments(),
        )
        for shots in plan.shots
        for new, old, shared in ordered_pairs(plan.tasks)
    ]
    return Study(cells, measure)


def alone(plan: ReusePlan) -> Study:
    """Return the study of class moments and the paper's head on each task, without old tasks."""

    def measure(cell: StudyCell) -> Values:
        values = cell.arguments
        return _learn_alone(plan.tasks[values["new"]], values["shots"], values["seeds"])

    cells = [
        plan.inputs.cell(
            "alone", (shots, new), (new,), new=new, shots=shots, seeds=plan.draws(shots)
        )
        for shots in plan.shots
        for new in plan.tasks
    ]
    return Study(cells, measure)


def related(plan: ReusePlan) -> Study:
    """Return the study of every task, learned after all tasks that share a class with it."""
    relation, olds = read_pairs(), {}
    for new in plan.tasks.values():
        others = [old for old in plan.tasks.values() if old is not new]
        names = [old.name for old in others if shared_classes(new, old, relation)]
        if len(names) > 1:
            olds[new.name] = names
    return _after("related", plan, olds)


def bank(plan: ReusePlan) -> Study:
    """Return the study of every task, learned after all other tasks."""
    return _after("bank", plan, {new: [o for o in plan.tasks if o != new] for new in plan.tasks})


def _after(part: str, plan: ReusePlan, olds: dict[str, list[str]]) -> Study:
    """Make a study in which each new task is learned after the given old tasks."""
    encoder = PairMatcher(plan.tasks).comparer.name
    matchers: dict[str, PairMatcher] = {}

    def measure(cell: StudyCell) -> Values:
        values, new = cell.arguments, cell.arguments["new"]
        if new not in matchers:
            matchers.clear()  # a whitening matrix for many tasks is large and used only once
            matchers[new] = PairMatcher(plan.tasks)
        return _learn_after(
            matchers[new], plan.tasks[new], tuple(values["olds"]), values["shots"], values["seeds"]
        )

    cells = [
        plan.inputs.cell(
            part,
            (shots, new),
            (new, *names),
            new=new,
            olds=names,
            shots=shots,
            seeds=plan.draws(shots),
            encoder=encoder,
            **plan.settings.arguments(),
        )
        for new, names in olds.items()
        for shots in plan.shots
    ]
    return Study(cells, measure)


def _learn_after(
    matcher: PairMatcher,
    new: StudyTask,
    olds: tuple[str, ...],
    shots: int,
    seeds: int,
    *,
    all_answers: bool = True,
) -> Values:
    """Return, for each seed, which test answers are right with and without transfer.

    The correct task is given, so only the class can be wrong.

    Args:
        matcher: matches the classes of the new task with those of old tasks.
        new: the new task.
        olds: names of the old tasks.
        shots: number of images per class; 0 for all.
        seeds: number of random draws of the shots.
        all_answers: whether to save the answers even if nothing was transferred.
    """
    moments = tuple(matcher.tasks[old].anchor.moments() for old in olds)
    kinds: list[str] = []
    right: list[list[list[int]]] = []
    matched = 0
    for seed in range(seeds):
        drawn = new.shots(shots, seed)
        plain = matcher.alone(new, shots, seed)
        means, transform = new.means_of(drawn), matcher.transform(olds)
        found = [_matched_classes(matcher, new.name, old, means, transform) for old in olds]
        matches = tuple(classes for classes in found if classes is not None)
        prior = BankPrior(moments, new.metric, matches)
        matched += len(matches)
        gated = gate_moments(plain, drawn.latents.multi, drawn.labels, len(new.classes), prior)
        kinds.append(gated.kind)
        if gated.kind == "nothing":
            assert gated.anchor is plain
        if gated.kind == "nothing" and not all_answers:
            right.append([])
            continue
        answers = scores_within_task((plain, gated.anchor), new.test.latents.multi, new.metric)
        right.append([(a.argmax(1) == new.test.labels).astype(int).tolist() for a in answers])
    return {"kinds": kinds, "right": right, "matched": matched}


def _matched_classes(
    matcher: PairMatcher, new: str, old: str, means: np.ndarray, transform: np.ndarray
) -> MatchedClasses | None:
    """Return the class matches with one old task, or None if no class matches."""
    found = matcher.match(new, old, means, transform)
    if not found:
        return None
    task, rows = matcher.tasks[old], [j for _, j in found]
    return MatchedClasses(
        np.array([i for i, _ in found]), task.anchor.class_means()[rows], task.rows[rows]
    )


def _learn_alone(new: StudyTask, shots: int, seeds: int) -> Values:
    """Return accuracies within the task, for the same seeds as in `few` and `heads`."""
    result: Values = {"moments": [], "head": []}
    for seed in range(seeds):
        train, no_images = new.shots(shots, seed), take_rows(new.train, slice(0))
        fitted = fit_method("moments", train, no_images, len(new.classes), new.metric)
        answers = log_within(fitted, "moments", new.test.latents, new.metric).argmax(1)
        result["moments"].append(float(np.mean(answers == new.test.labels)))
        # As in `learn`, use validation images only with all training images.
        held = no_images if shots else new.validation
        x, y = train.latents.last, train.labels
        validation = held.latents.last, held.labels
        trained = fit_head(x, y, *validation, len(new.classes), seed=seed)
        result["head"].append(accuracy(trained.head, new.test))
    return result
