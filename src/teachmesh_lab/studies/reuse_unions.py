"""Tasks whose classes are known from old tasks (paper, Sec. 7.2, 1 and Fig. 13).

`combine` builds such tasks without images. `union` joins two whole tasks and trains their head, as
in the paper.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, islice

import numpy as np

from teachmesh.mapping.moments_fit import fit_moments
from teachmesh.model.backbone import Latents
from teachmesh.model.embedding import LabelledLatents
from teachmesh.model.head import Head, OldClasses, combine_heads
from teachmesh.model.head_training import HeadStart, head_epochs, head_of
from teachmesh.reuse.combined_anchors import combine_moments
from teachmesh.reuse.head_prior import fit_start
from teachmesh.reuse.moments_transfer import scores_within_task
from teachmesh_lab.studies.reuse_tasks import (
    ReusePlan,
    StudyTask,
    Tasks,
    accuracy,
    pairs_digest,
    read_pairs,
    shared_classes,
)
from teachmesh_lab.studies.row_norm import RowNorm
from teachmesh_lab.studies.study_cells import Study, StudyCell, Values

EPOCHS = 30
"""Number of epochs to measure; in the paper a random start peaks within 30 epochs."""
N_TASKS = 20
"""Maximum number of tasks to join; 20 tasks have 190 pairs, as in the paper."""
NORMS = {"p = 2": 2.0, "p = inf": np.inf}


def combine(plan: ReusePlan) -> Study:
    """Return the study of tasks learned without images: all their classes occur elsewhere."""
    known = _known_classes(plan.tasks)

    def measure(cell: StudyCell) -> Values:
        new = plan.tasks[cell.arguments["new"]]
        return _combine(plan.tasks, new, known[new.name])

    cells = [
        plan.inputs.cell("combine", (new,), tuple(plan.tasks), new=new, pairs_digest=pairs_digest())
        for new in known
    ]
    return Study(cells, measure)


def norms(plan: ReusePlan) -> Study:
    """Return the study of how much accuracy a task loses if its head has normalised rows."""

    def measure(cell: StudyCell) -> Values:
        return _train_under_norms(plan.tasks[cell.arguments["new"]])

    cells = [plan.inputs.cell("norms", (name,), (name,), new=name) for name in plan.tasks]
    return Study(cells, measure)


def union(plan: ReusePlan) -> Study:
    """Return the study of the unions of all pairs of tasks that share no class."""

    def measure(cell: StudyCell) -> Values:
        values = cell.arguments
        return _join(plan.tasks[values["one"]], plan.tasks[values["other"]], values["seeds"])

    names = [task.name for task in unrelated_tasks(plan.tasks)]
    cells = [
        plan.inputs.cell(
            "union", (one, other), (one, other), one=one, other=other, seeds=plan.seeds
        )
        for one, other in combinations(names, 2)
    ]
    return Study(cells, measure)


def unrelated_tasks(tasks: Tasks, n: int = N_TASKS) -> list[StudyTask]:
    """Draw tasks with a fixed seed; no two share a class according to the hand-made list."""
    relation = read_pairs()
    chosen: list[StudyTask] = []
    for name in np.random.default_rng(0).permutation(sorted(tasks)):
        if not any(shared_classes(tasks[name], other, relation) for other in chosen):
            chosen.append(tasks[name])
    return chosen[:n]


def _known_classes(tasks: Tasks) -> dict[str, dict[str, dict[int, int]]]:
    """Return shared classes by new and old task, if old tasks have all classes of the new one."""
    relation, known = read_pairs(), {}
    for new in tasks.values():
        by_task = {o: shared_classes(new, tasks[o], relation) for o in tasks if o != new.name}
        covered = {label for shared in by_task.values() for label in shared}
        if len(covered) == len(new.classes):
            known[new.name] = {o: shared for o, shared in by_task.items() if shared}
    return known


def _combine(tasks: Tasks, new: StudyTask, known: dict[str, dict[int, int]]) -> Values:
    """Return the accuracies of heads and moments assembled from those of old tasks.

    If any old task has all classes of the new task, only such old tasks are used.
    """
    whole = {o: s for o, s in known.items() if len(s) == len(new.classes)} or known
    parts = [
        OldClasses(tasks[o].anchor, list(s.values()), np.array(list(s))) for o, s in whole.items()
    ]
    result: Values = {"from": sorted(whole)}
    latents, labels = new.test.latents, new.test.labels
    anchor = combine_moments(parts, len(new.classes))
    (answers,) = scores_within_task([anchor], latents.multi, new.metric)
    result["moments"] = float(np.mean(answers.argmax(1) == labels))
    for key, p in reversed(NORMS.items()):
        sums = np.zeros((len(labels), len(new.classes)))
        for o, s in whole.items():
            rows = combine_heads([tasks[o].head], [list(s.values())], p)
            sums[:, list(s)] += rows.logits(latents.last)
        result[key] = float(np.mean(sums.argmax(1) == labels))
    return result


def _train_under_norms(task: StudyTask) -> Values:
    """Return accuracies of plain and normalised heads, and norms of rows and latents."""
    found = {"plain": task.head} | {key: task.head_under(p) for key, p in NORMS.items()}
    return {
        "accuracy": {key: accuracy(head, task.test) for key, head in found.items()},
        "row": {key: _mean_length(head.weight) for key, head in found.items()},
        "latent": _mean_length(task.train.latents.last),
    }


def _mean_length(rows: np.ndarray) -> float:
    return float(np.linalg.norm(rows, axis=1).mean())


def _join(one: StudyTask, other: StudyTask, seeds: int) -> Values:
    """Return a union's accuracies: by epoch (from 0) for each start, and with class moments."""
    train = _join_images(one, one.train, other.train)
    test = _join_images(one, one.test, other.test)
    x, y, n_classes = train.latents.last, train.labels, len(one.classes) + len(other.classes)
    result: Values = {"moments": _join_moments(one, other, train, test)}
    for key, start, rows in _starts(one, other, train):
        curves = []
        for seed in range(seeds):
            epochs = head_epochs(x, y, n_classes, seed=seed, start=start, rows=rows)
            curves.append([accuracy(head_of(head), test) for _, head in islice(epochs, EPOCHS + 1)])
        result[key] = np.mean(curves, axis=0).tolist()
    return result


