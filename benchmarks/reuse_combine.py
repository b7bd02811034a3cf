"""A new task whose classes are all known (Sec. 7.2, 1): without an image, and trained on (Fig. 13).

`part_combine` puts tasks together that others know in other styles, `part_union` two whole tasks,
as the paper does.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import combinations, islice

import numpy as np

from benchmarks.reuse_data import (
    Cell,
    Known,
    Plan,
    Tasks,
    accuracy,
    cell,
    read_pairs,
    shared_classes,
)
from skillmesh.mapping.moments_fit import fit_moments
from skillmesh.model.backbone import Latents
from skillmesh.model.head import Head
from skillmesh.training.borrow import answers_inside
from skillmesh.training.combine import Part, combine_heads, combine_moments
from skillmesh.training.embedding import LabelledLatents
from skillmesh.training.heads import HeadStart, fit_head, head_epochs, head_of
from skillmesh.training.leaning import lean
from skillmesh.training.relatives import Relatives

EPOCHS = 30
"""The paper's curve from a random start is at its best after up to 30."""
N_TASKS = 20
"""190 pairs of them, as in the paper."""
NORMS = {"p = 2": 2.0, "p = inf": np.inf}


class OldHeads:
    """Heads of old tasks, plain and trained under a norm, each trained once."""

    def __init__(self) -> None:
        self._trained: dict[tuple[str, float], Head] = {}

    def plain(self, task: Known) -> Head:
        """As `learn` trains it."""
        return task.head

    def normed(self, task: Known, p: float) -> Head:
        """With the restriction of Sec. 7.2: each row divided by its norm in the forward pass."""
        if (task.name, p) not in self._trained:
            x, y, held = task.train.latents.last, task.train.labels, task.validation
            asked = held.latents.last, held.labels
            self._trained[task.name, p] = fit_head(x, y, *asked, len(task.classes), norm=p).head
        return self._trained[task.name, p]


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
    relatives = Relatives(tuple(tasks[o].anchor.moments() for o in tasks if o != new.name))
    (answers,) = answers_inside([anchor], latents.multi, relatives)  # as a student with this bank
    result["moments"] = float(np.mean(answers.argmax(1) == labels))
    for key, p in (("inf", np.inf), ("2", 2.0)):
        sums = np.zeros((len(labels), len(new.classes)))
        for o, s in whole.items():
            rows = combine_heads([tasks[o].head], [list(s.values())], p)
            sums[:, list(s)] += rows.logits(latents.last)
        result[f"p = {key}"] = float(np.mean(sums.argmax(1) == labels))
    return result


def part_union(tasks: Tasks, plan: Plan) -> None:
    """All pairs of tasks that share no class, and what a norm costs a task itself."""
    heads = OldHeads()
    for task in tasks.values():
        cell(plan.out, f"norms/{task.name}", partial(norms, task, heads))
    for one, other in combinations(strangers(tasks), 2):
        measure = partial(union, one, other, heads, plan.seeds)
        cell(plan.out, f"union/{one.name}--{other.name}", measure)


def strangers(tasks: Tasks, n: int = N_TASKS) -> list[Known]:
    """So many tasks, drawn by a fixed seed, no two of which share a class by the hand-made list."""
    relation = read_pairs()
    chosen: list[Known] = []
    for name in np.random.default_rng(0).permutation(sorted(tasks)):
        if not any(shared_classes(tasks[name], other, relation) for other in chosen):
            chosen.append(tasks[name])
    return chosen[:n]


def norms(task: Known, heads: OldHeads) -> Cell:
    """Accuracy on test images of one task's head, plain and trained under a norm."""
    found = {"plain": heads.plain(task)}
    found |= {key: heads.normed(task, p) for key, p in NORMS.items()}
    return {key: accuracy(head, task.test) for key, head in found.items()}


def union(one: Known, other: Known, heads: OldHeads, seeds: int) -> Cell:
    """Accuracy by epoch, from 0 on, for every start; of class moments with and without images."""
    train = _joined(one, one.train, other.train)
    test = _joined(one, one.test, other.test)
    n_classes = len(one.classes) + len(other.classes)
    result: Cell = {"moments": _moments(one, other, train, test)}
    for key, start in _starts(one, other, heads, train):
        curves = []
        for seed in range(seeds):
            epochs = head_epochs(
                train.latents.last, train.labels, n_classes, seed=seed, start=start
            )
            curves.append([accuracy(head_of(rows), test) for _, rows in islice(epochs, EPOCHS + 1)])
        result[key] = np.mean(curves, axis=0).tolist()
    return result


def _starts(
    one: Known, other: Known, heads: OldHeads, train: LabelledLatents
) -> Iterator[tuple[str, HeadStart | None]]:
    """What the head of the union starts from, by name."""
    plain = [heads.plain(one), heads.plain(other)]
    every = [range(len(one.classes)), range(len(other.classes))]
    yield "random", None
    joined = Head(*(np.concatenate([getattr(h, key) for h in plain]) for key in ("weight", "bias")))
    yield "as they are", _start(joined)
    for key, p in NORMS.items():
        yield f"{key}, afterwards", _start(combine_heads(plain, every, p))
    for key, p in NORMS.items():
        normed = [heads.normed(one, p), heads.normed(other, p)]
        yield key, _start(combine_heads(normed, every, p))
    latents, labels = train.latents.last, train.labels
    yield "leaning", lean(_start(joined), latents, labels, len(joined.bias)).start


def _start(head: Head) -> HeadStart:
    return HeadStart(np.arange(len(head.bias)), head.weight, head.bias)


def _moments(
    one: Known, other: Known, train: LabelledLatents, test: LabelledLatents
) -> dict[str, float]:
    """Class moments of the union, beside both old tasks: put together, and fitted to all images."""
    first, n_classes = len(one.classes), len(one.classes) + len(other.classes)
    parts = [
        Part(one.anchor, range(first), np.arange(first)),
        Part(other.anchor, range(n_classes - first), np.arange(first, n_classes)),
    ]
    relatives = Relatives((one.anchor.moments(), other.anchor.moments()))
    anchors = {
        "zero images": combine_moments(parts, n_classes),
        "all images": fit_moments(train.latents.multi, train.labels, n_classes),
    }
    result = {}
    for key, anchor in anchors.items():
        (answers,) = answers_inside([anchor], test.latents.multi, relatives)
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
