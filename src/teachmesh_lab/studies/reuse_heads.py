"""Table 1: heads trained from a random start, and from rows of one old task.

- `heads`: the product's way, for all ordered pairs of tasks.
- `copied_rows`: next to it the paper's way, which copies the rows of classes with similar names.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from itertools import islice

import numpy as np

from teachmesh.model.head_training import MAX_EPOCHS, HeadStart, fit_head, head_epochs, head_of
from teachmesh.reuse.head_prior import fit_start
from teachmesh.reuse.transfer import START_GAIN, try_start
from teachmesh_lab.studies.reuse_matching import PairMatcher
from teachmesh_lab.studies.reuse_tasks import HALF, ReusePlan, StudyTask, accuracy, ordered_pairs
from teachmesh_lab.studies.study_cells import Study, StudyCell, Values


@dataclass(frozen=True)
class TrainedHead:
    """Accuracies of one trained head, between 0 and 1.

    Attributes:
        test: accuracy on test images.
        validation: accuracy on validation images; few-shot training does not use them.
        curve: accuracy on test images by epoch, from epoch 0; empty if the pair shares less than
            half of the classes.
    """

    test: float
    validation: float
    curve: list[float]


class HeadsAlone:
    """Heads trained without old tasks, from a random or a closed-form start; results are cached."""

    def __init__(self) -> None:
        self._trained: dict[tuple[str, int, int, bool], TrainedHead] = {}

    def __call__(self, new: StudyTask, shots: int, seed: int, *, closed: bool) -> TrainedHead:
        """Return a head trained on `shots` images per class drawn with this seed; cache it."""
        key = new.name, shots, seed, closed
        if key not in self._trained:
            start = _closed_start(new, shots, seed, None) if closed else None
            self._trained[key] = _train(new, shots, seed, start, MAX_EPOCHS)
        return self._trained[key]


def heads(plan: ReusePlan) -> Study:
    """Return the study of all ordered pairs of tasks, matched as in `learn --reuse auto`."""
    matcher, alone = PairMatcher(plan.tasks), HeadsAlone()

    def measure(cell: StudyCell) -> Values:
        values = cell.arguments
        both = plan.tasks[values["new"]], plan.tasks[values["old"]]
        return _compare_starts(
            matcher, alone, *both, values["shared"], values["shots"], values["seeds"]
        )

    cells = [
        _pair_cell(plan, "heads", matcher, shots, (new, old), shared=shared)
        for shots in plan.shots
        for new, old, shared in ordered_pairs(plan.tasks)
    ]
    return Study(cells, measure)


def copied_rows(plan: ReusePlan) -> Study:
    """Return the study of copied rows, for pairs of tasks that share half of the classes or more.

    In the paper's way, names alone decide which rows are copied, and no trial checks the result.
    """
    by_name, matcher = PairMatcher(plan.tasks, "text"), PairMatcher(plan.tasks)
    alone = HeadsAlone()

    def measure(cell: StudyCell) -> Values:
        values = cell.arguments
        both = plan.tasks[values["new"]], plan.tasks[values["old"]]
        found: Values = {"random": [], "copied": [], "ours": []}
        for seed in range(values["seeds"]):
            random = alone(both[0], values["shots"], seed, closed=False)
            old_rows = _matched_rows(by_name, *both, values["shots"], seed)
            copied = _train(both[0], values["shots"], seed, old_rows, 0) if old_rows else random
            ours = _after_trial(matcher, *both, values["shots"], seed) or random
            for key, head in (("random", random), ("copied", copied), ("ours", ours)):
                found[key].append(head.test)
        return found

    cells = [
        _pair_cell(plan, "copied-rows", matcher, shots, (new, old))
        for shots in plan.shots
        for new, old, shared in ordered_pairs(plan.tasks)
        if shared >= HALF
    ]
    return Study(cells, measure)


def _pair_cell(
    plan: ReusePlan,
    study: str,
    matcher: PairMatcher,
    shots: int,
    pair: tuple[str, str],
    **more: float,
) -> StudyCell:
    """Return the cell of a new and an old task; `more` are further arguments of the study."""
    new, old = pair
    return plan.inputs.cell(
        study,
        (shots, new, old),
        pair,
        new=new,
        old=old,
        shots=shots,
        seeds=plan.seeds,
        encoder=matcher.comparer.name,
        **more,
    )


def _after_trial(
    matcher: PairMatcher, new: StudyTask, old: StudyTask, shots: int, seed: int
) -> TrainedHead | None:
    """Train a head as `learn --reuse auto` does; None if no old rows are used."""
    old_rows = _matched_rows(matcher, new, old, shots, seed)
    if old_rows is None:
        return None
    trial = try_start(*_shots(new, shots, seed), len(new.classes), old_rows)
    if not (trial.gain > START_GAIN and trial.right > trial.right_closed):
        return None
    return _train(new, shots, seed, _closed_start(new, shots, seed, old_rows), 0)


def _compare_starts(
    matcher: PairMatcher,
    alone: HeadsAlone,
    new: StudyTask,
    old: StudyTask,
    shared: float,
    shots: int,
    seeds: int,
) -> Values:
    """Train heads without old rows for all seeds, and with old rows if a class matched."""
    epochs = MAX_EPOCHS if shared >= HALF else 0
    lists = "random", "closed form", "matched", "old rows", "gain", "beats_closed"
    result: Values = {"shared": shared} | {key: [] for key in lists}
    for seed in range(seeds):
        for key in ("random", "closed form"):
            found = alone(new, shots, seed, closed=key == "closed form")
            result[key].append(asdict(found if epochs else replace(found, curve=[])))
        old_rows = _matched_rows(matcher, new, old, shots, seed)
        if old_rows is None:
            continue
        trial = try_start(*_shots(new, shots, seed), len(new.classes), old_rows)
        start = _closed_start(new, shots, seed, old_rows)
        result["matched"].append(seed)
        result["old rows"].append(asdict(_train(new, shots, seed, start, epochs)))
        result["gain"].append(trial.gain)
        result["beats_closed"].append(bool(trial.right > trial.right_closed))
    return result


def _closed_start(new: StudyTask, shots: int, seed: int, old_rows: HeadStart | None) -> HeadStart:
    """Fit ridge regression to the shots, with old rows as the prior if there are any."""
    return fit_start(old_rows, *_shots(new, shots, seed), len(new.classes)).start


def _matched_rows(
    matcher: PairMatcher, new: StudyTask, old: StudyTask, shots: int, seed: int
) -> HeadStart | None:
    """Return the old rows that match by class name and by the drawn shots, or None."""
    means = new.means_of(new.shots(shots, seed))
    found = matcher.match(new.name, old.name, means, matcher.transform((old.name,)))
    if not found:
        return None
    chosen = [j for _, j in found]
    weight, bias = old.head.weight[chosen], old.head.bias[chosen]
    return HeadStart(np.array([i for i, _ in found]), weight, bias)


def _train(
    new: StudyTask, shots: int, seed: int, start: HeadStart | None, curve_epochs: int
) -> TrainedHead:
    """Train a head from a given start, or from a random one if `start` is None."""
    (x, y), n_classes = _shots(new, shots, seed), len(new.classes)
    # As in `learn`, use validation images only with all training images.
    held = None if shots else new.validation
    validation = (x[:0], y[:0]) if held is None else (held.latents.last, held.labels)
    fitted = fit_head(x, y, *validation, n_classes, seed=seed, start=start)
    curve = []
    if curve_epochs:
        epochs = head_epochs(x, y, n_classes, seed=seed, start=start)
        every = (head_of(rows) for _, rows in islice(epochs, curve_epochs + 1))
        curve = [accuracy(head, new.test) for head in every]
    on_test, on_validation = (accuracy(fitted.head, s) for s in (new.test, new.validation))
    return TrainedHead(on_test, on_validation, curve)


def _shots(new: StudyTask, shots: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the (N, D) latents of the last layer and the (N,) labels of the drawn shots."""
    drawn = new.shots(shots, seed)
    return drawn.latents.last, drawn.labels