def _starts(
    one: StudyTask, other: StudyTask, train: LabelledLatents
) -> Iterator[tuple[str, HeadStart | None, RowNorm | None]]:
    """Yield the name, the initial head of the union and the training norm of each start.

    The paper does not state whether rows stay normalised while the union is trained, so both cases
    are measured.
    """
    x, y, n_classes = train.latents.last, train.labels, len(one.classes) + len(other.classes)
    plain = [one.head, other.head]
    yield "random", None, None
    yield "closed form", fit_start(None, x, y, n_classes).start, None
    yield "as they are", _stack(plain), None
    yield "closed form with prior", fit_start(_stack(plain), x, y, n_classes).start, None
    every = [range(len(head.bias)) for head in plain]
    for key, p in NORMS.items():
        yield f"{key}, afterwards", _stack([combine_heads(plain, every, p)]), None
        normed = _stack([one.head_under(p), other.head_under(p)])
        yield key, normed, None
        yield f"{key}, kept up", normed, RowNorm(p)


def _stack(heads: Sequence[Head]) -> HeadStart:
    """Return the rows of all heads, one head after another."""
    weight, bias = (np.concatenate([getattr(h, key) for h in heads]) for key in ("weight", "bias"))
    return HeadStart(np.arange(len(bias)), weight, bias)


def _join_moments(
    one: StudyTask, other: StudyTask, train: LabelledLatents, test: LabelledLatents
) -> dict[str, float]:
    """Return the accuracies of the union's class moments.

    The moments are either combined from both tasks, without images, or fitted to all images.
    """
    first, n_classes = len(one.classes), len(one.classes) + len(other.classes)
    parts = [
        OldClasses(one.anchor, range(first), np.arange(first)),
        OldClasses(other.anchor, range(n_classes - first), np.arange(first, n_classes)),
    ]
    anchors = {
        "zero images": combine_moments(parts, n_classes),
        "all images": fit_moments(train.latents.multi, train.labels, n_classes, one.metric),
    }
    result = {}
    for key, anchor in anchors.items():
        (answers,) = scores_within_task([anchor], test.latents.multi, one.metric)
        result[key] = float(np.mean(answers.argmax(1) == test.labels))
    return result


def _join_images(
    one: StudyTask, first: LabelledLatents, second: LabelledLatents
) -> LabelledLatents:
    """Join two tasks' latents and labels; the second task's labels are shifted."""
    both = zip(
        (first.latents.last, first.latents.multi),
        (second.latents.last, second.latents.multi),
        strict=True,
    )
    labels = np.concatenate([first.labels, second.labels + len(one.classes)])
    return LabelledLatents(Latents(*(np.concatenate(rows) for rows in both)), labels)
