"""Sec. 8: match a new class by sending about ten of its images through the task mapper.

The paper proposes this as future work. If most images are mapped to one learned task, the head of
that task classifies them. If most of them get one class, that class is the match. The mapper knows
all other tasks. Class means, as in `learn --reuse`, are measured on the same images.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Protocol

import numpy as np

from teachmesh.mapping.gmmc import GmmcMapper, fit_gmmc, log_likelihood
from teachmesh.mapping.held_out_from_rows import held_out_scores
from teachmesh.mapping.mapper import TaskMapper
from teachmesh.mapping.moments import MomentsMapper
from teachmesh.mapping.typicality import FALSE_ALARMS, HeldOut
from teachmesh.model.backbone import Latents
from teachmesh.reuse.matching import SourceTask, match_classes
from teachmesh.reuse.source_skills import mean_covariance
from teachmesh.reuse.text_encoders import NameComparer, choose_encoder
from teachmesh.reuse.visual_similarity import whitening
from teachmesh_lab.studies.reuse_tasks import (
    ReusePlan,
    StudyTask,
    Tasks,
    pairs_digest,
    read_pairs,
)
from teachmesh_lab.studies.study_cells import (
    Study,
    StudyCell,
    StudyResult,
    Values,
    markdown,
    select,
)

PART = "mapper-matching"
SHOTS = 10
"""Images per new class, as in the paper."""
WAYS = {
    "gmmc": "GMMC mapper, then its trained head (the paper)",
    "moments": "moments mapper, then its head",
    "vision": "class means",
    "auto": "class means and names (`--reuse auto`)",
}
SHARES = (0.5, 0.7, 0.9)
"""Least share of the images that one task, and then one class, must get ("most" in the paper)."""


class MapperBank(Protocol):
    """All tasks in one mapper, with the decisions within each task."""

    @property
    def mapper(self) -> TaskMapper[Any]:
        """The mapper, with the tasks' names as keys."""

    def seen(self, latents: Latents) -> np.ndarray:
        """Return the (N, D) latents that the mapper reads."""

    def classes(self, task: str, latents: Latents) -> np.ndarray:
        """Return (N,) class indices, given the task."""


class GmmcBank:
    """The paper's clusters and trained heads."""

    def __init__(self, tasks: Tasks) -> None:
        self.mapper, self._tasks = GmmcMapper(), tasks
        for name, task in tasks.items():
            anchor, _ = fit_gmmc(task.train.latents.last, len(task.classes))
            held_out = HeldOut.of(log_likelihood(anchor, task.validation.latents.last))
            self.mapper.add(name, anchor, held_out)

    def seen(self, latents: Latents) -> np.ndarray:
        """Return the latents of the last layer."""
        return latents.last

    def classes(self, task: str, latents: Latents) -> np.ndarray:
        """Return the decisions of the trained head."""
        return np.asarray(self._tasks[task].head.logits(latents.last).argmax(axis=1))


class MomentsBank:
    """Class moments, whose heads are closed-form."""

    def __init__(self, tasks: Tasks) -> None:
        self.mapper = MomentsMapper(next(iter(tasks.values())).metric)
        for name, task in tasks.items():
            images = task.train.latents.multi, task.train.labels, len(task.classes), task.metric
            self.mapper.add(name, task.anchor, held_out_scores(*images))

    def seen(self, latents: Latents) -> np.ndarray:
        """Return the multi-depth latents."""
        return latents.multi

    def classes(self, task: str, latents: Latents) -> np.ndarray:
        """Return the decisions of the head of class moments."""
        return np.asarray(self.mapper.within(task, latents.multi).argmax(axis=1))


BANKS: Mapping[str, type[GmmcBank] | type[MomentsBank]] = {
    "gmmc": GmmcBank,
    "moments": MomentsBank,
}


def mapper_matching(plan: ReusePlan) -> Study:
    """Return the study of matches through the mapper, next to matches by class means."""
    encoder = choose_encoder("auto")
    bank = cache(lambda way: BANKS[way](plan.tasks))

    def measure(cell: StudyCell) -> Values:
        way, seeds = cell.arguments["way"], cell.arguments["seeds"]
        found: list[list[object]] = []
        for seed in range(seeds):
            for new in plan.tasks.values():
                shots = new.shots(SHOTS, seed)
                if way in BANKS:
                    found += match_through(bank(way), plan.tasks, new, shots.labels, shots.latents)
                else:
                    found += _by_means(plan.tasks, new, seed, way, encoder)
        return {"matches": found, "sharing": len(_sharing(plan.tasks)), "seeds": seeds}

    cells = [
        plan.inputs.cell(
            PART,
            (way,),
            tuple(plan.tasks),
            way=way,
            shots=SHOTS,
            seeds=plan.seeds,
            encoder=encoder.name if way == "auto" else None,
            pairs_digest=pairs_digest(),
        )
        for way in WAYS
    ]
    return Study(cells, measure)


