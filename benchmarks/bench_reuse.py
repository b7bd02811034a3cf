"""Reuse on the measuring tasks: one JSON file per cell, so that a run can stop and go on.

    python -m benchmarks.bench_reuse PART --tasks ../shared/tasks --home HOME --out FOLDER

PART: few (all ordered pairs, moments), nobody (both kinds of learning without any old task), kin
(all tasks that share classes), bank (all other tasks), heads (Table 1), combine (Fig. 13 at epoch
0), matching. Everything was chosen on validation images; this reads test images.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.reuse_data import Cell, Known, cell, load_tasks, read_pairs, shared_classes
from skillmesh.mapping.moments import MomentsAnchor
from skillmesh.mapping.moments_fit import fit_moments
from skillmesh.mapping.scatter import class_means
from skillmesh.model.backbone import Latents
from skillmesh.model.head import Head
from skillmesh.reuse.matching import KnownTask, match_classes, pairs_of
from skillmesh.reuse.names import read_labels
from skillmesh.reuse.text import NameComparer, choose_encoder
from skillmesh.reuse.visual import compare, whitening
from skillmesh.training.borrow import answers_inside, borrow
from skillmesh.training.combine import Part, combine_heads, combine_moments
from skillmesh.training.embedding import LabelledLatents
from skillmesh.training.heads import HeadStart, fit_head
from skillmesh.training.kin import trial_of_start
from skillmesh.training.leaning import lean
from skillmesh.training.methods import fit_method
from skillmesh.training.relatives import Group, Relatives
from skillmesh.training.within import log_within

SHOTS = (3, 5, 10, 0)
"""Images per class; 0 for all. `--shots` takes some of them."""
Tasks = dict[str, Known]


class Pairs:
    """Matching of one new task with old ones, with what does not change from seed to seed kept."""

    def __init__(self, tasks: Tasks) -> None:
        self.tasks = tasks
        self.comparer = choose_encoder("auto")
        self._names: dict[tuple[str, str], np.ndarray] = {}
        self._transforms: dict[tuple[str, ...], np.ndarray] = {}
        self._alone: dict[tuple[str, int, int], MomentsAnchor] = {}

    def alone(self, new: Known, shots: int, seed: int) -> MomentsAnchor:
        """Moments of the shots by themselves; the same whatever the old tasks are."""
        if (new.name, shots, seed) not in self._alone:
            rows = new.shots(shots, seed)
            x, y = new.train.latents.multi[rows], new.train.labels[rows]
            self._alone[new.name, shots, seed] = fit_moments(x, y, len(new.classes))
        return self._alone[new.name, shots, seed]

    def names(self, new: str, old: str) -> np.ndarray:
        """(C, C_old) similarities of names."""
        if (new, old) not in self._names:
            labels = [read_labels(self.tasks[name].classes) for name in (new, old)]
            self._names[new, old] = self.comparer.similarity(*labels)
        return self._names[new, old]

    def transform(self, olds: tuple[str, ...]) -> np.ndarray:
        """(D, D) whitening by the mean covariance of old tasks."""
        if olds not in self._transforms:
            moments = [self.tasks[old].anchor.moments() for old in olds]
            roots = np.concatenate([m.roots for m in moments])
            residual = np.mean([m.residual for m in moments], axis=0)
            covariance = roots.T @ roots / len(olds) + np.diag(residual)
            self._transforms[olds] = whitening(covariance)
        return self._transforms[olds]

    def group(self, new: str, old: str, means: np.ndarray, transform: np.ndarray) -> Group | None:
        """The matched classes of one old task, as `learn --reuse auto` finds them."""
        task = self.tasks[old]
        old_means = task.anchor.class_means()
        likeness = compare(means, old_means, transform)
        found = pairs_of(self.names(new, old), likeness, "auto")
        if not found:
            return None
        rows = [j for _, j, _, _ in found]
        return Group(np.array([i for i, _, _, _ in found]), old_means[rows], task.rows[rows])


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
        rows = new.shots(shots, seed)
        x, y = new.train.latents.multi[rows], new.train.labels[rows]
        alone = pairs.alone(new, shots, seed)
        means = class_means(x, y, len(new.classes))
        transform = pairs.transform(olds)
        found = [pairs.group(new.name, old, means, transform) for old in olds]
        relatives = Relatives(moments, tuple(group for group in found if group is not None))
        matched += sum(group is not None for group in found)
        borrowed = borrow(alone, x, y, len(new.classes), relatives)
        kinds.append(borrowed.kind)
        if borrowed.kind == "nothing":
            assert borrowed.anchor is alone
        if borrowed.kind == "nothing" and not all_answers:
            right.append([])
            continue
        answers = answers_inside((alone, borrowed.anchor), new.test.latents.multi, relatives)
        right.append([(a.argmax(1) == new.test.labels).astype(int).tolist() for a in answers])
    return {"kinds": kinds, "right": right, "matched": matched}


def part_few(tasks: Tasks, out: Path, seeds: int, counts: Sequence[int]) -> None:
    """All ordered pairs; those that share a class by the hand-made list come first."""
    pairs, relation = Pairs(tasks), read_pairs()
    ordered = [(n, o) for n in tasks for o in tasks if n != o]
    ordered.sort(key=lambda p: -len(shared_classes(tasks[p[0]], tasks[p[1]], relation)))
    for shots in counts:
        for new, old in ordered:
            shared = shared_classes(tasks[new], tasks[old], relation)
            share = len(shared) / len(tasks[new].classes)
            measure = partial(few_of_pair, pairs, tasks[new], old, share, shots, seeds)
            cell(out, f"few/{shots}/{new}--{old}", measure)


def few_of_pair(pairs: Pairs, new: Known, old: str, share: float, shots: int, seeds: int) -> Cell:
    """`few_shot` after one old task, which has such a share of the new classes."""
    found = few_shot(pairs, new, (old,), shots, seeds, all_answers=share > 0)
    return {**found, "shared": share}


def part_nobody(tasks: Tasks, out: Path, seeds: int, counts: Sequence[int]) -> None:
    """Every task as an agent learns it that knows nothing: class moments, and the paper's head."""
    for shots in counts:
        for new in tasks.values():
            cell(out, f"nobody/{shots}/{new.name}", partial(nobody, new, shots, seeds))


