"""Table 1: trained heads from a random start and from old rows, after one old task."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice

import numpy as np

from benchmarks.reuse_data import Cell, Known, Plan, Tasks, accuracy, cell, ordered_pairs
from benchmarks.reuse_matching import Pairs
from skillmesh.mapping.scatter import class_means
from skillmesh.training.heads import HeadStart, fit_head, head_epochs, head_of
from skillmesh.training.kin import trial_of_start
from skillmesh.training.leaning import lean

CURVE_EPOCHS = 30


@dataclass(frozen=True)
class Trained:
    """A head in figures: accuracies and curve are of 0 to 1, the curve begins before training."""

    test: float
    validation: float
    best_epoch: int
    curve: list[float]


class Alone:
    """Heads from a random start: the same whatever the old task is, so trained once."""

    def __init__(self) -> None:
        self._trained: dict[tuple[str, int, int], Trained] = {}

    def __call__(self, new: Known, shots: int, seed: int) -> Trained:
        """By task, images per class and draw."""
        key = new.name, shots, seed
        if key not in self._trained:
            self._trained[key] = trained(new, shots, seed, None)
        return self._trained[key]


def part_heads(tasks: Tasks, plan: Plan) -> None:
    """All ordered pairs, matched as `learn --reuse` does it; those that share most come first."""
    pairs, alone = Pairs(tasks, plan.reuse), Alone()
    folder = "heads" if plan.reuse == "auto" else f"heads-{plan.reuse}"
    for shots in plan.shots:
        for new, old, share in ordered_pairs(tasks):
            both = tasks[new], tasks[old]
            measure = partial(heads, pairs, alone, *both, share, shots, plan.seeds)
            cell(plan.out, f"{folder}/{shots}/{new}--{old}", measure)


def heads(
    pairs: Pairs, alone: Alone, new: Known, old: Known, share: float, shots: int, seeds: int
) -> Cell:
    """A random start over all seeds; over those in which a class matched also old rows.

    Where nothing matched both are the same head.
    """
    lists = "random", "matched", "old rows", "gain", "beats_closed"
    result: Cell = {"shared": share} | {key: [] for key in lists}
    for seed in range(seeds):
        result["random"].append(asdict(alone(new, shots, seed)))
        start = matched_start(pairs, new, old, shots, seed)
        if start is None:
            continue
        latents, labels = _shots(new, shots, seed)
        trial = trial_of_start(latents, labels, len(new.classes), start)
        result["matched"].append(seed)
        result["old rows"].append(asdict(trained(new, shots, seed, start)))
        result["gain"].append(trial.gain)
        result["beats_closed"].append(bool(trial.right > trial.right_closed))
    return result


def matched_start(pairs: Pairs, new: Known, old: Known, shots: int, seed: int) -> HeadStart | None:
    """Old rows for the classes that matched, by names and by the looks of these shots."""
    rows = new.shots(shots, seed)
    means = class_means(new.train.latents.multi[rows], new.train.labels[rows], len(new.classes))
    found = pairs.found(new.name, old.name, means, pairs.transform((old.name,)))
    if not found:
        return None
    chosen = [j for _, j in found]
    weight, bias = old.head.weight[chosen], old.head.bias[chosen]
    return HeadStart(np.array([i for i, _ in found]), weight, bias)


def trained(new: Known, shots: int, seed: int, old: HeadStart | None) -> Trained:
    """Of a random start, or of one that leans on old rows."""
    (x, y), n_classes = _shots(new, shots, seed), len(new.classes)
    # As `learn` does it: images for validation come with all images, few shots have none.
    held = new.validation if not shots else None
    asked = (x[:0], y[:0]) if held is None else (held.latents.last, held.labels)
    start = None if old is None else lean(old, x, y, n_classes).start
    fitted = fit_head(x, y, *asked, n_classes, seed=seed, start=start)
    epochs = head_epochs(x, y, n_classes, seed=seed, start=start)
    curve = [accuracy(head_of(rows), new.test) for _, rows in islice(epochs, CURVE_EPOCHS + 1)]
    test, validation = (accuracy(fitted.head, split) for split in (new.test, new.validation))
    return Trained(test, validation, fitted.best_epoch, curve)


def _shots(new: Known, shots: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rows = new.shots(shots, seed)
    return new.train.latents.last[rows], new.train.labels[rows]