def match_through(
    bank: MapperBank, tasks: Tasks, new: StudyTask, labels: np.ndarray, latents: Latents
) -> list[list[object]]:
    """Match each class of a new task through a mapper that knows all other tasks.

    Args:
        bank: all tasks, the new one included; its column is left out.
        tasks: the same tasks, by name.
        new: the new task.
        labels: (N,) labels of the shots.
        latents: latents of the shots.

    Returns:
        One list for each class. It contains the class, the old class, three shares of the images,
        and the relation in the hand-made list. The shares are those that one task gets, that could
        be of this task, and that one class of it gets.
    """
    relation, keys = read_pairs(), list(bank.mapper.keys())
    scores = bank.mapper.score(bank.seen(latents)).task.copy()
    scores[:, keys.index(new.name)] = -np.inf
    mapped = scores.argmax(axis=1)
    found = []
    for label, name in enumerate(new.classes):
        rows = np.flatnonzero(labels == label)
        column, votes = Counter(mapped[rows].tolist()).most_common(1)[0]
        old = tasks[keys[column]]
        mine = Latents(latents.last[rows], latents.multi[rows])
        chosen, same = Counter(bank.classes(old.name, mine).tolist()).most_common(1)[0]
        known = _share_known(bank, old.name, mine)
        pair = f"{new.name}:{name}", f"{old.name}:{old.classes[chosen]}"
        shares = votes / len(rows), known, same / len(rows)
        found.append([*pair, *(round(share, 3) for share in shares), relation.get(pair, "none")])
    return found


def _share_known(bank: MapperBank, task: str, latents: Latents) -> float:
    """Return the share of images that could be of a task, at the usual rate of false alarms."""
    held_out = bank.mapper.held_out(task)
    threshold = None if held_out is None else held_out.threshold(FALSE_ALARMS)
    if threshold is None:
        return 1.0
    return float(np.mean(bank.mapper.familiarity(task, bank.seen(latents)) >= threshold))


def _by_means(
    tasks: Tasks, new: StudyTask, seed: int, mode: str, comparer: NameComparer
) -> list[list[object]]:
    """Match each class by the means of its shots; only the best match of a class counts."""
    relation = read_pairs()
    others = [task for task in tasks.values() if task is not new]
    known = [SourceTask(o.name, o.name, "", o.classes, o.anchor.class_means()) for o in others]
    rows = match_classes(
        new.classes,
        known,
        comparer,
        means=new.means_of(new.shots(SHOTS, seed)),
        transform=whitening(mean_covariance([other.anchor for other in others])),
        mode=mode,
    )
    found: list[list[object]] = []
    for name, row in zip(new.classes, rows, strict=True):
        if row:
            pair = f"{new.name}:{name}", f"{row[0].task}:{row[0].class_name}"
            found.append([*pair, 1.0, 1.0, 1.0, relation.get(pair, "none")])
    return found


def _sharing(tasks: Tasks) -> set[str]:
    """Return the classes that occur in another task, according to the hand-made list."""
    names = {f"{task.name}:{name}" for task in tasks.values() for name in task.classes}
    pairs = ((one, other) for (one, other), kind in read_pairs().items() if kind == "same")
    return {one for one, other in pairs if one in names and other in names}


def mapper_matching_tables(results: Sequence[StudyResult]) -> Iterator[str]:
    """Yield the table of precision and recall, by way and by threshold."""
    head = ["way", "most means", "unknown images left out", "classes matched", "precision"]
    rows = [[*head, "with similar ones", "recall"]]
    found = {result.cell.arguments["way"]: result.values for result in select(results, PART)}
    for way, label in WAYS.items():
        if way not in found:
            continue
        for share, known in ((s, k) for s in SHARES for k in (False, True)):
            if way in BANKS:
                shown = f"{100 * share:.0f} %", "yes" if known else "no"
                rows.append([label, *shown, *_figures(found[way], share, known=known)])
        if way not in BANKS:
            rows.append([label, "", "", *_figures(found[way], 0.0, known=False)])
    yield markdown(rows)


def _figures(values: Values, share: float, *, known: bool) -> list[str]:
    """Return table cells: matches per draw, precision, precision with similar ones, and recall."""
    kinds = [
        kind
        for _, _, task, could_be, one_class, kind in values["matches"]
        if min(task, one_class, could_be if known else 1.0) >= share
    ]
    same, similar = kinds.count("same"), kinds.count("similar")
    total, sharing = max(len(kinds), 1), max(values["sharing"] * values["seeds"], 1)
    shares = (same / total, (same + similar) / total, same / sharing)
    return [f"{len(kinds) / values['seeds']:.1f}", *(f"{100 * value:.1f} %" for value in shares)]