def nobody(new: Known, shots: int, seeds: int) -> Cell:
    """Accuracy given the task of both, over the seeds of `few_shot` and `heads`."""
    result: Cell = {"moments": [], "head": []}
    held = new.validation if not shots else None
    for seed in range(seeds if shots else 1):
        train, asked = (_some(new.train, part) for part in (new.shots(shots, seed), slice(0)))
        fitted = fit_method("moments", train, asked, len(new.classes))
        answers = log_within(fitted, "moments", new.test.latents).argmax(1)
        result["moments"].append(float(np.mean(answers == new.test.labels)))
        asked = held or asked
        x, y = train.latents.last, train.labels
        vx, vy = asked.latents.last, asked.labels
        trained = fit_head(x, y, vx, vy, len(new.classes), seed=seed)
        result["head"].append(_right(trained.head, new.test.latents.last, new.test))
    return result


def _some(split: LabelledLatents, rows: np.ndarray | slice) -> LabelledLatents:
    latents = Latents(split.latents.last[rows], split.latents.multi[rows])
    return LabelledLatents(latents, split.labels[rows])


def part_kin(tasks: Tasks, out: Path, seeds: int, counts: Sequence[int]) -> None:
    """Every task after all tasks that share a class with it by the hand-made list."""
    relation = read_pairs()
    for new in tasks.values():
        olds = tuple(o.name for o in tasks.values() if shared_classes(new, o, relation))
        olds = tuple(old for old in olds if old != new.name)
        if len(olds) > 1:
            _after(tasks, new, olds, out / "kin", seeds, counts)


def part_bank(tasks: Tasks, out: Path, seeds: int, counts: Sequence[int]) -> None:
    """Every task after all others."""
    for new in tasks.values():
        olds = tuple(old for old in tasks if old != new.name)
        _after(tasks, new, olds, out / "bank", seeds, counts)


def _after(
    tasks: Tasks, new: Known, olds: tuple[str, ...], out: Path, seeds: int, counts: Sequence[int]
) -> None:
    pairs = Pairs(tasks)  # the transform of many tasks is of use for one new task only
    for shots in counts:
        cell(out, f"{shots}/{new.name}", partial(few_shot, pairs, new, olds, shots, seeds))


def part_heads(tasks: Tasks, out: Path, seeds: int, counts: Sequence[int]) -> None:
    """Table 1: trained heads from a random start, from old rows, and as the gate decides."""
    relation = read_pairs()
    for shots in counts:
        for new in tasks.values():
            for old in tasks.values():
                shared = {} if new is old else shared_classes(new, old, relation)
                if 2 * len(shared) >= len(new.classes):
                    name = f"heads/{shots}/{new.name}--{old.name}"
                    cell(out, name, partial(heads, new, old, shared, shots, seeds))


