"""Fig. 14: new classes that start from the head rows of similar, but not identical, old classes.

An experiment is one new task of a few classes. Each class has a similar class in an old task,
listed by hand in a CSV file. The head is trained from four starts:

- a random start,
- copied old rows (the paper),
- old rows brought to one norm,
- a closed form with the old rows as a prior (ours).
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from teachmesh.errors import DataError
from teachmesh.model.backbone import Latents
from teachmesh.model.embedding import LabelledLatents
from teachmesh.model.head import OldClasses, merge_rows
from teachmesh.model.head_training import HeadStart, head_epochs, head_of
from teachmesh.reuse.head_prior import fit_start
from teachmesh_lab.studies.reuse_tasks import ReusePlan, StudyTask, Tasks, accuracy, take_rows
from teachmesh_lab.studies.study_cells import (
    Study,
    StudyCell,
    StudyResult,
    Values,
    markdown,
    select,
)

LISTED = Path(__file__).with_name("similar_classes.csv")
"""Two experiments for the tasks that this project measures on."""
EPOCHS = 30
STARTS = {
    "random": "random start",
    "copied": "old rows, copied (the paper)",
    "divided": "old rows of equal infinity norm",
    "ours": "closed form with old rows (ours)",
}
"""Key in the results -> label in tables and figures."""
SHOWN_EPOCHS = (0, 1, 2, 3, 5, 10, 30)


@dataclass(frozen=True)
class ClassPair:
    """A new class, and the similar old class whose head row it starts from."""

    new_task: str
    new_class: str
    old_task: str
    old_class: str


def read_experiments(path: Path) -> dict[str, list[ClassPair]]:
    """Read pairs of similar classes from a CSV file with the columns experiment, new and old.

    Args:
        path: the file; `new` and `old` are `TASK:CLASS`.

    Raises:
        DataError: the file cannot be read, a column is missing, or an experiment has fewer than two
            classes.
    """
    found: dict[str, list[ClassPair]] = {}
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            for row in csv.DictReader(stream):
                new, old = (row[key].partition(":") for key in ("new", "old"))
                pair = ClassPair(new[0], new[2], old[0], old[2])
                found.setdefault(row["experiment"], []).append(pair)
    except (OSError, UnicodeDecodeError, KeyError) as error:
        raise DataError(
            f"expected a CSV file with the columns experiment, new and old in '{path}'"
        ) from error
    if not found or min(map(len, found.values())) < 2:
        raise DataError(f"expected experiments of at least two classes in '{path}'")
    return found


def similar(plan: ReusePlan) -> Study:
    """Return the study of the experiments whose tasks are all present, for each number of shots."""

    def measure(cell: StudyCell) -> Values:
        values = cell.arguments
        pairs = [ClassPair(**pair) for pair in values["pairs"]]
        return measure_starts(plan.tasks, pairs, values["shots"], values["seeds"])

    cells = []
    for name, pairs in read_experiments(plan.pairs or LISTED).items():
        names = sorted({task for pair in pairs for task in (pair.new_task, pair.old_task)})
        if not set(names) <= set(plan.tasks):
            continue
        cells += [
            plan.inputs.cell(
                "similar",
                (name, shots),
                names,
                experiment=name,
                pairs=[asdict(pair) for pair in pairs],
                shots=shots,
                seeds=plan.seeds,
                starts=list(STARTS),
            )
            for shots in plan.shots
        ]
    return Study(cells, measure)


def measure_starts(tasks: Tasks, pairs: Sequence[ClassPair], shots: int, seeds: int) -> Values:
    """Train the new head from each start, and measure its test accuracy after every epoch.

    Args:
        tasks: tasks by name.
        pairs: the classes of the new task, and a similar old class for each.
        shots: images per new class; 0 for all.
        seeds: number of draws of the shots and of random starts.

    Returns:
        For each start, a list with one curve per seed: accuracy by epoch, from epoch 0. Under
        "test_images", the number of test images.

    Raises:
        DataError: a task has no class of this name.
    """
    test = _join([_images(tasks[p.new_task], p.new_class, "test") for p in pairs])
    old, divided = (_old_rows(tasks, pairs, p) for p in (None, np.inf))
    result: Values = {"test_images": len(test)} | {key: [] for key in STARTS}
    for seed in range(seeds):
        drawn = [
            _draw(_images(tasks[p.new_task], p.new_class, "train"), shots, [seed, n])
            for n, p in enumerate(pairs)
        ]
        train = _join(drawn)
        x, y = train.latents.last, train.labels
        ours = fit_start(old, x, y, len(pairs)).start
        for key, start in zip(STARTS, (None, old, divided, ours), strict=True):
            epochs = islice(head_epochs(x, y, len(pairs), seed=seed, start=start), EPOCHS + 1)
            result[key].append([accuracy(head_of(rows), test) for _, rows in epochs])
    return result


def _old_rows(tasks: Tasks, pairs: Sequence[ClassPair], p: float | None) -> HeadStart:
    """Return the rows of the old classes, each divided by its p-norm and multiplied by the mean."""
    parts = []
    for label, pair in enumerate(pairs):
        old = tasks[pair.old_task]
        parts.append(
            OldClasses(old.head, np.array([_label(old, pair.old_class)]), np.array([label]))
        )
    head = merge_rows(parts, len(pairs), p)
    return HeadStart(np.arange(len(pairs)), head.weight, head.bias)


def _label(task: StudyTask, name: str) -> int:
    if name not in task.classes:
        raise DataError(f"expected a class of '{task.name}', got '{name}'")
    return task.classes.index(name)


def _images(task: StudyTask, name: str, split: str) -> LabelledLatents:
    """Return the latents of one class."""
    images: LabelledLatents = getattr(task, split)
    return take_rows(images, np.flatnonzero(images.labels == _label(task, name)))


def _draw(images: LabelledLatents, shots: int, seed: Sequence[int]) -> LabelledLatents:
    if not shots:
        return images
    random = np.random.default_rng(seed)
    return take_rows(images, random.permutation(len(images))[:shots])


def _join(parts: Sequence[LabelledLatents]) -> LabelledLatents:
    """Join the images of several classes; the position of a class is its label."""
    last, multi = (
        np.concatenate([getattr(part.latents, key) for part in parts]) for key in ("last", "multi")
    )
    return LabelledLatents(
        Latents(last, multi), np.repeat(np.arange(len(parts)), list(map(len, parts)))
    )


def similar_curves(values: Mapping[str, Sequence[Sequence[float]]]) -> dict[str, np.ndarray]:
    """Return the mean accuracy over seeds by epoch, for each start."""
    return {key: np.mean(values[key], axis=0) for key in STARTS}


def similar_tables(results: Sequence[StudyResult]) -> Iterator[str]:
    """Yield Fig. 14 as a table: accuracy by epoch of each experiment, number of shots and start."""
    epochs = [f"epoch {epoch}" for epoch in SHOWN_EPOCHS]
    reached = "reaches the random start's best after"
    head = ["experiment", "test images", "shots", "start", *epochs]
    rows = [[*head, "best", "after epochs", reached]]
    pairs = [["experiment", "new class", "old class"]]
    seen = set()
    for result in select(results, "similar"):
        name, shots = (result.cell.arguments[key] for key in ("experiment", "shots"))
        curves = similar_curves(result.values)
        for key, curve in curves.items():
            shown = [f"{100 * curve[epoch]:.1f}" for epoch in SHOWN_EPOCHS]
            best = f"{100 * curve.max():.1f}", str(int(curve.argmax()))
            as_good = np.flatnonzero(curve >= curves["random"].max())
            first = str(as_good[0]) if len(as_good) else "never"
            images = str(result.values["test_images"])
            rows.append([name, images, str(shots or "all"), STARTS[key], *shown, *best, first])
        if name not in seen:
            seen.add(name)
            for pair in result.cell.arguments["pairs"]:
                new = f"{pair['new_task']}: {pair['new_class']}"
                pairs.append([name, new, f"{pair['old_task']}: {pair['old_class']}"])
    yield markdown(pairs)
    yield markdown(rows)
    seeds = {result.cell.arguments["seeds"] for result in select(results, "similar")}
    yield f"Mean of {', '.join(map(str, sorted(seeds)))} seeds.\n"
