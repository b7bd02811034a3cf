"""A new task whose classes are all known (Sec. 7.2, 1): without an image, and trained on (Fig. 13).

`part_combine` puts tasks together that others know in other styles, `part_union` two whole tasks,
as the paper does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import combinations, islice

import numpy as np

from teachmesh.mapping.moments_fit import fit_moments
from teachmesh.model.backbone import Latents
from teachmesh.model.embedding import LabelledLatents
from teachmesh.model.head import Head
from teachmesh.model.head_training import HeadStart, head_epochs, head_of
from teachmesh.reuse.combined_moments import Part, combine_moments
from teachmesh.reuse.head_prior import fit_start
from teachmesh.reuse.moments_prior import BankPrior
from teachmesh.reuse.moments_transfer import scores_within_task
from teachmesh_lab.studies.head_rows import combine_heads
from teachmesh_lab.studies.reuse_data import (
    Cell,
    Known,
    Plan,
    Tasks,
    accuracy,
    cell,
    read_pairs,
    shared_classes,
)
from teachmesh_lab.studies.row_norm import RowNorm

EPOCHS = 30
"""The paper's curve from a random start is at its best after up to 30."""
N_TASKS = 20
"""190 pairs of them, as in the paper."""
NORMS = {"p = 2": 2.0, "p = inf": np.inf}


def part_combine(tasks: Tasks, plan: Plan) -> None:
    """Zero images: tasks all of whose classes others know, from p-normed rows and from moments."""
    relation = read_pairs()
    for new in tasks.values():
        known = {o: shared_classes(new, tasks[o], relation) for o in tasks if o != new.name}
        known = {o: shared for o, shared in known.items() if shared}
        covered = {label for shared in known.values() for label in shared}
        if len(covered) == len(new.classes):
            cell(plan.out, f"combine/{new.name}", partial(combined, tasks, new, known))


def combined(tasks: Tasks, new: Known, known: dict[str, dict[int, int]]) -> Cell:
    """Accuracy of heads put together from the tasks that know every class between them."""
    whole = {o: s for o, s in known.items() if len(s) == len(new.classes)} or known
    parts = [Part(tasks[o].anchor, list(s.values()), np.array(list(s))) for o, s in whole.items()]
    result: Cell = {"from": sorted(whole)}
    latents, labels = new.test.latents, new.test.labels
    anchor = combine_moments(parts, len(new.classes))
    bank = BankPrior(tuple(tasks[o].anchor.moments() for o in tasks if o != new.name))
    (answers,) = scores_within_task([anchor], latents.multi, bank)  # as a student with this bank
    result["moments"] = float(np.mean(answers.argmax(1) == labels))
    for key, p in (("inf", np.inf), ("2", 2.0)):
        sums = np.zeros((len(labels), len(new.classes)))
        for o, s in whole.items():
            rows = combine_heads([tasks[o].head], [list(s.values())], p)
            sums[:, list(s)] += rows.logits(latents.last)
        result[f"p = {key}"] = float(np.mean(sums.argmax(1) == labels))
    return result


def part_norms(tasks: Tasks, plan: Plan) -> None:
    """What training under a norm costs a task itself."""
    for task in tasks.values():
        cell(plan.out, f"norms/{task.name}", partial(norms, task))


def part_union(tasks: Tasks, plan: Plan) -> None:
    """All pairs of tasks that share no class."""
    for one, other in combinations(strangers(tasks), 2):
        measure = partial(union, one, other, plan.seeds)
        cell(plan.out, f"union/{one.name}--{other.name}", measure)


def strangers(tasks: Tasks, n: int = N_TASKS) -> list[Known]:
    """So many tasks, drawn by a fixed seed, no two of which share a class by the hand-made list."""
    relation = read_pairs()
    chosen: list[Known] = []
    for name in np.random.default_rng(0).permutation(sorted(tasks)):
        if not any(shared_classes(tasks[name], other, relation) for other in chosen):
            chosen.append(tasks[name])
    return chosen[:n]