def heads(new: Known, old: Known, shared: dict[int, int], shots: int, seeds: int) -> Cell:
    """Accuracy and best epoch of both starts over seeds, and what the trial says."""
    rows = list(shared.values())
    start = HeadStart(np.array(list(shared)), old.head.weight[rows], old.head.bias[rows])
    result: Cell = {"test": [], "validation": [], "epochs": [], "gain": [], "beats_closed": []}
    held = new.validation if not shots else None
    for seed in range(seeds):
        chosen = new.shots(shots, seed)
        x, y = new.train.latents.last[chosen], new.train.labels[chosen]
        vx = held.latents.last if held is not None else x[:0]
        vy = held.labels if held is not None else y[:0]
        n_classes = len(new.classes)
        starts = (None, lean(start, x, y, n_classes).start)
        fits = [fit_head(x, y, vx, vy, n_classes, seed=seed, start=s) for s in starts]
        for key, asked in (("test", new.test), ("validation", new.validation)):
            result[key].append([_right(fitted.head, asked.latents.last, asked) for fitted in fits])
        result["epochs"].append([fitted.best_epoch for fitted in fits])
        trial = trial_of_start(x, y, n_classes, start)
        result["gain"].append(trial.gain)
        result["beats_closed"].append(bool(trial.right > trial.right_closed))
    return result


def _right(head: Head, latents: np.ndarray, asked: LabelledLatents) -> float:
    return float(np.mean(head.logits(latents).argmax(1) == asked.labels))


def part_combine(tasks: Tasks, out: Path, *_: object) -> None:
    """Zero images: tasks all of whose classes others know, from p-normed rows and from moments."""
    relation = read_pairs()
    for new in tasks.values():
        known = {o: shared_classes(new, tasks[o], relation) for o in tasks if o != new.name}
        known = {o: shared for o, shared in known.items() if shared}
        covered = {label for shared in known.values() for label in shared}
        if len(covered) == len(new.classes):
            cell(out, f"combine/{new.name}", partial(combined, tasks, new, known))


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


def part_matching(tasks: Tasks, out: Path, *_: object) -> None:
    """Precision and recall against the hand-made list, by name, by looks and by both."""
    encoder = choose_encoder("auto")
    for shots in (5, 0):
        for mode, comparer in (
            ("text", encoder),
            ("text-names", NameComparer()),
            ("vision", encoder),
            ("auto", encoder),
        ):
            name = f"matching/{mode}-{shots}"
            cell(out, name, partial(matched, tasks, mode, shots, comparer))


def matched(tasks: Tasks, mode: str, shots: int, comparer: NameComparer) -> Cell:
    """Every match of every task with all others, and what the hand-made list calls it."""
    relation, found = read_pairs(), []
    for new in tasks.values():
        others = [task for task in tasks.values() if task is not new]
        known = [KnownTask(o.name, o.name, "", o.classes, o.anchor.class_means()) for o in others]
        rows = new.shots(shots, 0)
        means = class_means(new.train.latents.multi[rows], new.train.labels[rows], len(new.classes))
        covariance = np.mean([o.anchor.integer_scatter() for o in others], axis=0) * 2.0**-40
        matches = match_classes(
            new.classes,
            known,
            comparer,
            means=means,
            transform=whitening(covariance),
            mode=mode.split("-")[0],
        )
        for name, row in zip(new.classes, matches, strict=True):
            for m in row:
                key = f"{new.name}:{name}", f"{m.task}:{m.class_name}"
                found.append([*key, m.by, round(m.score, 3), relation.get(key, "none")])
    same = sum(kind == "same" for kind in relation.values())
    return {"matches": found, "same_in_all": same}


PARTS: dict[str, Callable[[Tasks, Path, int, Sequence[int]], None]] = {
    "few": part_few,
    "nobody": part_nobody,
    "kin": part_kin,
    "bank": part_bank,
    "heads": part_heads,
    "combine": part_combine,
    "matching": part_matching,
}


def main() -> None:
    """Measure one part; cells that are there already are left as they are."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=sorted(PARTS))
    parser.add_argument("--tasks", type=Path, required=True)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--backbone", default="mobilenetv2_100")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--shots", type=int, nargs="*", default=SHOTS)
    options = parser.parse_args()
    began_s = time.perf_counter()
    tasks = load_tasks(options.tasks, options.home, options.backbone)
    PARTS[options.part](tasks, options.out, options.seeds, options.shots)
    print(f"{options.part}: {time.perf_counter() - began_s:.0f} s")


if __name__ == "__main__":
    main()
