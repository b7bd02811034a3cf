"""Table 1: trained heads from a random start and from old rows, after one old task."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import islice

import numpy as np

from teachmesh.model.head_training import MAX_EPOCHS, HeadStart, fit_head, head_epochs, head_of
from teachmesh.reuse.head_prior import fit_start
from teachmesh.reuse.transfer import try_start
from teachmesh_lab.studies.reuse_data import (
    HALF,
    Cell,
    Known,
    Plan,
    Tasks,
    accuracy,
    cell,
    ordered_pairs,
)
from teachmesh_lab.studies.reuse_matching import Pairs


@dataclass(frozen=True)
class Trained:
    """A head in figures.

    Attributes:
        test: accuracy on test images, 0 to 1.
        validation: accuracy on validation images, which few shots have not seen.
        curve: accuracy on test images from before the first epoch on; kept of pairs that share
            half of the classes, else empty.
    """

    test: float
    validation: float
    curve: list[float]


class Alone:
    """Heads that know no old task, from a random start or in closed form: each trained once."""

    def __init__(self) -> None:
        self._trained: dict[tuple[str, int, int, bool], Trained] = {}

    def __call__(self, new: Known, shots: int, seed: int, *, closed: bool) -> Trained:
        """By task, images per class, draw and start."""
        key = new.name, shots, seed, closed
        if key not in self._trained:
            start = closed_start(new, shots, seed, None) if closed else None
            self._trained[key] = trained(new, shots, seed, start, MAX_EPOCHS)
        return self._trained[key]


def part_heads(tasks: Tasks, plan: Plan) -> None:
    """All ordered pairs, matched as `learn --reuse auto` does; those that share most come first."""
    pairs, alone = Pairs(tasks), Alone()
    for shots in plan.shots:
        for new, old, share in ordered_pairs(tasks):
            both = tasks[new], tasks[old]
            measure = partial(heads, pairs, alone, *both, share, shots, plan.seeds)
            cell(plan.out, f"heads/{shots}/{new}--{old}", measure)


def heads(
    pairs: Pairs, alone: Alone, new: Known, old: Known, share: float, shots: int, seeds: int
) -> Cell:
    """Starts that know nothing over all seeds; over those in which a class matched also old rows.

    Where nothing matched there is only the random start.
    """
    epochs = MAX_EPOCHS if share >= HALF else 0
    lists = "random", "closed form", "matched", "old rows", "gain", "beats_closed"
    result: Cell = {"shared": share} | {key: [] for key in lists}
    for seed in range(seeds):
        for key in ("random", "closed form"):
            found = alone(new, shots, seed, closed=key == "closed form")
            result[key].append(asdict(found if epochs else replace(found, curve=[])))
        old_rows = matched_rows(pairs, new, old, shots, seed)
        if old_rows is None:
            continue
        trial = try_start(*_shots(new, shots, seed), len(new.classes), old_rows)
        start = closed_start(new, shots, seed, old_rows)
        result["matched"].append(seed)
        result["old rows"].append(asdict(trained(new, shots, seed, start, epochs)))
        result["gain"].append(trial.gain)
        result["beats_closed"].append(bool(trial.right > trial.right_closed))
    return result


def closed_start(new: Known, shots: int, seed: int, old_rows: HeadStart | None) -> HeadStart:
    """A ridge fit of the shots, with old rows as its prior or without."""
    return fit_start(old_rows, *_shots(new, shots, seed), len(new.classes)).start


def matched_rows(pairs: Pairs, new: Known, old: Known, shots: int, seed: int) -> HeadStart | None:
    """Old rows for the classes that matched, by names and by the looks of these shots."""
    means = new.means_of(new.shots(shots, seed))
    found = pairs.found(new.name, old.name, means, pairs.transform((old.name,)))
    if not found:
        return None
    chosen = [j for _, j in found]
    weight, bias = old.head.weight[chosen], old.head.bias[chosen]
    return HeadStart(np.array([i for i, _ in found]), weight, bias)


def trained(
    new: Known, shots: int, seed: int, start: HeadStart | None, curve_epochs: int
) -> Trained:
    """A head from this start, from a random one where there is none."""
    (x, y), n_classes = _shots(new, shots, seed), len(new.classes)
    # As `learn` does it: images for validation come with all images, few shots have none.
    held = new.validation if not shots else None
    asked = (x[:0], y[:0]) if held is None else (held.latents.last, held.labels)
    fitted = fit_head(x, y, *asked, n_classes, seed=seed, start=start)
    curve = []
    if curve_epochs:
        epochs = head_epochs(x, y, n_classes, seed=seed, start=start)
        heads = (head_of(rows) for _, rows in islice(epochs, curve_epochs + 1))
        curve = [accuracy(head, new.test) for head in heads]
    test, validation = (accuracy(fitted.head, split) for split in (new.test, new.validation))
    return Trained(test, validation, curve)


def _shots(new: Known, shots: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    drawn = new.shots(shots, seed)
    return drawn.latents.last, drawn.labels