def norms(task: Known) -> Cell:
    """Accuracy of one task's head, plain and under a norm, and what makes its logits large."""
    found = {"plain": task.head} | {key: task.head_under(p) for key, p in NORMS.items()}
    return {
        "accuracy": {key: accuracy(head, task.test) for key, head in found.items()},
        "row": {key: _length(head.weight) for key, head in found.items()},
        "latent": _length(task.train.latents.last),
    }


def _length(rows: np.ndarray) -> float:
    return float(np.linalg.norm(rows, axis=1).mean())


def union(one: Known, other: Known, seeds: int) -> Cell:
    """Accuracy by epoch, from 0 on, for every start; of class moments with and without images."""
    train = _joined(one, one.train, other.train)
    test = _joined(one, one.test, other.test)
    x, y, n_classes = train.latents.last, train.labels, len(one.classes) + len(other.classes)
    result: Cell = {"moments": _moments(one, other, train, test)}
    for key, start, rows in _starts(one, other, train):
        curves = []
        for seed in range(seeds):
            epochs = head_epochs(x, y, n_classes, seed=seed, start=start, rows=rows)
            curves.append([accuracy(head_of(head), test) for _, head in islice(epochs, EPOCHS + 1)])
        result[key] = np.mean(curves, axis=0).tolist()
    return result


def _starts(
    one: Known, other: Known, train: LabelledLatents
) -> Iterator[tuple[str, HeadStart | None, RowNorm | None]]:
    """What the head of the union starts from, by name, and the norm under which it goes on.

    The paper does not say whether the restriction is kept up when the union is trained: both ways.
    """
    x, y, n_classes = train.latents.last, train.labels, len(one.classes) + len(other.classes)
    plain = [one.head, other.head]
    yield "random", None, None
    yield "closed form", fit_start(None, x, y, n_classes).start, None
    yield "as they are", _beside(plain), None
    yield "leaning", fit_start(_beside(plain), x, y, n_classes).start, None
    every = [range(len(head.bias)) for head in plain]
    for key, p in NORMS.items():
        yield f"{key}, afterwards", _beside([combine_heads(plain, every, p)]), None
        normed = _beside([one.head_under(p), other.head_under(p)])
        yield key, normed, None
        yield f"{key}, kept up", normed, RowNorm(p)


def _beside(heads: Sequence[Head]) -> HeadStart:
    """All rows of some heads, one head after the other."""
    weight, bias = (np.concatenate([getattr(h, key) for h in heads]) for key in ("weight", "bias"))
    return HeadStart(np.arange(len(bias)), weight, bias)


def _moments(
    one: Known, other: Known, train: LabelledLatents, test: LabelledLatents
) -> dict[str, float]:
    """Class moments of the union, beside both old tasks: put together, and fitted to all images."""
    first, n_classes = len(one.classes), len(one.classes) + len(other.classes)
    parts = [
        Part(one.anchor, range(first), np.arange(first)),
        Part(other.anchor, range(n_classes - first), np.arange(first, n_classes)),
    ]
    bank = BankPrior((one.anchor.moments(), other.anchor.moments()))
    anchors = {
        "zero images": combine_moments(parts, n_classes),
        "all images": fit_moments(train.latents.multi, train.labels, n_classes),
    }
    result = {}
    for key, anchor in anchors.items():
        (answers,) = scores_within_task([anchor], test.latents.multi, bank)
        result[key] = float(np.mean(answers.argmax(1) == test.labels))
    return result


def _joined(one: Known, first: LabelledLatents, second: LabelledLatents) -> LabelledLatents:
    """Both tasks' images; the second's labels go on after the first's."""
    both = zip(
        (first.latents.last, first.latents.multi),
        (second.latents.last, second.latents.multi),
        strict=True,
    )
    labels = np.concatenate([first.labels, second.labels + len(one.classes)])
    return LabelledLatents(Latents(*(np.concatenate(rows) for rows in both)), labels)
